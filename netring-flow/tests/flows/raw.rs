//! Packets byte by byte, valid or not.

use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_flow::{FlowStats, FlowTracker, TrackerStats};
use netring_sys::{LinkType, Packet};

use crate::common::at;

/// What the built-in extractor reads.
pub(crate) fn read(packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
    FiveTuple::bidirectional().extract(packet)
}

/// An IPv4 header without options, from 192.0.2.1 to 192.0.2.9, and its body.
pub(crate) fn ip4(total_len: usize, protocol: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (total_len as u16).to_be_bytes();
    let mut bytes = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes.extend([192, 0, 2, 1, 192, 0, 2, 9]);
    bytes.extend(body);
    bytes
}

/// An IPv6 header from 2001:db8::1 to 2001:db8::9, and its body.
pub(crate) fn ip6(payload_len: usize, next: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (payload_len as u16).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, high, low, next, 64];
    for last in [1, 9] {
        bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend(body);
    bytes
}

/// A UDP header from port 5000 to 53 with this length field, and bytes after it.
pub(crate) fn udp(len_field: u16, behind: usize) -> Vec<u8> {
    let [high, low] = len_field.to_be_bytes();
    let mut bytes = vec![0x13, 0x88, 0, 53, high, low, 0, 0];
    bytes.resize(8 + behind, b'u');
    bytes
}

/// A TCP header with ACK, from port 5000 to 53, that states this length, and bytes after the first
/// 20.
pub(crate) fn tcp(header_len: u8, behind: usize) -> Vec<u8> {
    let mut bytes = vec![0x13, 0x88, 0, 53, 0, 0, 0, 1, 0, 0, 0, 1];
    bytes.extend([(header_len / 4) << 4, 16, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(20 + behind, b't');
    bytes
}

/// An Ethernet frame, padded with zeros to 60 bytes.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let ether_type: [u8; 2] = if packet[0] >> 4 == 6 {
        [0x86, 0xdd]
    } else {
        [8, 0]
    };
    let mut frame = [&[2; 12][..], &ether_type, packet].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// What became of one packet: its flow, if it has one, and the statistics of the tracker.
pub(crate) fn tracked(packet: &Packet<'_>) -> (Option<(String, FlowStats)>, TrackerStats) {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    tracker.track(packet, &mut events);
    while tracker.finish(&mut events) {}
    let flow = events.iter().find_map(|event| match event {
        netring_flow::FlowEvent::Ended { key, stats, .. } => Some((key.to_string(), **stats)),
        _ => None,
    });
    (flow, tracker.stats())
}

/// The result of [`tracked`] in one line: the flow's key, bytes of payload, and marks.
pub(crate) fn line(packet: &Packet<'_>) -> String {
    let (flow, stats) = tracked(packet);
    let Some((key, flow)) = flow else {
        return format!("{:?}", read(packet).err());
    };
    assert_eq!((flow.packets(), stats.tracked), (1, 1));
    assert_eq!(u64::from(flow.cut), stats.cut);
    assert_eq!(u64::from(flow.malformed), stats.malformed);
    let payload = flow.by_initiator().payload_bytes;
    let cut = if flow.cut { " cut" } else { "" };
    let malformed = if flow.malformed { " malformed" } else { "" };
    format!("{key} {payload}{cut}{malformed}")
}

/// A packet from its IP header on.
pub(crate) fn bare(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, at(0.0), LinkType::RAW_IP)
}

/// A frame with this length on the wire.
pub(crate) fn frame(bytes: &[u8], wire_len: usize) -> Packet<'_> {
    Packet::new(bytes, at(0.0), LinkType::ETHERNET).with_wire_len(wire_len as u32)
}
