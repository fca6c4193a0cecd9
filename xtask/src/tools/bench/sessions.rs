//! Sessions next to those of flowscope's driver: TCP segments of random flows, each a message.
//!
//! The parser only counts bytes, so its own cost is next to nothing. Sequence numbers are written
//! into the frames as they are lent, which is part of the figures of both.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use flowscope::PacketView;
use flowscope::driver::{Driver, SlotHandle};
use flowscope::extract::FiveTuple as TheirTuple;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{ReassemblyConfig, Subscription};
use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker};
use netring_flow::{FlowTracker, TrackerConfig};
use netring_sys::{
    Clock, Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};
use xtask::wire;

use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// Packets in a batch.
const BATCH: usize = 256;
/// Bytes of a message.
const MESSAGE: usize = 200;
/// Nanoseconds between two packets: 2 million a second.
const APART: i64 = 500;
/// Bytes before the payload.
pub(super) const HEADERS: usize = 54;

const SYN: u8 = 2;
const ACK: u8 = 16;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    for flows in [100, 10_000] {
        messages(options, table, flows)?;
    }
    Ok(())
}

fn messages(options: &Options, table: &mut Table, flows: u32) -> Result<()> {
    let mut ours = Ours::new(flows)?;
    let mut theirs = Theirs::new(flows);
    let [cost, peer] = measure::in_turn(
        options,
        [
            &mut || Ok(measure::cost(options, || (ours.track(64 * BATCH), ()))),
            // It costs more with each flow.
            &mut || Ok(measure::cost(options, || (theirs.track(BATCH), ()))),
        ],
    )?;
    let stats = ours.sessions.stats();
    if stats.delivered != stats.received || ours.messages * MESSAGE as u64 != stats.delivered {
        return Err(format!("{} messages, {stats:?}", ours.messages).into());
    }
    let name = format!("sessions, {flows} flows, a message of {MESSAGE} bytes in each packet");
    let row = Row::new(name, "ns/packet", cost).peer("flowscope", peer);
    table.add(row.target(Target::AtMost(400.0)));
    Ok(())
}

/// A message is the number of bytes.
#[derive(Clone, Default)]
struct Count;

impl Parser for Count {
    type Message = usize;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<usize>,
    ) -> ControlFlow<SessionEnd> {
        messages.push(bytes.len());
        ControlFlow::Continue(())
    }
}

impl flowscope::SessionParser for Count {
    type Message = usize;

    fn feed_initiator(&mut self, bytes: &[u8], _: flowscope::Timestamp, out: &mut Vec<usize>) {
        out.push(bytes.len());
    }

    fn feed_responder(&mut self, bytes: &[u8], _: flowscope::Timestamp, out: &mut Vec<usize>) {
        out.push(bytes.len());
    }
}

struct Ours {
    sessions: SessionTracker<FiveTuple, Count>,
    events: Vec<SessionEvent<FiveTupleKey, usize>>,
    frames: Frames,
    messages: u64,
}

impl Ours {
    fn new(flows: u32) -> Result<Self> {
        let config = TrackerConfig::new().max_flows(2 * flows as usize);
        let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
        let (reassembly, all) = (ReassemblyConfig::new(), Subscription::all().ports([443]));
        Ok(Self {
            sessions: SessionTracker::new(tracker, reassembly, all, |_| Some(Count))?,
            events: Vec::new(),
            frames: Frames::new(flows, MESSAGE),
            messages: 0,
        })
    }

    fn track(&mut self, packets: usize) -> u64 {
        for _ in 0..packets / BATCH {
            self.frames.prepare();
            self.sessions
                .track_batch(&self.frames.batch(), &mut self.events);
            for event in self.events.drain(..) {
                self.messages += u64::from(matches!(event, SessionEvent::Message { .. }));
            }
        }
        packets as u64
    }
}

