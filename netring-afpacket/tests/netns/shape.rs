//! The shape in which packets are delivered: tags in their bytes, and how they are segmented.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile};
use netring_sys::adapters::Filtered;
use netring_sys::kernel::packet::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP_L4,
    virtio_net_hdr,
};
use netring_sys::{
    Checksum, Count, Direction, Filter, Interface, LinkAddress, PacketBatch, PacketBuf,
    PacketSource, Segmentation, VlanTag, syscall,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, numbered, tcp4, udp4};

const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);
/// A ring of each kind.
const PROFILES: [Profile; 2] = [Profile::LowMemory, Profile::Immediate];

fn on(interface: &str, profile: Profile) -> CaptureBuilder {
    let builder = Capture::builder().interface(interface);
    builder.profile(profile)
}

fn take(capture: &mut Capture, count: usize) -> Vec<PacketBuf> {
    let packets = collect(capture, count, SILENCE).unwrap();
    assert_eq!(packets.len(), count);
    packets
}

/// The frame with these tags behind its addresses.
fn with_tags(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(tpid, tci)| {
        let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
        [a, b, c, d]
    });
    let tags: Vec<u8> = tags.collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// Frames with up to three tags, and which of them the kernel takes out of the bytes: the first.
fn frames() -> Vec<(Vec<u8>, Option<VlanTag>)> {
    let tags: [&[(u16, u16)]; 8] = [
        &[],
        &[(0x8100, 0)],
        &[(0x8100, 5)],
        &[(0x8100, 0xefff)],
        &[(0x88a8, 0)],
        &[(0x88a8, 0x2064)],
        &[(0x88a8, 9), (0x8100, 0)],
        &[(0x88a8, 9), (0x8100, 7), (0x8100, 8)],
    ];
    let frames = tags.into_iter().enumerate().map(|(n, tags)| {
        let outer = tags.first().map(|&(tpid, tci)| VlanTag { tpid, tci });
        (with_tags(&numbered(n as u64, 100 + n), tags), outer)
    });
    frames.collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p13_the_bytes_with_the_tag_are_those_of_the_wire() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for profile in PROFILES {
        let mut beside = on("a", profile).build().unwrap();
        let mut inside = on("a", profile).vlan_in_bytes(true).build().unwrap();
        for (frame, _) in frames() {
            sender.send(&frame).unwrap();
        }
        let pairs = take(&mut beside, 8).into_iter().zip(take(&mut inside, 8));
        for ((beside, inside), (frame, tag)) in pairs.zip(frames()) {
            // In pieces, without the setting.
            assert_eq!(beside.vlan(), tag);
            let packet = beside.as_packet();
            let mut wire = vec![0; packet.wire_bytes().len()];
            packet.wire_bytes().copy_to(&mut wire);
            assert_eq!(wire, frame);
            assert_eq!(packet.wire_bytes().pieces().concat(), frame);
            assert_eq!(packet.wire_len() as usize, frame.len());
            // In place, with it.
            assert_eq!(inside.data(), frame);
            assert_eq!(inside.vlan(), None);
            let lengths = (inside.wire_len() as usize, inside.frame_len() as usize);
            assert_eq!(lengths, (frame.len(), frame.len()));
            assert!(!inside.as_packet().is_cut());
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_tag_in_the_bytes_is_put_there_once_and_counts_for_the_snap_length() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let frame = with_tags(&numbered(7, 200), &[(0x8100, 0xe005)]);
    for profile in PROFILES {
        for (snap_len, kept) in [(64, 64), (16, 16), (200, 200), (203, 203), (204, 204)] {
            let builder = on("a", profile).vlan_in_bytes(true).snap_len(snap_len);
            let mut capture = builder.build().unwrap();
            sender.send(&frame).unwrap();
            for _ in 0..3 {
                let batch = capture.next_batch_timeout(PATIENCE).unwrap();
                let batch = batch.batch().unwrap();
                // However often it is read.
                for _ in 0..2 {
                    let packet = batch.packets().next().unwrap();
                    assert_eq!(packet.data(), &frame[..kept], "{snap_len}");
                    assert_eq!((packet.wire_len(), packet.vlan()), (204, None));
                    assert_eq!(packet.is_cut(), kept < 204);
                }
                // A leaked batch is lent once more.
                std::mem::forget(batch);
            }
        }
        // Without the addresses there is no place for it.
        let builder = on("a", profile).vlan_in_bytes(true).snap_len(11);
        let mut capture = builder.build().unwrap();
        sender.send(&frame).unwrap();
        let packet = take(&mut capture, 1).remove(0);
        assert_eq!(packet.data(), &frame[..11]);
        assert_eq!(packet.vlan().unwrap().tci, 0xe005);
        assert_eq!(packet.wire_len(), 204);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_each_of_many_tagged_frames_is_whole_while_the_ring_goes_round() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let frame = |n: u64| {
        let len = 60 + (n * 7 % 900) as usize;
        match n % 3 {
            0 => numbered(n, len),
            _ => with_tags(&numbered(n, len), &[(0x8100, n as u16)]),
        }
    };
    for (profile, block_size, block_count) in [
        (Profile::LowLatency, 1 << 14, 4),
        (Profile::Immediate, 1 << 14, 8),
    ] {
        let builder = on("a", profile).block_size(block_size);
        let builder = builder.block_count(block_count).snap_len(1514);
        let is_slots = matches!(profile, Profile::Immediate);
        let builder = builder.vlan_in_bytes(true).offload_state(!is_slots);
        let mut capture = builder.build().unwrap();
        let mut seen = 0;
        // About 60 rounds of the ring.
        for round in 0..300 {
            for n in round * 10..round * 10 + 10 {
                sender.send(&frame(n)).unwrap();
            }
            for packet in take(&mut capture, 10) {
                assert_eq!(packet.data(), frame(seen));
                let offload = packet.offload();
                assert_eq!(offload.is_none(), is_slots);
                assert!(offload.is_none_or(|state| state.segments().is_none()));
                seen += 1;
            }
        }
        let stats = capture.stats().unwrap();
        assert_eq!(stats.delivered, Count::Exact(3000));
        assert_eq!(
            (stats.dropped, stats.invalid),
            (Count::Exact(0), Count::Exact(0))
        );
    }
}

/// Wherever the tag is and wherever the filter runs, the verdict is the same.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_an_expression_means_the_same_with_the_tag_in_the_bytes() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for text in [
        "vlan 5 and udp",
        "vlan and vlan 7",
        "udp",
        "not vlan",
        "vlan 0",
    ] {
        let filter: Filter = text.parse().unwrap();
        let mut found = Vec::new();
        for in_bytes in [false, true] {
            let builder = || on("a", Profile::LowMemory).vlan_in_bytes(in_bytes);
            let mut kernel = builder().filter(&filter).build().unwrap();
            let mut user = Filtered::new(builder().build().unwrap(), &filter).unwrap();
            for (frame, _) in frames() {
                sender.send(&frame).unwrap();
            }
            let frames = |packets: Vec<PacketBuf>| -> Vec<Vec<u8>> {
                let frames = packets.iter().map(PacketBuf::as_packet);
                frames
                    .map(|packet| packet.wire_bytes().pieces().concat())
                    .collect()
            };
            found.push(frames(collect(&mut kernel, usize::MAX, SILENCE).unwrap()));
            found.push(frames(collect(&mut user, usize::MAX, SILENCE).unwrap()));
        }
        assert!(!found[0].is_empty(), "{text}");
        assert!(found.iter().all(|frames| *frames == found[0]), "{text}");
    }
}

/// Sends frames whose checksum or segmentation is left to the kernel.
struct Unfinished(OwnedFd);

impl Unfinished {
    fn on(interface: &str) -> Self {
        let index = Interface::by_name(interface).unwrap().index;
        let socket = syscall::packet_socket().unwrap();
        syscall::set_packet_vnet_header(socket.as_fd(), true).unwrap();
        syscall::bind_packet(socket.as_fd(), index, 0).unwrap();
        Self(socket)
    }

    fn send(&self, header: virtio_net_hdr, frame: &[u8]) {
        let bytes = [&header.to_bytes()[..], frame].concat();
        let sent = syscall::send(self.0.as_fd(), &bytes).unwrap();
        assert_eq!(sent, Some(bytes.len()));
    }
}

/// A frame whose checksum starts at `start`, with the work that is left to the kernel.
fn unfinished(gso_type: u8, segment: u16, start: u16, offset: u16) -> virtio_net_hdr {
    virtio_net_hdr {
        flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
        gso_type,
        hdr_len: match gso_type {
            0 => 0,
            VIRTIO_NET_HDR_GSO_UDP_L4 => start + 8,
            _ => start + 20,
        },
        gso_size: segment,
        csum_start: start,
        csum_offset: offset,
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_a_packet_reports_its_segments_and_its_partial_checksum() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let wire = Unfinished::on("b");
    let tcp = tcp4(1, 2, 3, 16, &[5; 3500]);
    let udp = udp4(1, 2, &[6; 2500]);
    let small = udp4(1, 2, &[7; 500]);
    let rows = [
        (
            unfinished(VIRTIO_NET_HDR_GSO_TCPV4, 1000, 34, 16),
            &tcp,
            Some((Some(Segmentation::Tcp4), 1000)),
            Some((34, 16)),
        ),
        (
            unfinished(VIRTIO_NET_HDR_GSO_UDP_L4, 800, 34, 6),
            &udp,
            Some((Some(Segmentation::Udp), 800)),
            Some((34, 6)),
        ),
        (unfinished(0, 0, 34, 6), &small, None, Some((34, 6))),
        (virtio_net_hdr::default(), &small, None, None),
    ];
    for profile in [Profile::LowMemory, Profile::LowLatency] {
        let mut plain = on("a", profile).build().unwrap();
        let mut capture = on("a", profile).offload_state(true).build().unwrap();
        for (header, frame, cut, partial) in rows {
            wire.send(header, frame);
            let packet = take(&mut capture, 1).remove(0);
            // A partial checksum is left alone.
            assert_eq!(packet.data(), &frame[..]);
            let offload = packet.offload().unwrap();
            let found = offload.segments();
            assert_eq!(found.map(|cut| (cut.kind, cut.segment_len)), cut);
            assert!(found.is_none_or(|cut| usize::from(cut.linear_len) >= 42));
            let found = offload.checksum();
            assert_eq!(found.map(|at| (at.start, at.offset)), partial);
            let is_partial = packet.checksum() == Checksum::Partial;
            assert_eq!(is_partial, partial.is_some());
            assert_eq!(take(&mut plain, 1)[0].offload(), None);
        }
    }
}

/// The kernel moves the outer tag out of the bytes, and the checksum with what follows it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_offsets_are_those_of_the_bytes_with_and_without_a_tag() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let wire = Unfinished::on("b");
    let tagged = with_tags(&tcp4(1, 2, 3, 16, &[5; 3000]), &[(0x8100, 0)]);
    let header = unfinished(VIRTIO_NET_HDR_GSO_TCPV4, 1000, 38, 16);
    for profile in [Profile::LowMemory, Profile::LowLatency] {
        for (in_bytes, start) in [(false, 34), (true, 38)] {
            let builder = on("a", profile).offload_state(true);
            let mut capture = builder.vlan_in_bytes(in_bytes).build().unwrap();
            wire.send(header, &tagged);
            let packet = take(&mut capture, 1).remove(0);
            let offload = packet.offload().unwrap();
            assert_eq!(offload.segments().unwrap().segment_len, 1000);
            let at = offload.checksum().unwrap();
            assert_eq!((at.start, at.offset), (start, 16));
            assert_eq!(packet.vlan().is_some(), !in_bytes);
            assert_eq!(packet.as_packet().wire_bytes().pieces().concat(), tagged);
            // At the offset is the field of the frame that was sent.
            let field = usize::from(at.start + at.offset);
            let sum: [u8; 2] = *packet.data()[field..].first_chunk().unwrap();
            assert_eq!(sum, tagged[54..56]);
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn offload_state_of_an_immediate_capture_is_refused_with_the_reason() {
    let _ns = Netns::enter().unwrap();
    let builder = on("lo", Profile::Immediate).offload_state(true);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.starts_with("offload_state: "), "{error}");
    assert!(error.contains("Profile::LowLatency"), "{error}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_reports_the_address_of_its_sender() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for profile in PROFILES {
        let mut capture = on("a", profile).build().unwrap();
        let mut local = on("lo", profile).build().unwrap();
        let sources = [[2, 0, 0, 0, 0, 9], [0xfe, 1, 2, 3, 4, 5], [0; 6]];
        for source in sources {
            let mut frame = numbered(1, 60);
            frame[6..12].copy_from_slice(&source);
            Sender::on("b").unwrap().send(&frame).unwrap();
        }
        let found = take(&mut capture, 3);
        for (packet, source) in found.iter().zip(sources) {
            assert_eq!(packet.sender(), LinkAddress::new(&source));
        }
        let address = Interface::by_name("a").unwrap().address.unwrap();
        // Packets of this host carry its own address.
        ip("neigh replace 10.0.0.2 lladdr 02:00:00:00:00:77 dev a").unwrap();
        ip("address replace 10.0.0.1/24 dev a").unwrap();
        let socket = std::net::UdpSocket::bind("10.0.0.1:0").unwrap();
        socket.send_to(b"x", "10.0.0.2:9").unwrap();
        let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
        let mut sent = packets.iter().filter(|packet| {
            packet.direction() == Some(Direction::Outgoing) && packet.data().len() == 43
        });
        assert_eq!(sent.next().unwrap().sender(), LinkAddress::new(&address));
        let to = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        to.send_to(b"x", to.local_addr().unwrap()).unwrap();
        assert_eq!(take(&mut local, 1)[0].sender(), LinkAddress::new(&[0; 6]));
    }
}
