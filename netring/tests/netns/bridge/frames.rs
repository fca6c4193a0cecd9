//! Which frames go through a bridge, and how often.

use netring::bridge::{Bridge, Port};
use netring::{
    Capture, Count, Error, Injector, PacketSink, PacketSlot, PacketSource, Profile, Segmentation,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, Sniffer, collect, numbered, segmenting, tcp4};

use super::{LIMIT, Packets, SILENCE, run_until, settled, wires};

/// Frames of all lengths, with the words of tags in their bytes.
fn tagged() -> Vec<Vec<u8>> {
    let tags: [&[u8]; 8] = [
        &[],
        &[0x81, 0x00, 0x20, 0x05],
        // A priority, without a VLAN: the word may also be 0.
        &[0x81, 0x00, 0xe0, 0x00],
        &[0x81, 0x00, 0x00, 0x00],
        &[0x81, 0x00, 0x1f, 0xff],
        &[0x88, 0xa8, 0x00, 0x07],
        &[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x00],
        &[0x81, 0x00, 0x00, 0x03, 0x81, 0x00, 0x00, 0x04],
    ];
    let lengths = [60, 61, 64, 127, 128, 1000, 1499, 1510];
    let pairs = tags
        .iter()
        .flat_map(|tag| lengths.map(|length| (*tag, length)));
    (0..)
        .zip(pairs)
        .map(|(n, (tag, length))| {
            let mut frame = numbered(n, length - tag.len().saturating_sub(4));
            frame.splice(12..12, tag.iter().copied());
            frame
        })
        .collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_frames_arrive_byte_for_byte_with_their_tags() {
    let _ns = Netns::enter().unwrap();
    wires();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let frames = tagged();
    let count = frames.len() as u64;
    for (from, to) in [("a1", "b1"), ("b1", "a1")] {
        let sender = Sender::on(from).unwrap();
        let builder = Capture::builder().interface(to).ignore_outgoing(true);
        let mut arrived = builder.profile(Profile::LowMemory).build().unwrap();
        frames.iter().for_each(|frame| sender.send(frame).unwrap());
        let way = |stats: &netring::bridge::BridgeStats| match from {
            "a1" => stats.a_to_b,
            _ => stats.b_to_a,
        };
        let stats = run_until(&mut bridge, |stats| way(stats).forwarded == count);
        settled(&stats);
        let packets = collect(&mut arrived, frames.len(), LIMIT).unwrap();
        assert_eq!(packets.len(), frames.len());
        for (packet, frame) in packets.iter().zip(&frames) {
            let bytes = packet.as_packet().wire_bytes().pieces().concat();
            assert_eq!(bytes, *frame);
            // A type that the kernel takes out of the bytes is beside them at both ends.
            let is_tagged = matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]);
            assert_eq!(packet.vlan().is_some(), is_tagged);
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_nothing_comes_back_and_nothing_comes_twice() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    let senders = ["a1", "b1"].map(|name| Sender::on(name).unwrap());
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    // A plain socket has room for a few hundred frames, of both directions.
    for n in 0..100 {
        senders[0].send(&numbered(n, 100)).unwrap();
        senders[1].send(&numbered(1000 + n, 200)).unwrap();
    }
    let stats = run_until(&mut bridge, |stats| {
        stats.a_to_b.forwarded >= 100 && stats.b_to_a.forwarded >= 100
    });
    settled(&stats);
    assert_eq!((stats.a_to_b.received, stats.b_to_a.received), (100, 100));
    for n in 0..100 {
        let from_b = sniffers[0].receive(LIMIT).unwrap();
        assert_eq!(from_b, Some(numbered(1000 + n, 200)));
        let from_a = sniffers[1].receive(LIMIT).unwrap();
        assert_eq!(from_a, Some(numbered(n, 100)));
    }
    bridge.run_for(SILENCE, super::forward).unwrap();
    for sniffer in &sniffers {
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
    }
    assert_eq!(bridge.stats().unwrap(), stats);
}

/// Each bridge forwards every frame, and none forwards what the other one sends.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_two_bridges_on_the_same_interfaces_do_not_loop() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    let sender = Sender::on("a1").unwrap();
    let mut bridges = [(); 2].map(|()| Bridge::open("a0", "b0").unwrap());
    for n in 0..50 {
        sender.send(&numbered(n, 100)).unwrap();
    }
    for bridge in &mut bridges {
        let stats = run_until(bridge, |stats| stats.a_to_b.forwarded >= 50);
        settled(&stats);
    }
    for _ in 0..2 {
        for bridge in &mut bridges {
            bridge.run_for(SILENCE, super::forward).unwrap();
            let stats = bridge.stats().unwrap();
            assert_eq!((stats.a_to_b.received, stats.b_to_a.received), (50, 0));
        }
    }
    for n in (0..50).chain(0..50) {
        let frame = sniffers[1].receive(LIMIT).unwrap();
        assert_eq!(frame, Some(numbered(n, 100)));
    }
    for sniffer in &sniffers {
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_frames_of_this_host_are_left_alone() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    let own = Sender::on("a0").unwrap();
    let other = Sender::on("a1").unwrap();
    let port = |name: &str, ignore: bool| {
        let (capture, injector) = Port::afpacket_settings(name);
        let capture = capture.ignore_outgoing(ignore).build().unwrap();
        Port::new(capture, injector.build().unwrap())
    };
    for (ignore, outgoing) in [(true, 0), (false, 20)] {
        let mut bridge: Packets = Bridge::new(port("a0", ignore), port("b0", ignore)).unwrap();
        for n in 0..20 {
            own.send(&numbered(n, 100)).unwrap();
            other.send(&numbered(100 + n, 100)).unwrap();
        }
        let stats = run_until(&mut bridge, |stats| {
            // A capture sees what the bridge sends if that is enabled.
            stats.a_to_b.forwarded == 20 && stats.b_to_a.outgoing == outgoing
        });
        settled(&stats);
        assert_eq!(stats.a_to_b.received, 20 + outgoing);
        assert_eq!(stats.a_to_b.outgoing, outgoing);
        assert_eq!(
            (stats.b_to_a.forwarded, stats.b_to_a.received),
            (0, outgoing)
        );
        // Each once, at its destination.
        for n in 0..20 {
            assert_eq!(sniffers[0].receive(LIMIT).unwrap(), Some(numbered(n, 100)));
            assert_eq!(
                sniffers[1].receive(LIMIT).unwrap(),
                Some(numbered(100 + n, 100))
            );
        }
        for sniffer in &sniffers {
            assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_frame_longer_than_the_mtu_of_the_other_side_is_counted() {
    let _ns = Netns::enter().unwrap();
    wires();
    for name in ["a0", "a1"] {
        ip(&format!("link set dev {name} mtu 9000")).unwrap();
    }
    let sniffer = Sniffer::on("b1").unwrap();
    let sender = Sender::on("a1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    for len in [1514, 1515, 1518, 1519, 9000, 9014] {
        sender.send(&numbered(len as u64, len)).unwrap();
    }
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.received == 6);
    settled(&stats);
    assert_eq!(
        (stats.a_to_b.forwarded, stats.a_to_b.refused.too_long),
        (1, 5)
    );
    assert_eq!(stats.a_to_b.lost(), 5);
    // The interface accepts longer frames from now on, and the bridge notices with the next one.
    for name in ["b0", "b1"] {
        ip(&format!("link set dev {name} mtu 9000")).unwrap();
    }
    sender.send(&numbered(1, 60)).unwrap();
    run_until(&mut bridge, |stats| stats.a_to_b.forwarded == 2);
    sender.send(&numbered(9014, 9014)).unwrap();
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.received == 8);
    settled(&stats);
    assert_eq!(stats.a_to_b.forwarded, 3);
    for (n, len) in [(1514, 1514), (1, 60), (9014, 9014)] {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, len)));
    }
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_super_packet_keeps_its_tag_and_the_size_of_its_segments() {
    let _ns = Netns::enter().unwrap();
    wires();
    let mut injector = Injector::builder("a1").offloads(true).build().unwrap();
    let builder = Capture::builder().interface("b1").offload_state(true);
    let mut arrived = builder.profile(Profile::LowLatency).build().unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let tags: [&[u8]; 3] = [&[], &[0x81, 0x00, 0x00, 0x00], &[0x81, 0x00, 0x60, 0x05]];
    let frames = tags.map(|tag| {
        let mut frame = tcp4(1, 2, 3, 16, &[7; 30_000]);
        frame.splice(12..12, tag.iter().copied());
        // The checksum's start; the sum of the pseudo header is enough for a test.
        let (start, headers) = (34 + tag.len(), 54 + tag.len());
        let mut slot = injector.slot(frame.len()).unwrap().unwrap();
        slot.copy_from_slice(&frame);
        slot.request_checksum(start, 16).unwrap();
        slot.request_segmentation(Segmentation::Tcp4, headers, 1400)
            .unwrap();
        slot.commit();
        frame
    });
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.forwarded == 3);
    settled(&stats);
    let packets = collect(&mut arrived, 3, LIMIT).unwrap();
    for ((packet, frame), tag) in packets.iter().zip(&frames).zip(tags) {
        let packet = packet.as_packet();
        assert_eq!(packet.wire_bytes().pieces().concat(), *frame);
        assert_eq!(packet.vlan().is_some(), !tag.is_empty());
        let offload = packet.wire_offload().unwrap();
        let cut = offload.segments().unwrap();
        assert_eq!(
            (cut.kind, cut.segment_len),
            (Some(Segmentation::Tcp4), 1400)
        );
        let checksum = offload.checksum().unwrap();
        let start = 34 + tag.len() as u16;
        assert_eq!((checksum.start, checksum.offset), (start, 16));
    }
}

