//! A TUN interface, whose device root may always open.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use netring_afpacket::{Capture, Profile};
use netring_sys::{Count, Direction, LinkType, PacketSource};
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

/// The other end of a TUN interface: the interface receives what is written to it.
pub(crate) fn tun(name: &str) -> File {
    const IFF_TUN: u16 = 1;
    const IFF_NO_PI: u16 = 0x1000;
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .unwrap();
    let mut request = TunRequest {
        name: [0; 16],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the request is on this stack; nobody else uses it; it has the size and the fields
    // that the call reads.
    unsafe { tun_set_interface(device.as_raw_fd(), &raw const request) }.unwrap();
    ip(&format!("link set dev {name} addrgenmode none up")).unwrap();
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
