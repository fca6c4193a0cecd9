//! Reassembly next to flowscope's: segments of 1460 bytes, of flows in random order.

use std::hint::black_box;
use std::ops::ControlFlow;

use flowscope::extract::FiveTuple as TheirTuple;
use flowscope::reassembler::BufferedReassemblerFactory;
use flowscope::{FlowDriver, FlowSide, PacketView};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, StreamPoint, StreamVisitor, Subscription,
};
use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker};
use netring_flow::{FlowTracker, FlowVisitor, Segment};
use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};
use xtask::wire;

use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// Packets in a batch, whose frames fit into a cache.
const BATCH: usize = 128;
/// Payload of a segment.
const LEN: usize = 1460;
const FRAME: usize = 54 + LEN;
/// Nanoseconds between two packets.
const APART: i64 = 500;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let mut few = Ours::new(100, 0, true)?;
    let mut disorderly = Ours::new(100, 100, true)?;
    let mut many = Ours::new(100_000, 0, true)?;
    let mut unwanted = Ours::new(100, 0, false)?;
    let mut traffic = Traffic::new(100, 0);
    let mut theirs = FlowDriver::<TheirTuple, BufferedReassemblerFactory>::new(
        TheirTuple::bidirectional(),
        BufferedReassemblerFactory::default(),
    );
    let mut their = || {
        let time = flowscope::Timestamp::new(1, 0);
        for frame in &traffic.next().frames {
            for event in theirs.track(PacketView::new(frame, time)) {
                if let flowscope::FlowEvent::Packet { key, .. } = &event {
                    black_box(theirs.drain_buffer(key, FlowSide::Initiator).len());
                }
            }
        }
        BATCH as u64
    };
    let mut plain = Plain::new(100);
    let mut sessions = Sessions::new(10_000)?;
    let mut plain_many = Plain::new(10_000);
    let mut plain_most = Plain::new(100_000);
    let costs = measure::in_turn(
        options,
        [
            &mut || Ok(measure::cost(options, || (few.batch(), ()))),
            &mut || Ok(measure::cost(options, || (their(), ()))),
            &mut || Ok(measure::cost(options, || (disorderly.batch(), ()))),
            &mut || Ok(measure::cost(options, || (many.batch(), ()))),
            &mut || Ok(measure::cost(options, || (unwanted.batch(), ()))),
            &mut || Ok(measure::cost(options, || (plain.batch(), ()))),
            &mut || Ok(measure::cost(options, || (sessions.batch(), ()))),
            &mut || Ok(measure::cost(options, || (plain_many.batch(), ()))),
            &mut || Ok(measure::cost(options, || (plain_most.batch(), ()))),
        ],
    )?;
    let allocations = allocation_counter::measure(|| {
        few.batch();
    });
    for ours in [&few, &disorderly, &many, &unwanted] {
        ours.check()?;
    }
    rows(table, costs, allocations.count_total);
    Ok(())
}

fn rows(table: &mut Table, costs: [f64; 9], allocations: u64) {
    let [few_cost, peer, disorder_cost, many_cost, ..] = costs;
    let [
        ..,
        unwanted_cost,
        plain_cost,
        session_cost,
        plain_many_cost,
        plain_most_cost,
    ] = costs;
    let name = "reassembly, 100 flows in order";
    let row = Row::new(name, "ns/packet", few_cost).peer("flowscope", peer);
    table.add(row.target(Target::OfPeer(0.25)));
    let row = Row::new(format!("{name}, speed"), "GB/s", LEN as f64 / few_cost);
    table.add(row.target(Target::AtLeast(2.0)));
    let row = Row::new("… tracking and the packets alone", "ns/packet", plain_cost);
    table.add(row);
    let row = Row::new("… if no flow is subscribed to", "ns/packet", unwanted_cost);
    table.add(row);
    let row = Row::new(format!("{name}, allocations"), "count", allocations as f64);
    table.add(row.target(Target::AtMost(0.0)));
    let row = Row::new(
        "reassembly, 1 % out of order",
        "of in order",
        disorder_cost / few_cost,
    );
    table.add(row.target(Target::AtMost(1.5)));
    let row = Row::new("reassembly, 100,000 flows", "of 100", many_cost / few_cost);
    table.add(row.target(Target::AtMost(1.5)));
    let row = Row::new(
        "… tracking and the packets alone",
        "of 100",
        plain_most_cost / plain_cost,
    );
    table.add(row);
    let name = "sessions, 10,000 flows, a message a segment";
    let row = Row::new(name, "ns/packet", session_cost);
    table.add(row.target(Target::AtMost(400.0)));
    let row = Row::new(
        "… tracking and the packets alone",
        "ns/packet",
        plain_many_cost,
    );
    table.add(row);
}

/// A parser for each flow.
struct Sessions {
    traffic: Traffic,
    tracker: SessionTracker<FiveTuple, First>,
    events: Vec<SessionEvent<FiveTupleKey, u8>>,
}

/// Finds a message in each segment.
pub(super) struct First;

impl Parser for First {
    type Message = u8;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<u8>,
    ) -> ControlFlow<SessionEnd> {
        messages.push(bytes[0]);
        ControlFlow::Continue(())
    }
}

impl Sessions {
    fn new(flows: u32) -> Result<Self> {
        let mut sessions = Self {
            traffic: Traffic::new(flows, 0),
            tracker: SessionTracker::new(
                FlowTracker::new(FiveTuple::bidirectional()),
                ReassemblyConfig::new(),
                Subscription::all(),
                |_| Some(First),
            )?,
            events: Vec::with_capacity(2 * BATCH),
        };
        while sessions.traffic.round < 2 {
            sessions.batch();
        }
        Ok(sessions)
    }

