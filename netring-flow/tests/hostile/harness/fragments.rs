//! Fragments in any order, against a naive model of the table.

use std::collections::HashMap;
use std::time::Duration;

use netring_flow::extract::{FiveTuple, FiveTupleKey, Piece};
use netring_flow::{
    FlowEvent, FlowTracker, FlowVisitor, Segment, Timeouts, TrackerConfig, TrackerStats,
};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

/// Packets that are remembered, and for how many seconds.
const ROOM: usize = 3;
const SECONDS: u64 = 8;

/// Four bytes a fragment: what it is a part of, where it begins and how long it is in units of
/// eight bytes, how many seconds passed, and how much a snap length cut off.
pub(crate) fn run(input: &[u8]) {
    let config = TrackerConfig::new()
        .timeouts(Timeouts::never())
        .max_fragmented(ROOM)
        .fragment_timeout(Duration::from_secs(SECONDS));
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config.clone())
        .expect("the settings are in range");
    let mut together =
        FlowTracker::with_config(FiveTuple::bidirectional(), config.defragment(MEMORY))
            .expect("the settings are in range");
    let (mut events, mut model, mut now) = (Vec::new(), Model::default(), 0_u64);
    for step in input.chunks_exact(4) {
        now += u64::from(step[2] & 3);
        let fragment = Fragment::new(step[0], step[1]);
        let bytes = fragment.bytes();
        // Neither the headers nor the ports.
        let cut = match fragment.offset {
            0 => 0,
            _ => usize::from(step[3] & 7).min(usize::from(fragment.units) * 8),
        };
        let time = Timestamp::from_nanos(now as i64 * 1_000_000_000, Clock::Unknown);
        let packet = Packet::new(&bytes[..bytes.len() - cut], time, LinkType::RAW_IP)
            .with_wire_len(bytes.len() as u32);
        tracker.track(&packet, &mut events);
        together.track(&packet, &mut Together);
        model.take(&fragment, now);
    }
    let stats = tracker.stats();
    assert_eq!(
        stats.untracked.waiting + stats.untracked.fragments,
        model.untracked
    );
    assert_eq!(stats.tracked + model.untracked, stats.packets);
    while tracker.finish(&mut events) {}
    while together.finish(&mut Together) {}
    let stats = tracker.stats();
    same_but_for_what_is_reassembled(&stats, together.stats());
    assert_eq!(stats.untracked.waiting, 0);
    assert_eq!(stats.untracked.fragments, model.untracked);
    assert_eq!(stats.fragments.followed, model.followed);
    assert_eq!(stats.tracked + model.untracked, stats.packets);
    let (mut bytes, mut packets) = (0, 0);
    for event in &events {
        if let FlowEvent::Ended { stats, .. } = event {
            (bytes, packets) = (bytes + stats.bytes(), packets + stats.packets());
            assert!(stats.forward.payload_bytes + stats.reverse.payload_bytes <= stats.bytes());
        }
    }
    assert_eq!((bytes, packets), (stats.tracked_bytes, stats.tracked));
}

/// Memory for the packets that are reassembled: a few.
const MEMORY: usize = 4 * 4096;

/// Nothing else differs, and of what is reassembled the sum holds.
fn same_but_for_what_is_reassembled(stats: &TrackerStats, mut together: TrackerStats) {
    let figures = std::mem::take(&mut together.fragments.defragment);
    assert_eq!(*stats, together);
    let outcomes = figures.reassembled + figures.incomplete.total();
    assert_eq!((figures.begun, figures.open), (outcomes, 0));
    assert!(figures.memory == 0 && figures.memory_peak <= MEMORY as u64);
}

/// Looks at the packets that are reassembled.
struct Together;

impl FlowVisitor<FiveTupleKey> for Together {
    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        match segment.piece {
            Piece::Held => assert_eq!((segment.payload.len(), segment.payload_len), (0, 0)),
            // All bytes are of one packet, each in its place.
            Piece::Reassembled => {
                for (at, byte) in (8..).zip(segment.payload) {
                    assert_eq!(*byte & 0xf, at / 8);
                    assert_eq!(*byte >> 4, segment.payload[0] >> 4);
                }
            }
            Piece::First | Piece::Later | Piece::Whole => {}
        }
    }
}

struct Fragment {
    id: u8,
    sender: u8,
    port: u8,
    is_v6: bool,
    more: bool,
    offset: u8,
    units: u8,
}

impl Fragment {
    fn new(what: u8, place: u8) -> Self {
        Self {
            id: what & 3,
            sender: what >> 2 & 1,
            port: what >> 3 & 3,
            is_v6: what & 0x20 != 0,
            more: what & 0x40 != 0,
            offset: place & 7,
            units: place >> 3 & 7,
        }
    }

