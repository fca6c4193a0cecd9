//! What the engine reports of packets, wherever they come from.

use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowEvent, FlowTracker, TrackerStats};
use netring_sys::{Packet, PacketVec, Timestamp};

/// The number of differences that are printed for one capture and path.
const PRINTED: usize = 10;

/// Everything that a tracker reports: each event with its flow's figures, and the totals.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) events: Vec<FlowEvent<FiveTupleKey>>,
    pub(super) stats: TrackerStats,
}

/// Tracks packets with the default settings, timeouts and closing of connections included.
pub(super) fn track<'a>(packets: impl Iterator<Item = Packet<'a>>) -> Reported {
    let extract = FiveTuple::bidirectional().with_icmp_errors_as_flows();
    let mut tracker = FlowTracker::new(extract);
    let mut events = Vec::new();
    for packet in packets {
        tracker.track(&packet, &mut events);
    }
    while tracker.finish(&mut events) {}
    Reported {
        events,
        stats: tracker.stats(),
    }
}

/// The packet as it was captured, with the time that it has in the file.
pub(super) fn at<'a>(packet: &Packet<'a>, time: Timestamp) -> Packet<'a> {
    Packet::new(packet.data(), time, packet.link_type())
        .with_vlan(packet.vlan())
        .with_wire_len(packet.wire_len())
        .with_interface(packet.interface())
        .with_direction(packet.direction())
        .with_checksum(packet.checksum())
        .with_offload(packet.offload())
}

/// One line for each packet that did not arrive as it was sent. `sent` are the indexes in `file`.
pub(super) fn packets_differ(
    file: &PacketVec,
    sent: &[usize],
    received: &PacketVec,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut arrived = received.iter().peekable();
    for &index in sent {
        let Some(original) = file.get(index) else {
            continue;
        };
        if arrived
            .next_if(|packet| is_same(&original, packet))
            .is_none()
        {
            let (number, len) = (index + 1, original.wire_len());
            lines.push(format!(
                "packet {number}, {len} bytes, did not arrive as it was sent"
            ));
        }
    }
    for packet in arrived {
        lines.push(format!(
            "a packet of {} bytes that was not sent",
            packet.wire_len()
        ));
    }
    shorten(lines)
}

/// Whether the bytes on the wire are equal: tags that were moved out of the bytes are put back.
fn is_same(sent: &Packet<'_>, received: &Packet<'_>) -> bool {
    !received.is_cut()
        && sent.wire_len() == received.wire_len()
        && on_wire(sent) == on_wire(received)
}

fn on_wire(packet: &Packet<'_>) -> Vec<u8> {
    packet.wire_bytes().pieces().concat()
}

/// One line for each event that differs, and one for the totals.
pub(super) fn reports_differ(file: &Reported, live: &Reported) -> Vec<String> {
    let mut lines = Vec::new();
    let longest = file.events.len().max(live.events.len());
    for at in 0..longest {
        let (expected, found) = (file.events.get(at), live.events.get(at));
        if expected != found {
            lines.push(format!("event {at} {found:?}, from the file {expected:?}"));
        }
    }
    if file.stats != live.stats {
        lines.push(format!(
            "totals {:?}, from the file {:?}",
            live.stats, file.stats
        ));
    }
    shorten(lines)
}

fn shorten(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > PRINTED {
        let more = lines.len() - PRINTED;
        lines.truncate(PRINTED);
        lines.push(format!("{more} more"));
    }
    lines
}
