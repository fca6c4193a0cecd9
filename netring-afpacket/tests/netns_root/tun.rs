//! A TUN interface, whose device root may always open.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use netring_afpacket::{Capture, CopyMode, Injector, Profile, TimestampSource};
use netring_sys::kernel::packet::virtio_net_hdr;
use netring_sys::{Count, Direction, Error, LinkType, PacketSink, PacketSlot, PacketSource};
use xtask::netns::{Netns, ip};
use xtask::wire::{collect, udp4};

/// `struct ifreq`, as `TUNSETIFF` reads it.
#[repr(C)]
struct TunRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    /// `TUNSETIFF`
    tun_set_interface, 0x4004_54ca, TunRequest
);

nix::ioctl_write_int_bad!(
    /// `TUNSETLINK`
    tun_set_link_type, 0x4004_54cd
);

const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;

/// The other end of a TUN interface: the interface receives what is written to it.
pub(crate) fn tun(name: &str) -> File {
    device(name, IFF_TUN)
}

/// The other end of a TAP interface, which is Ethernet: what it sends can be read.
pub(crate) fn tap(name: &str) -> File {
    device(name, IFF_TAP)
}

/// The other end of an interface with these flags.
fn device(name: &str, flags: u16) -> File {
    const IFF_NO_PI: u16 = 0x1000;
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .unwrap();
    let mut request = TunRequest {
        name: [0; 16],
        flags: flags | IFF_NO_PI,
        rest: [0; 22],
    };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the request is on this stack; nobody else uses it; it has the size and the fields
    // that the call reads.
    unsafe { tun_set_interface(device.as_raw_fd(), &raw const request) }.unwrap();
    // First, so that it has no IPv6 address to announce.
    ip(&format!("link set dev {name} addrgenmode none")).unwrap();
    ip(&format!("link set dev {name} up")).unwrap();
    device
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_without_a_link_layer_gives_packets_of_raw_ip() {
    let _ns = Netns::enter().unwrap();
    let mut wire = tun("tun");
    let builder = Capture::builder().interface("tun");
    let mut capture = builder.profile(Profile::LowMemory).build().unwrap();
    let datagram = &udp4(1, 2, b"without a link layer")[14..];
    wire.write_all(datagram).unwrap();
    let packet = collect(&mut capture, 1, Duration::from_secs(1))
        .unwrap()
        .remove(0);
    assert_eq!(packet.data(), datagram);
    let facts = (
        packet.link_type(),
        packet.wire_len() as usize,
        packet.direction(),
    );
    assert_eq!(
        facts,
        (LinkType::RAW_IP, datagram.len(), Some(Direction::Host))
    );
    // There is no link layer with addresses.
    assert_eq!(packet.sender(), None);
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(1));
}

/// The hardware type of a TUN interface can change while it is down, also during a capture.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_has_the_link_type_that_its_interface_had_then() {
    const ARPHRD_ETHER: i32 = 1;
    const ARPHRD_CAN: i32 = 280;
    const ARPHRD_NONE: i32 = 0xfffe;
    let _ns = Netns::enter().unwrap();
    let mut wire = tun("tun");
    let builder = Capture::builder().interface("tun");
    let mut capture = builder.profile(Profile::LowMemory).build().unwrap();
    let datagram = &udp4(1, 2, b"without a link layer")[14..];
    for (hardware, expected) in [
        (ARPHRD_ETHER, LinkType::ETHERNET),
        (ARPHRD_CAN, LinkType::UNKNOWN),
        (ARPHRD_NONE, LinkType::RAW_IP),
    ] {
        ip("link set dev tun down").unwrap();
        // SAFETY: no memory is handed over: the call takes a number.
        unsafe { tun_set_link_type(wire.as_raw_fd(), hardware) }.unwrap();
        ip("link set dev tun up").unwrap();
        wire.write_all(datagram).unwrap();
        let packet = loop {
            match collect(&mut capture, 1, Duration::from_secs(1)) {
                Ok(mut packets) => break packets.remove(0),
                Err(error) if !error.is_terminal() => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(packet.link_type(), expected);
        assert_eq!(packet.data(), datagram);
    }
}

/// The kernel may reserve room in the block and then drop a packet whose segmentation the ring
/// cannot express; what an earlier round left there is not a packet.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_a_packet_that_the_kernel_dropped_in_its_place_is_counted_and_not_lent() {
    const IFF_VNET_HDR: u16 = 0x4000;
    /// UDP fragmentation, which the ring cannot express.
    const GSO_UDP: u8 = 3;
    let _ns = Netns::enter().unwrap();
    let mut wire = device("tun", IFF_TUN | IFF_VNET_HDR);
    let mut write = |header: virtio_net_hdr, datagram: &[u8]| {
        let bytes = [&header.to_bytes()[..], datagram].concat();
        wire.write_all(&bytes).unwrap();
    };
    let fragments = virtio_net_hdr {
        flags: 1,
        gso_type: GSO_UDP,
        hdr_len: 28,
        gso_size: 1000,
        csum_start: 20,
        csum_offset: 6,
    };
    let large = &udp4(1, 2, &[9; 3000])[14..];
    let whole = |n: u8| udp4(1, 2, &[n; 100])[14..].to_vec();
    for tags in [false, true] {
        let builder = Capture::builder().interface("tun").vlan_in_bytes(tags);
        let builder = builder.profile(Profile::LowLatency).offload_state(true);
        let builder = builder.block_size(1 << 14).block_count(2).snap_len(1514);
        let mut capture = builder.build().unwrap();
        let (mut lent, mut dropped) = (0, 0);
        // Several rounds of the ring, so that blocks contain old data.
        for round in 0..100_u8 {
            write(virtio_net_hdr::default(), &whole(round));
            write(fragments, large);
            write(virtio_net_hdr::default(), &whole(round ^ 0x80));
            let packets = collect(&mut capture, 2, Duration::from_secs(1)).unwrap();
            let found: Vec<&[u8]> = packets.iter().map(|packet| packet.data()).collect();
            assert_eq!(found, [whole(round), whole(round ^ 0x80)], "{round}");
            (lent, dropped) = (lent + 2, dropped + 1);
        }
        let stats = capture.stats().unwrap();
        assert_eq!(stats.delivered, Count::Exact(lent));
        assert_eq!(stats.dropped, Count::Exact(dropped));
        assert_eq!(stats.offered, Count::Exact(lent + dropped));
        assert_eq!(stats.invalid, Count::Exact(0));
    }
}

