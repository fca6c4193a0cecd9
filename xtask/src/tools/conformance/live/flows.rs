//! The engine's reports for packets of any origin.

use std::ops::{ControlFlow, Range};

use netring_flow::extract::{FiveTuple, FiveTupleKey, Orientation, Tunnels};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, ReassemblyStats, StreamEnd, StreamPoint, StreamVisitor,
};
use netring_flow::{FlowEvent, FlowTracker, Segment, TrackerStats};
use netring_sys::{Packet, PacketVec, Timestamp};

use crate::Result;

/// The number of differences that are printed for one capture and path.
const PRINTED: usize = 10;

/// Everything that a tracker and a reassembler report, in order, and their totals.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) items: Vec<Item>,
    pub(super) stats: TrackerStats,
    pub(super) reassembly: ReassemblyStats,
}

impl Reported {
    /// The same if each packet has so many more bytes on the wire.
    pub(super) fn grown(mut self, by: i64) -> Self {
        let grow = |bytes: &mut u64, packets: u64| {
            *bytes = bytes.wrapping_add_signed(by * packets.cast_signed());
        };
        for item in &mut self.items {
            if let Item::Event(FlowEvent::Ended { stats, .. } | FlowEvent::Tick { stats, .. }) =
                item
            {
                grow(&mut stats.forward.bytes, stats.forward.packets);
                grow(&mut stats.reverse.bytes, stats.reverse.packets);
            }
        }
        grow(&mut self.stats.tracked_bytes, self.stats.tracked);
        self
    }
}

/// One report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// With the figures and the history of the flow, if it ends.
    Event(FlowEvent<FiveTupleKey>),
    Stream(StreamAt, Report),
}

/// Where in a stream something is: its flow and side, the offset, and the time.
type StreamAt = (FiveTupleKey, Orientation, u64, Timestamp);

/// The reports of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    Bytes(Vec<u8>),
    /// The payload of a packet that is not TCP.
    Datagram(Vec<u8>),
    Missing(u64),
    Inconsistent(Range<u64>),
    End(StreamEnd),
}

/// Notes all reports, of all streams.
#[derive(Default)]
struct Notes(Vec<Item>);

impl Notes {
    fn add(&mut self, at: &StreamPoint<'_, FiveTupleKey>, report: Report) {
        let at = (*at.key, at.orientation, at.offset, at.time);
        self.0.push(Item::Stream(at, report));
    }
}

impl StreamVisitor<FiveTupleKey> for Notes {
    type State = ();

    fn subscribe(&mut self, _: &Segment<'_, FiveTupleKey>) -> Interest<()> {
        Interest::Yes(())
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> ControlFlow<()> {
        self.add(&at, Report::Bytes(bytes.to_vec()));
        ControlFlow::Continue(())
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        missing: u64,
    ) -> ControlFlow<()> {
        self.add(&at, Report::Missing(missing));
        ControlFlow::Continue(())
    }

    fn inconsistent(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        at_bytes: Range<u64>,
    ) {
        self.add(&at, Report::Inconsistent(at_bytes));
    }

    fn end(&mut self, at: StreamPoint<'_, FiveTupleKey>, (): &mut (), why: StreamEnd) {
        self.add(&at, Report::End(why));
    }

    fn datagram(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        datagram: &Segment<'_, FiveTupleKey>,
    ) -> ControlFlow<()> {
        self.add(&at, Report::Datagram(datagram.payload.to_vec()));
        ControlFlow::Continue(())
    }

    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        self.0.push(Item::Event(event));
    }
}

/// A name of keys, and what makes them.
type Keys = (&'static str, fn() -> FiveTuple);

/// Two sets of keys: by the outer packets alone, and by everything that the engine can read.
pub(super) const KEYS: [Keys; 2] = [
    ("tunnels off", outer),
    ("tunnels on", || {
        let all = outer().with_tunnels(Tunnels::all());
        all.with_tunnel_id().with_vlan()
    }),
];

fn outer() -> FiveTuple {
    FiveTuple::bidirectional().with_icmp_errors_as_flows()
}

/// Tracks packets and reassembles all flows with the default settings, timeouts and closing of
/// connections included.
pub(super) fn track<'a>(
    extract: FiveTuple,
    packets: impl Iterator<Item = Packet<'a>>,
) -> Result<Reported> {
    let mut tracker = FlowTracker::new(extract);
    let mut streams = Reassembler::new(ReassemblyConfig::new(), Notes::default())?;
    for packet in packets {
        tracker.track(&packet, &mut streams);
    }
    while tracker.finish(&mut streams) {}
    Ok(Reported {
        stats: tracker.stats(),
        reassembly: streams.stats(),
        items: streams.into_visitor().0,
    })
}