struct Theirs {
    driver: Driver<TheirTuple>,
    slot: SlotHandle<usize, flowscope::extract::FiveTupleKey>,
    frames: Frames,
}

impl Theirs {
    fn new(flows: u32) -> Self {
        let mut config = flowscope::FlowTrackerConfig::default();
        config.max_flows = 2 * flows as usize;
        let mut builder = Driver::builder(TheirTuple::bidirectional());
        builder.config(config);
        let slot = builder.session_on_ports(Count, [443]);
        Self {
            driver: builder.build(),
            slot,
            frames: Frames::new(flows, MESSAGE),
        }
    }

    fn track(&mut self, packets: usize) -> u64 {
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..packets / BATCH {
            self.frames.prepare();
            for packet in self.frames.batch().packets() {
                let seconds = packet.timestamp().as_nanos() / 1_000_000_000;
                let time = flowscope::Timestamp::new(seconds as u32, 0);
                self.driver
                    .track_into(PacketView::new(packet.data(), time), &mut events);
                events.clear();
            }
            self.slot.drain(&mut messages);
            black_box(&messages);
            messages.clear();
        }
        packets as u64
    }
}

/// A batch of segments, each of the flow that a random number chooses, and in the order of its
/// flow. The first of a flow is its SYN.
pub(super) struct Frames {
    len: usize,
    frames: Vec<u8>,
    next: Vec<u32>,
    random: u64,
    now: i64,
    lent: u64,
    end: Option<Instant>,
}

impl Frames {
    pub(super) fn new(flows: u32, payload: usize) -> Self {
        let frame = wire::tcp4(5000, 443, 1, ACK, &vec![7; payload]);
        Self {
            len: frame.len(),
            frames: frame.repeat(BATCH),
            next: vec![1; flows as usize],
            random: 0x9e37_79b9_7f4a_7c15,
            now: 1_700_000_000_000_000_000,
            lent: 0,
            end: None,
        }
    }

    /// Lends batches for this time only.
    pub(super) fn end_after(&mut self, time: Duration) {
        self.end = Some(Instant::now() + time);
    }

    /// The flow of a frame, counted from 0.
    pub(super) fn flow(frame: &[u8]) -> usize {
        usize::from(frame[28]) << 8 | usize::from(frame[29])
    }

    /// Writes flows and sequence numbers.
    fn prepare(&mut self) {
        let payload = (self.len - HEADERS) as u32;
        for frame in self.frames.chunks_mut(self.len) {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let flow = (self.random >> 32) as u32 % self.next.len() as u32;
            let next = &mut self.next[flow as usize];
            frame[26..30].copy_from_slice(&(0x0b00_0000 + flow).to_be_bytes());
            frame[38..42].copy_from_slice(&next.to_be_bytes());
            frame[47] = if *next == 1 { SYN } else { ACK };
            // Data in a SYN follows its own number.
            *next = next.wrapping_add(payload + u32::from(*next == 1));
        }
        self.now += APART * BATCH as i64;
    }

    const fn batch(&self) -> Batch<'_> {
        Batch(self)
    }
}

pub(super) struct Batch<'a>(&'a Frames);

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let Frames { len, now, .. } = *self.0;
        let frames = self.0.frames.chunks(len).enumerate();
        frames.map(move |(n, frame)| {
            let time = Timestamp::from_nanos(now + APART * n as i64, Clock::Software);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
    }
}

impl PacketSource for Frames {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> std::result::Result<Readiness, Error> {
        Ok(match self.end.is_none_or(|end| Instant::now() < end) {
            true => Readiness::Ready,
            false => Readiness::Ended,
        })
    }

    fn batch(&mut self) -> Batch<'_> {
        self.prepare();
        self.lent += BATCH as u64;
        Batch(self)
    }

    fn stats(&mut self) -> std::result::Result<Stats, Error> {
        Ok(Stats::counted(self.lent))
    }

    fn is_live(&self) -> bool {
        false
    }
}