/// The kernel segments it at its end; without offloads the bridge does.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn datagrams_in_one_packet_go_through_with_offloads_and_without() {
    for offloads in [true, false] {
        let hosts = super::hosts::hosts();
        let port = |name: &str| {
            let (capture, injector) = Port::afpacket_settings(name);
            let injector = injector.offloads(offloads).slots(1024);
            Port::new(capture.build().unwrap(), injector.build().unwrap())
        };
        let mut bridge: Packets = Bridge::new(port("a0"), port("b0")).unwrap();
        let receiver = hosts.b.run(|| std::net::UdpSocket::bind("10.9.0.2:5000"));
        let receiver = receiver.unwrap();
        receiver.set_read_timeout(Some(LIMIT)).unwrap();
        let payload: Vec<u8> = (0..10_500_u32).map(|n| (n % 251) as u8).collect();
        let sent = hosts
            .a
            .run(|| segmenting(1000)?.send_to(&payload, "10.9.0.2:5000"));
        assert_eq!(sent.unwrap(), payload.len());
        let stats = run_until(&mut bridge, |stats| {
            // An ARP request, its reply, and the packet.
            stats.a_to_b.received == 2 && stats.b_to_a.received >= 1
        });
        settled(&stats);
        let (forwarded, split) = if offloads { (2, 0) } else { (12, 10) };
        let found = (stats.a_to_b.forwarded, stats.a_to_b.split);
        assert_eq!(found, (forwarded, split));
        assert_eq!(stats.a_to_b.refused.total(), 0);
        let mut datagram = [0; 2000];
        for part in payload.chunks(1000) {
            let len = receiver.recv(&mut datagram).unwrap();
            assert_eq!(&datagram[..len], part);
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_is_not_bridged_with_itself() {
    let _ns = Netns::enter().unwrap();
    veth("a0", "a1").unwrap();
    ip("link property add dev a0 altname first-of-the-two").unwrap();
    for other in ["a0", "first-of-the-two"] {
        let error = Bridge::open("a0", other).unwrap_err();
        let expected =
            format!("interface: a0 and {other} are the same interface; a bridge needs two");
        assert!(matches!(error, Error::Config { .. }));
        assert!(error.to_string().contains(&expected), "{error}");
    }
    assert!(matches!(
        Bridge::open("a0", "none"),
        Err(Error::NoSuchInterface { .. })
    ));
    // A sink that also sends other frames would mix them into the figures.
    let mut injector = Injector::open("a1").unwrap();
    assert!(injector.send(&numbered(1, 60)).unwrap());
    let capture = Capture::open("a1").unwrap();
    let busy = Bridge::new(Port::afpacket("a0").unwrap(), Port::new(capture, injector));
    assert!(matches!(
        busy,
        Err(Error::Config {
            setting: "sink",
            ..
        })
    ));
    let mut capture = Capture::open("a1").unwrap();
    assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
}
