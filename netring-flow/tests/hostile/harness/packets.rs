//! Any bytes as packets of any link type at any time, in a table of eight flows: nothing panics,
//! the bound holds, and the books balance.

use netring_flow::extract::{FiveTuple, Piece, Tunnels};
use netring_flow::{EarlyFragments, FlowEvent, FlowTracker, FlowVisitor, Segment, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

const LINKS: [u16; 16] = [
    1, 101, 0, 113, 276, 108, 228, 229, 9, 12, 50, 51, 104, 117, 239, 127,
];
const ROOM: usize = 8;

/// All that a tracker finds.
struct Found<K> {
    events: Vec<FlowEvent<K>>,
    segments: u64,
    payload: u64,
    /// Bytes of fragments that were not shown.
    waited: u64,
}

impl<K> FlowVisitor<K> for Found<K> {
    fn event(&mut self, event: FlowEvent<K>) {
        self.events.push(event);
    }

    fn segment(&mut self, segment: &Segment<'_, K>) {
        assert!(segment.payload.len() as u64 <= u64::from(segment.payload_len));
        self.segments += 1;
        match segment.piece {
            Piece::Held => assert_eq!(segment.payload_len, 0),
            Piece::Reassembled => assert_eq!(segment.missing(), 0),
            _ => self.payload += u64::from(segment.payload_len),
        }
    }

    fn early_fragments(&mut self, fragments: &EarlyFragments<'_, K>) {
        self.segments += fragments.packets;
        self.waited += fragments.payload_bytes;
        assert!(fragments.payload_bytes <= fragments.bytes);
        assert!(fragments.first <= fragments.last);
    }
}

/// Each packet: four bits for the link type, four for how much a snap length cut off, a byte for
/// its length, one for the time that passed (two's complement, so that it goes back as well), its
/// bytes.
pub(crate) fn run(input: &[u8]) {
    let plain = FiveTuple::bidirectional().with_vlan();
    run_with(input, plain);
    run_with(input, plain.with_tunnels(Tunnels::all()).with_tunnel_id());
}

fn run_with(input: &[u8], extract: FiveTuple) {
    let config = TrackerConfig::new().max_flows(ROOM);
    // Memory for two packets.
    let config = config.max_fragmented(2).round_trips(true);
    let config = config.defragment(8192 + 2 * 768);
    let mut tracker = FlowTracker::with_config(extract, config).expect("the settings are in range");
    let mut found = Found {
        events: Vec::new(),
        segments: 0,
        payload: 0,
        waited: 0,
    };
    let (mut rest, mut now, mut started, mut counted) = (input, 0_i64, 0, 0);
    let (mut payload, mut bytes) = (0, 0);
    while let Some((&[link, len, passed], tail)) = rest.split_first_chunk() {
        let (data, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        // Up to 127 s ahead, and 128 s back; the far ends of time now and then.
        now = match passed {
            0x80 => i64::MIN,
            0x7f => i64::MAX,
            passed => now.saturating_add(i64::from(passed.cast_signed()) * 1_000_000_000),
        };
        let time = Timestamp::from_nanos(now, Clock::Unknown);
        // 0, 3, 7 … 65 535 bytes.
        let cut = (1_u32 << (link >> 4)) * 2 - 1;
        let cut = if cut == 1 { 0 } else { cut };
        let link = LinkType(LINKS[usize::from(link) % LINKS.len()]);
        let wire_len = data.len() as u32 + cut;
        let packet = Packet::new(data, time, link).with_wire_len(wire_len);
        tracker.track(&packet, &mut found);
        tracker.expire(time, &mut found);
        assert!(tracker.active_flows() <= ROOM);
    }
    while tracker.finish(&mut found) {}
    for event in &found.events {
        match event {
            FlowEvent::Started { .. } => started += 1,
            FlowEvent::Ended { history, stats, .. } => {
                assert!(history.to_string().len() <= 17);
                counted += stats.packets();
                payload += stats.forward.payload_bytes + stats.reverse.payload_bytes;
                bytes += stats.bytes();
            }
            _ => {}
        }
    }
    let stats = tracker.stats();
    assert_eq!(stats.flows_started, started);
    assert_eq!(stats.ended.total(), started);
    assert_eq!(stats.tracked, counted);
    assert!(payload <= bytes);
    assert_eq!(found.segments, stats.tracked);
    // Of fragments that were reassembled the bytes are shown once more, or not at all.
    let together = stats.fragments.defragment;
    if together.begun == 0 {
        assert_eq!(found.payload + found.waited, payload);
    }
    assert!(found.payload + found.waited <= payload);
    let outcomes = together.reassembled + together.incomplete.total();
    assert_eq!((together.begun, together.open), (outcomes, 0));
    assert!(together.memory_peak <= 8192 + 2 * 768);
    assert_eq!(
        stats.packets,
        stats.tracked + stats.icmp_errors + stats.untracked.total()
    );
}