    fn batch(&mut self) -> u64 {
        self.tracker
            .track_batch(self.traffic.next(), &mut self.events);
        black_box(&self.events);
        self.events.clear();
        BATCH as u64
    }
}

/// Counts the bytes, and reads one of each segment.
struct Count {
    wanted: bool,
    bytes: u64,
    gaps: u64,
}

impl StreamVisitor<FiveTupleKey> for Count {
    type State = u64;

    fn subscribe(&mut self, _: &Segment<'_, FiveTupleKey>) -> Interest<u64> {
        if self.wanted {
            Interest::Yes(0)
        } else {
            Interest::No
        }
    }

    fn data(
        &mut self,
        _: StreamPoint<'_, FiveTupleKey>,
        state: &mut u64,
        bytes: &[u8],
    ) -> ControlFlow<()> {
        *state += u64::from(bytes[0]);
        self.bytes += bytes.len() as u64;
        ControlFlow::Continue(())
    }

    fn gap(&mut self, _: StreamPoint<'_, FiveTupleKey>, _: &mut u64, _: u64) -> ControlFlow<()> {
        self.gaps += 1;
        ControlFlow::Continue(())
    }
}

struct Ours {
    traffic: Traffic,
    tracker: FlowTracker<FiveTuple>,
    streams: Reassembler<FiveTupleKey, Count>,
}

impl Ours {
    /// All flows have started.
    fn new(flows: u32, one_in: u32, wanted: bool) -> Result<Self> {
        let count = Count {
            wanted,
            bytes: 0,
            gaps: 0,
        };
        let mut ours = Self {
            traffic: Traffic::new(flows, one_in),
            tracker: FlowTracker::new(FiveTuple::bidirectional()),
            streams: Reassembler::new(ReassemblyConfig::new(), count)?,
        };
        while ours.traffic.round < 2 {
            ours.batch();
        }
        Ok(ours)
    }

    fn batch(&mut self) -> u64 {
        self.tracker
            .track_batch(self.traffic.next(), &mut self.streams);
        BATCH as u64
    }

    /// Everything was delivered or is held, and nothing was missing.
    fn check(&self) -> Result<()> {
        let (stats, count) = (self.streams.stats(), self.streams.visitor());
        let sent = if count.wanted {
            self.traffic.sent * LEN as u64
        } else {
            0
        };
        if count.gaps != 0 || count.bytes != stats.delivered || count.bytes + stats.held != sent {
            return Err(format!("{sent} bytes were sent: {stats:?}").into());
        }
        Ok(())
    }
}

/// The tracker with a visitor that looks at each segment only.
struct Plain {
    traffic: Traffic,
    tracker: FlowTracker<FiveTuple>,
    bytes: Look,
}

struct Look(u64);

impl FlowVisitor<FiveTupleKey> for Look {
    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        self.0 += u64::from(segment.payload[0]);
    }
}

impl Plain {
    fn new(flows: u32) -> Self {
        let mut plain = Self {
            traffic: Traffic::new(flows, 0),
            tracker: FlowTracker::new(FiveTuple::bidirectional()),
            bytes: Look(0),
        };
        while plain.traffic.round < 2 {
            plain.batch();
        }
        plain
    }

    fn batch(&mut self) -> u64 {
        self.tracker
            .track_batch(self.traffic.next(), &mut self.bytes);
        BATCH as u64
    }
}

/// Segments of flows in random order, each flow once in a round.
struct Traffic {
    frames: Vec<[u8; FRAME]>,
    order: Vec<u32>,
    at: usize,
    round: u32,
    /// Of how many pairs of segments one is swapped; 0 for none.
    one_in: u32,
    sent: u64,
}

impl Traffic {
    fn new(flows: u32, one_in: u32) -> Self {
        let mut frame = [7; FRAME];
        frame.copy_from_slice(&wire::tcp4(4000, 443, 1, 16, &[7; LEN]));
        let mut order: Vec<u32> = (0..flows).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for at in (1..order.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            order.swap(at, (state >> 33) as usize % (at + 1));
        }
        Self {
            frames: vec![frame; BATCH],
            order,
            at: 0,
            round: 0,
            one_in,
            sent: 0,
        }
    }

    /// Writes the next segments into the frames, as a ring does.
    fn next(&mut self) -> &Self {
        for frame in &mut self.frames {
            let flow = self.order[self.at];
            let mut round = self.round;
            // The first segment of each flow comes first.
            let pair = round.wrapping_sub(1) / 2;
            let hash = (flow ^ pair.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b) >> 8;
            if self.one_in != 0 && round != 0 && hash.is_multiple_of(self.one_in / 2) {
                round = if round % 2 == 1 { round + 1 } else { round - 1 };
            }
            let sequence = round.wrapping_mul(LEN as u32).wrapping_add(1);
            frame[26..30].copy_from_slice(&(0x0b00_0000 + flow).to_be_bytes());
            frame[38..42].copy_from_slice(&sequence.to_be_bytes());
            self.at += 1;
            if self.at == self.order.len() {
                self.at = 0;
                self.round += 1;
            }
        }
        self.sent += BATCH as u64;
        self
    }
}

impl PacketBatch for Traffic {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let start = 1_700_000_000_000_000_000 + self.sent as i64 * APART;
        self.frames.iter().zip(0..).map(move |(frame, n)| {
            let time = Timestamp::from_nanos(start + APART * n, Clock::Software);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
    }
}