/// The packet as it was captured, with the time that it has in the file, and without the bytes that
/// are missing there.
pub(super) fn at<'a>(packet: &Packet<'a>, original: &Packet<'_>) -> Packet<'a> {
    let len = packet.data().len().saturating_sub(missing(original));
    let time = original.timestamp();
    Packet::new(&packet.data()[..len], time, packet.link_type())
        .with_vlan(packet.vlan())
        .with_wire_len(packet.wire_len())
        .with_interface(packet.interface())
        .with_direction(packet.direction())
        .with_checksum(packet.checksum())
        .with_offload(packet.offload())
}

/// The number of bytes that a snap length cut off.
pub(super) fn missing(packet: &Packet<'_>) -> usize {
    (packet.wire_len() as usize).saturating_sub(packet.data().len())
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

/// One line for each report that differs, and one for each of the totals.
pub(super) fn reports_differ(file: &Reported, live: &Reported) -> Vec<String> {
    let mut lines = Vec::new();
    let longest = file.items.len().max(live.items.len());
    for at in 0..longest {
        let (expected, found) = (file.items.get(at), live.items.get(at));
        if expected != found {
            lines.push(format!("report {at} {found:?}, from the file {expected:?}"));
        }
    }
    if file.stats != live.stats {
        lines.push(format!(
            "totals {:?}, from the file {:?}",
            live.stats, file.stats
        ));
    }
    if file.reassembly != live.reassembly {
        let (found, expected) = (&live.reassembly, &file.reassembly);
        lines.push(format!("reassembly {found:?}, from the file {expected:?}"));
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
        let reported = || track(outer(), file.iter()).unwrap();
        assert_eq!(reports_differ(&reported(), &reported()), [""; 0]);
        let time_of = |second| Timestamp::from_parts(second, 0, Clock::Unknown);
        let of = |second| Packet::new(&[], time_of(second), LinkType::ETHERNET);
        let late = file.iter().zip(2..);
        let late = late.map(|(packet, second)| at(&packet, &of(second)));
        let late = track(outer(), late).unwrap();
        assert_ne!(reports_differ(&reported(), &late), [""; 0]);
        let same = file.iter().map(|packet| at(&packet, &packet));
        let same = track(
            outer(),
            same.map(|packet| packet.with_checksum(Checksum::Valid)),
        )
        .unwrap();
        assert_eq!(reports_differ(&reported(), &same), [""; 0]);
        let fewer = track(outer(), file.iter().take(1)).unwrap();
        assert_ne!(reports_differ(&reported(), &fewer), [""; 0]);
        let mut miscounted = reported();
        miscounted.stats.packets += 1;
        assert_eq!(reports_differ(&reported(), &miscounted).len(), 1);
    }

    #[test]
    fn what_was_filled_is_cut_again() {
        let whole = packets(&[tcp4(1, 2, 9, 24, b"of which some is missing")]);
        let received = whole.get(0).unwrap();
        let original = Packet::new(&[1; 60], Timestamp::EPOCH, LinkType::RAW_IP);
        let cut = at(&received, &original.with_wire_len(67));
        assert_eq!(cut.data(), &received.data()[..received.data().len() - 7]);
        assert_eq!(cut.wire_len(), received.wire_len());
        assert_eq!(cut.timestamp(), Timestamp::EPOCH);
    }

    #[test]
    fn more_bytes_in_each_packet_are_more_bytes_of_its_flow() {
        let ethernet = packets(&[tcp4(1, 2, 9, 2, b""), tcp4(2, 1, 9, 18, b"and data")]);
        let raw = ethernet
            .iter()
            .map(|packet| Packet::new(&packet.data()[14..], packet.timestamp(), LinkType::RAW_IP));
        let of = |packets: &PacketVec| track(outer(), packets.iter()).unwrap();
        let raw: PacketVec = raw.collect();
        assert_eq!(reports_differ(&of(&raw).grown(14), &of(&ethernet)), [""; 0]);
        assert_eq!(
            reports_differ(&of(&raw), &of(&ethernet).grown(-14)),
            [""; 0]
        );
        // The end of both flows, and the totals.
        assert_eq!(reports_differ(&of(&raw).grown(13), &of(&ethernet)).len(), 3);
    }
}