/// Frames without a link layer, and frames whose rules only the kernel knows.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_injector_sends_what_the_interface_has_for_frames() {
    const ARPHRD_CAN: i32 = 280;
    let _ns = Netns::enter().unwrap();
    let mut wire = tun("tun");
    let datagram = &udp4(1, 2, b"without a link layer")[14..];
    let mut read = [0; 2048];
    for mode in [CopyMode::Copy, CopyMode::ZeroCopy] {
        let mut injector = Injector::builder("tun").copy_mode(mode).build().unwrap();
        assert_eq!(injector.max_len(), 1500);
        assert!(injector.send(datagram).unwrap());
        assert!(injector.send(&[0; 1501]).is_err());
        assert_eq!(injector.drain(Duration::from_secs(10)).unwrap(), 0);
        let len = wire.read(&mut read).unwrap();
        assert_eq!(read[..len], *datagram);
    }
    assert!(!Injector::open("tun").unwrap().is_zero_copy());

    ip("link set dev tun down").unwrap();
    // SAFETY: no memory is handed over: the call takes a number.
    unsafe { tun_set_link_type(wire.as_raw_fd(), ARPHRD_CAN) }.unwrap();
    ip("link set dev tun up").unwrap();
    let refused = Injector::builder("tun").offloads(true).build().unwrap_err();
    assert!(
        refused.to_string().contains("hardware type 280"),
        "{refused}"
    );
    let refused = Injector::builder("tun")
        .copy_mode(CopyMode::Copy)
        .build()
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::Config {
            setting: "copy_mode",
            ..
        }
    ));
    let builder = Injector::builder("tun").transmit_timestamps(TimestampSource::Software);
    let mut injector = builder.build().unwrap();
    assert!(injector.is_zero_copy());
    // The kernel decides about each frame, and the ring goes on.
    let frames = [&[1; 1800][..], datagram, &[1; 1700], datagram];
    for (frame, n) in frames.into_iter().zip(0..) {
        let mut slot = injector.slot(frame.len()).unwrap().unwrap();
        slot.copy_from_slice(frame);
        slot.request_timestamp(n).unwrap();
        slot.commit();
    }
    assert_eq!(injector.drain(Duration::from_secs(10)).unwrap(), 0);
    for _ in 0..2 {
        let len = wire.read(&mut read).unwrap();
        assert_eq!(read[..len], *datagram);
    }
    let stats = injector.stats().unwrap();
    assert_eq!(
        (stats.sent, stats.rejected),
        (Count::Exact(2), Count::Exact(2))
    );
    assert_eq!(injector.rejected().invalid, 2);
    // The kernel assigned no id to those that it refused, and each of the others has its own.
    let ids: Vec<_> = injector.transmit_timestamps().map(|(id, _)| id).collect();
    assert_eq!((ids, injector.timestamp_stats().absent), (vec![1, 3], 2));
}