    /// The bytes of a part of a datagram; the first has the ports if it has any bytes.
    fn bytes(&self) -> Vec<u8> {
        // Which packet it is, and where in it.
        let packet = (self.id | self.sender << 2 | u8::from(self.is_v6) << 3) << 4;
        let units = self.offset..self.offset + self.units;
        let mut body: Vec<u8> = units.flat_map(|unit| [packet | unit & 0xf; 8]).collect();
        if self.offset == 0 && !body.is_empty() {
            body[..8].copy_from_slice(&[0, 1, 0, self.port, 0, 200, 0, 0]);
        }
        let mut packet = Vec::new();
        let ends = [self.sender, 1 - self.sender];
        let (offset, more) = (u16::from(self.offset), u16::from(self.more));
        if self.is_v6 {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((8 + body.len() as u16).to_be_bytes());
            packet.extend([44, 64]);
            for end in ends {
                packet.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
            }
            packet.extend([17, 0]);
            packet.extend((offset << 3 | more).to_be_bytes());
            packet.extend([0, 0, 0, self.id]);
        } else {
            packet.extend([0x45, 0]);
            packet.extend((20 + body.len() as u16).to_be_bytes());
            packet.extend([0, self.id]);
            packet.extend((offset | more << 13).to_be_bytes());
            packet.extend([64, 17, 0, 0]);
            for end in ends {
                packet.extend([10, 0, 0, end]);
            }
        }
        packet.extend(body);
        packet
    }
}

/// Identification, sender and version.
type Datagram = (u8, u8, bool);

/// What is remembered of a packet: when, its flow, and what was seen of it.
struct About {
    time: u64,
    flow: Option<u8>,
    units: Vec<u8>,
    end: Option<u8>,
}

impl About {
    fn see(&mut self, fragment: &Fragment) {
        let last = fragment.offset + fragment.units;
        self.units.extend(fragment.offset..last);
        if !fragment.more {
            self.end = Some(last);
        }
    }

    fn is_complete(&self) -> bool {
        let has = |end| (0..end).all(|unit| self.units.contains(&unit));
        self.end.is_some_and(|end| end > 0 && has(end))
    }
}

/// Fragments that wait for the first of their packet.
struct Waiting {
    datagram: Datagram,
    since: u64,
    fragments: u64,
    units: Vec<u8>,
    end: Option<u8>,
}

/// The packets, the oldest first.
#[derive(Default)]
struct Model {
    waiting: Vec<Waiting>,
    order: Vec<Datagram>,
    about: HashMap<Datagram, About>,
    followed: u64,
    /// Those that wait included.
    untracked: u64,
}

impl Model {
    fn take(&mut self, fragment: &Fragment, now: u64) {
        let datagram = (fragment.id, fragment.sender, fragment.is_v6);
        let known = self.about.get_mut(&datagram);
        let is_known = known.is_some();
        let current = known.filter(|about| now - about.time <= SECONDS);
        if fragment.offset != 0 {
            match current {
                Some(about) => {
                    self.followed += 1;
                    about.see(fragment);
                }
                None => {
                    self.untracked += 1;
                    self.wait(datagram, fragment, now);
                }
            }
            return;
        }
        // Whole.
        if !fragment.more {
            return;
        }
        let flow = (fragment.units > 0).then_some(fragment.port);
        self.waiting
            .retain(|waiting| now - waiting.since <= SECONDS);
        let waited = self
            .waiting
            .iter()
            .position(|waiting| waiting.datagram == datagram);
        let waited = waited.map(|at| self.waiting.remove(at));
        if let Some(waited) = &waited {
            self.untracked -= waited.fragments;
            self.followed += waited.fragments;
        }
        let current = self.about.get_mut(&datagram);
        let current = current.filter(|about| now - about.time <= SECONDS);
        if let Some(about) = current
            && !about.is_complete()
            && about.flow == flow
        {
            return about.see(fragment);
        }
        if !is_known {
            if self.order.len() == ROOM {
                self.about.remove(&self.order.remove(0));
            }
            self.order.push(datagram);
        }
        let (units, end) =
            waited.map_or_else(Default::default, |waited| (waited.units, waited.end));
        let mut about = About {
            time: now,
            flow,
            units,
            end,
        };
        about.see(fragment);
        self.about.insert(datagram, about);
    }

    fn wait(&mut self, datagram: Datagram, fragment: &Fragment, now: u64) {
        self.waiting
            .retain(|waiting| now - waiting.since <= SECONDS);
        let known = self
            .waiting
            .iter()
            .position(|waiting| waiting.datagram == datagram);
        let at = known.unwrap_or_else(|| {
            if self.waiting.len() == ROOM {
                self.waiting.remove(0);
            }
            self.waiting.push(Waiting {
                datagram,
                since: now,
                fragments: 0,
                units: Vec::new(),
                end: None,
            });
            self.waiting.len() - 1
        });
        let waiting = &mut self.waiting[at];
        waiting.fragments += 1;
        let last = fragment.offset + fragment.units;
        waiting.units.extend(fragment.offset..last);
        if !fragment.more {
            waiting.end = Some(last);
        }
    }
}
