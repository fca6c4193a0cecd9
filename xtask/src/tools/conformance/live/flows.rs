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

#[cfg(test)]
mod tests {
    use netring_sys::{Checksum, Clock, LinkType, VlanTag};
    use xtask::wire::{tcp4, udp4};

    use super::*;

    fn packets(frames: &[Vec<u8>]) -> PacketVec {
        let mut packets = PacketVec::new();
        for (second, frame) in (1..).zip(frames) {
            let time = Timestamp::from_parts(second, 0, Clock::Unknown);
            packets.push(&Packet::new(frame, time, LinkType::ETHERNET));
        }
        packets
    }

    #[test]
    fn what_is_lost_changed_late_or_more_is_a_difference() {
        let frames: Vec<_> = (1..=4).map(|len| udp4(1, 2, &vec![0; len])).collect();
        let file = packets(&frames);
        let sent = [0, 1, 2];
        let differ = |numbers: &[usize]| {
            let received: Vec<_> = numbers.iter().map(|&at| frames[at].clone()).collect();
            packets_differ(&file, &sent, &packets(&received)).len()
        };
        assert_eq!(differ(&[0, 1, 2]), 0);
        assert_eq!(differ(&[0, 2]), 1);
        assert_eq!(differ(&[0, 1, 2, 3]), 1);
        assert_ne!(differ(&[0, 2, 1]), 0);
        assert_ne!(differ(&[0, 1, 3]), 0);
        let mut changed = frames[..3].to_vec();
        changed[1][20] ^= 1;
        assert_ne!(packets_differ(&file, &sent, &packets(&changed)).len(), 0);
    }

    #[test]
    fn a_tag_beside_the_bytes_is_part_of_them() {
        let frame = udp4(1, 2, b"tagged");
        let tag = [0x81, 0, 0, 5];
        let file = packets(&[[&frame[..12], &tag, &frame[12..]].concat()]);
        let time = Timestamp::EPOCH;
        let bare = Packet::new(&frame, time, LinkType::ETHERNET);
        let mut received = PacketVec::new();
        received.push(&bare.with_vlan(Some(VlanTag {
            tpid: 0x8100,
            tci: 5,
        })));
        assert_eq!(packets_differ(&file, &[0], &received), [""; 0]);
        received.clear();
        received.push(&bare.with_vlan(Some(VlanTag {
            tpid: 0x8100,
            tci: 6,
        })));
        assert_ne!(packets_differ(&file, &[0], &received), [""; 0]);
    }

    #[test]
    fn another_event_or_total_is_a_difference() {
        let file = packets(&[tcp4(1, 2, 9, 2, b""), tcp4(2, 1, 9, 18, b"")]);
        let reported = || track(file.iter());
        assert_eq!(reports_differ(&reported(), &reported()), [""; 0]);
        let live = track(file.iter().map(|packet| {
            let late = packet
                .timestamp()
                .saturating_add(std::time::Duration::from_nanos(1));
            at(&packet, late)
        }));
        assert_ne!(reports_differ(&reported(), &live), [""; 0]);
        let same = file.iter().map(|packet| at(&packet, packet.timestamp()));
        let same = track(same.map(|packet| packet.with_checksum(Checksum::Valid)));
        assert_eq!(reports_differ(&reported(), &same), [""; 0]);
        let fewer = track(file.iter().take(1));
        assert_ne!(reports_differ(&reported(), &fewer), [""; 0]);
        let mut miscounted = reported();
        miscounted.stats.packets += 1;
        assert_eq!(reports_differ(&reported(), &miscounted).len(), 1);
    }
}
