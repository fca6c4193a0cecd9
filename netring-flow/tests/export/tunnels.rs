//! Records of flows in tunnels.

use etherparse::PacketBuilder;
use netring_flow::FlowTracker;
use netring_flow::export::{FlowRecord, FlowRecorder, MplsRecord, TunnelRecord};
use netring_flow::extract::{FiveTuple, TunnelKind, Tunnels};
use netring_sys::{LinkType, Packet, Timestamp};

/// A packet of a flow inside: IPv4, UDP, and ten bytes.
const INSIDE: usize = 38;

fn inside() -> Vec<u8> {
    let mut bytes = Vec::new();
    let ip = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    ip.udp(5000, 53).write(&mut bytes, &[7; 10]).unwrap();
    assert_eq!(bytes.len(), INSIDE);
    bytes
}

/// Behind an Ethernet header, and with padding, which is no part of an IP packet.
fn ethernet(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn outside(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ip = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    ip.write(&mut bytes, protocol.into(), body).unwrap();
    ethernet(0x0800, &bytes)
}

fn in_udp(port: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ip = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    ip.udp(4000, port).write(&mut bytes, body).unwrap();
    ethernet(0x0800, &bytes)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    in_udp(4789, &joined(&[&[8, 0, 0, 0, 0, 0, 42, 0], frame]))
}

fn record(extract: FiveTuple, frame: &[u8]) -> FlowRecord {
    let mut tracker = FlowTracker::new(extract);
    let mut recorder = FlowRecorder::new().worker(9);
    let packet = Packet::new(frame, Timestamp::default(), LinkType::ETHERNET);
    tracker.track(&packet, &mut recorder);
    while tracker.finish(&mut recorder) {}
    assert_eq!(recorder.records.len(), 1);
    recorder.drain().next().unwrap()
}

fn tunnel(kind: TunnelKind, id: Option<u32>) -> Option<TunnelRecord> {
    let mut tunnel: TunnelRecord = serde_json::from_str(r#"{"kind":"gre"}"#).unwrap();
    (tunnel.kind, tunnel.id) = (kind, id);
    Some(tunnel)
}

#[test]
fn a_flow_in_a_tunnel_has_its_tunnel_and_its_own_bytes() {
    let flow = inside();
    let teid = [&[0x30, 255, 0, INSIDE as u8, 0, 0, 1, 0][..], &flow];
    let pppoe = [&[0x11, 0, 0, 5, 0, INSIDE as u8 + 2, 0, 0x21][..], &flow];
    for (frame, kind, id) in [
        (vxlan(&ethernet(0x0800, &flow)), TunnelKind::Vxlan, Some(42)),
        (in_udp(2152, &joined(&teid)), TunnelKind::GtpU, Some(256)),
        (
            outside(47, &joined(&[&[0, 0, 8, 0], &flow])),
            TunnelKind::Gre,
            None,
        ),
        (
            outside(47, &joined(&[&[0x20, 0, 8, 0, 0, 0, 0, 77], &flow])),
            TunnelKind::Gre,
            Some(77),
        ),
        (outside(4, &flow), TunnelKind::IpInIp, None),
        (
            ethernet(0x8864, &joined(&pppoe)),
            TunnelKind::Pppoe,
            Some(5),
        ),
    ] {
        let all = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
        let known = record(all.with_tunnel_id(), &frame);
        assert_eq!(known.tunnel, tunnel(kind, id), "{kind}");
        assert_eq!(known.initiator.port, Some(5000), "{kind}");
        assert_eq!(known.initiator.ip_bytes, Some(INSIDE as u64), "{kind}");
        assert_eq!(known.initiator.bytes, frame.len() as u64, "{kind}");
        assert_eq!(known.worker, Some(9));
        // Not in the key.
        let unknown = record(all, &frame);
        assert_eq!(
            (unknown.tunnel, unknown.initiator.ip_bytes),
            (None, Some(38))
        );
    }
}

/// Labels differ by direction: those of each end's first packet are in its side.
#[test]
fn each_end_has_the_top_label_of_its_first_packet() {
    let labelled = |entries: [u8; 8], swapped: bool| {
        let mut packet = inside();
        if swapped {
            (0..4).for_each(|n| packet.swap(12 + n, 16 + n));
            (0..2).for_each(|n| packet.swap(20 + n, 22 + n));
        }
        ethernet(0x8847, &joined(&[&entries, &packet]))
    };
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut recorder = FlowRecorder::new();
    for (entries, swapped) in [
        ([0x3e, 0x81, 0x0a, 64, 0, 0, 0x21, 64], false),
        ([0, 0x02, 0x90, 64, 0, 0, 0x31, 64], true),
        ([0, 0x01, 0x00, 64, 0, 0, 0x41, 64], true),
    ] {
        let frame = labelled(entries, swapped);
        let packet = Packet::new(&frame, Timestamp::default(), LinkType::ETHERNET);
        tracker.track(&packet, &mut recorder);
    }
    let frame = ethernet(0x0800, &inside());
    let packet = Packet::new(&frame, Timestamp::default(), LinkType::ETHERNET);
    tracker.track(&packet, &mut recorder);
    while tracker.finish(&mut recorder) {}
    let record = recorder.drain().next().unwrap();
    assert_eq!((record.initiator.packets, record.responder.packets), (2, 2));
    let entry = |label, class| MplsRecord {
        label,
        class,
        bottom: false,
    };
    assert_eq!(record.initiator.mpls, Some(entry(256_016, 5)));
    assert_eq!(record.responder.mpls, Some(entry(41, 0)));
    // Inside of a tunnel they are not looked at.
    let frame = vxlan(&labelled([0, 1, 0, 64, 0, 0, 0x41, 64], false));
    let extract = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
    let tunnelled = self::record(extract, &frame);
    assert_eq!(tunnelled.initiator.port, Some(5000));
    assert_eq!(tunnelled.initiator.mpls, None);
}

/// What counts in the flow that carries a tunnel has that flow's bytes.
#[test]
fn what_carries_a_tunnel_has_the_bytes_of_all() {
    let frame = vxlan(&ethernet(0x0800, &inside()));
    let whole = Some(frame.len() as u64 - 14);
    let off = record(FiveTuple::bidirectional().with_tunnel_id(), &frame);
    assert_eq!((off.tunnel, off.initiator.ip_bytes), (None, whole));
    let none_deep = Tunnels::all().max_depth(0);
    let extract = FiveTuple::bidirectional().with_tunnels(none_deep);
    assert_eq!(record(extract, &frame).initiator.ip_bytes, whole);
    // Nothing inside is IP: ARP, a version that is none, and a header that is longer than all.
    let mut broken = inside();
    broken[0] = 0x4f;
    broken[3] = 20;
    let broken = vxlan(&ethernet(0x0800, &broken));
    for frame in [
        vxlan(&ethernet(0x0806, &[0; 28])),
        vxlan(&ethernet(0x0800, &[0; 40])),
        broken,
    ] {
        let extract = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
        let record = record(extract, &frame);
        assert_eq!(record.initiator.port, Some(4000));
        assert_eq!(record.initiator.ip_bytes, Some(frame.len() as u64 - 14));
    }
}

/// Cut to each length, and with each byte damaged: what is counted is never more than there was.
#[test]
fn damaged_packets_have_no_more_bytes_than_they_are_long() {
    let flow = inside();
    let frame = vxlan(&ethernet(0x0800, &flow));
    let extract = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
    for len in 0..frame.len() {
        for damage in [0, 0xff] {
            let mut bytes = frame.clone();
            bytes[len] ^= damage;
            let bytes = if damage == 0 { &bytes[..len] } else { &bytes };
            let mut tracker = FlowTracker::new(extract);
            let mut recorder = FlowRecorder::new();
            let packet = Packet::new(bytes, Timestamp::default(), LinkType::ETHERNET);
            tracker.track(&packet, &mut recorder);
            while tracker.finish(&mut recorder) {}
            for record in recorder.drain() {
                let ip_bytes = record.initiator.ip_bytes.unwrap();
                assert!((20..bytes.len() as u64).contains(&ip_bytes), "{len}");
            }
        }
    }
}
