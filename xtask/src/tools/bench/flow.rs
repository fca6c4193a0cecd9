//! The flow engine next to flowscope's tracker: 64-byte TCP segments of random flows, with
//! timeouts, states, figures and events enabled in both.

use std::fs;

use flowscope::PacketView;
use flowscope::extract::FiveTuple as TheirTuple;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowEvent, FlowTracker, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};
use xtask::wire;

use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// Packets in a batch.
const BATCH: usize = 256;
/// Packets in one call of a measured program.
const CALL: usize = 1 << 14;
/// Nanoseconds between two packets: 2 million a second.
const APART: i64 = 500;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Flows, the highest cost, and the highest part of the peer's.
const SIZES: [(usize, f64, f64); 3] = [
    (1, 35.0, 1.0 / 4.0),
    (10_000, 45.0, 1.0 / 8.0),
    (1_000_000, 120.0, 1.0 / 8.0),
];

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    for (flows, most, part) in SIZES {
        steady(options, table, flows, most, part)?;
    }
    flood(options, table)
}

/// Packets of established flows.
fn steady(options: &Options, table: &mut Table, flows: usize, most: f64, part: f64) -> Result<()> {
    let all: Vec<_> = (0..flows).map(|n| segment(n as u32, ACK)).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let order = (0..(2 * flows).max(8 * CALL)).map(|_| all[random.below(flows)]);
    let mut order = Replay::new(order.collect());

    let before = resident()?;
    let mut ours = Ours::new(2 * flows)?;
    ours.track(&all);
    let each = (resident()? - before) as f64 / flows as f64;
    let mut config = flowscope::FlowTrackerConfig::default();
    config.max_flows = 2 * flows;
    let extract = TheirTuple::bidirectional();
    let mut theirs = flowscope::FlowTracker::<TheirTuple>::with_config(extract, config);
    let mut now = 0_i64;
    let mut their = |frames: &[Frame]| {
        for frame in frames {
            now += APART;
            let time = flowscope::Timestamp::new(1 + (now / 1_000_000_000) as u32, 0);
            std::hint::black_box(theirs.track(PacketView::new(frame, time)));
        }
        frames.len() as u64
    };
    let before = resident()?;
    their(&all);
    let their_each = (resident()? - before) as f64 / flows as f64;

    let allocations = allocation_counter::measure(|| ours.track(order.next()));
    let mut again = Replay::new(order.frames.clone());
    let [cost, peer] = measure::in_turn(
        options,
        [
            &mut || {
                Ok(measure::cost(options, || {
                    let frames = order.next();
                    ours.track(frames);
                    (frames.len() as u64, ())
                }))
            },
            &mut || Ok(measure::cost(options, || (their(again.next()), ()))),
        ],
    )?;
    if ours.tracker.active_flows() != flows {
        let active = ours.tracker.active_flows();
        return Err(format!("{flows} flows were sent, {active} are in the table").into());
    }
    let name = format!("flow engine, {flows} flows");
    let row = Row::new(&name, "ns/packet", cost).peer("flowscope", peer);
    table.add(row.target(Target::OfPeer(part)));
    table.add(Row::new(&name, "ns/packet", cost).target(Target::AtMost(most)));
    let row = Row::new(
        format!("{name}, allocations"),
        "count",
        allocations.count_total as f64,
    );
    table.add(row.target(Target::AtMost(0.0)));
    if flows == 1_000_000 {
        let row = Row::new(format!("{name}, resident"), "B/flow", each);
        let row = row.peer("flowscope", their_each);
        table.add(row.target(Target::AtMost(256.0)));
    }
    Ok(())
}

/// A full table, half of it established, and SYNs of which each starts a new flow.
fn flood(options: &Options, table: &mut Table) -> Result<()> {
    const ROOM: usize = 1 << 20;
    let established = ROOM / 2;
    let mut ours = Ours::new(ROOM)?;
    for n in 0..established as u32 {
        ours.track(&[segment(n, SYN), answer(n), segment(n, ACK)]);
    }
    let syns = (0..2 * ROOM as u32).map(|n| segment(ROOM as u32 + n, SYN));
    let mut syns = Replay::new(syns.collect());
    for _ in 0..ROOM / CALL {
        ours.track(syns.next());
    }
    let [cost] = measure::in_turn(
        options,
        [&mut || {
            Ok(measure::cost(options, || {
                let frames = syns.next();
                ours.track(frames);
                (frames.len() as u64, ())
            }))
        }],
    )?;
    let stats = ours.tracker.stats();
    if stats.ended.table_full + stats.ended.emergency != stats.ended.total() {
        return Err(format!("flows ended for other reasons: {:?}", stats.ended).into());
    }
    for n in 0..established as u32 {
        ours.track(&[segment(n, ACK)]);
    }
    let lost = ours.tracker.stats().flows_started - stats.flows_started;
    let row = Row::new("flow engine, SYN flood on a full table", "ns/packet", cost);
    table.add(row.target(Target::AtMost(250.0)));
    let row = Row::new("… established flows lost", "count", lost as f64);
    table.add(row.target(Target::AtMost(0.0)));
    Ok(())
}

struct Ours {
    tracker: FlowTracker<FiveTuple>,
    events: Vec<FlowEvent<FiveTupleKey>>,
    now: i64,
}

impl Ours {
    fn new(room: usize) -> Result<Self> {
        let config = TrackerConfig::new().max_flows(room);
        Ok(Self {
            tracker: FlowTracker::with_config(FiveTuple::bidirectional(), config)?,
            events: Vec::with_capacity(4 * BATCH),
            now: 1_700_000_000_000_000_000,
        })
    }

    fn track(&mut self, frames: &[Frame]) {
        for frames in frames.chunks(BATCH) {
            let batch = Batch {
                frames,
                start: self.now,
            };
            self.tracker.track_batch(&batch, &mut self.events);
            self.events.clear();
            self.now += APART * frames.len() as i64;
        }
    }
}

struct Batch<'a> {
    frames: &'a [Frame],
    start: i64,
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames.iter().enumerate().map(|(n, frame)| {
            let time = Timestamp::from_nanos(self.start + APART * n as i64, Clock::Software);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
    }
}

type Frame = [u8; 64];

/// Frames in memory order, as in a ring, over and over.
struct Replay {
    frames: Vec<Frame>,
    at: usize,
}

impl Replay {
    const fn new(frames: Vec<Frame>) -> Self {
        Self { frames, at: 0 }
    }

    fn next(&mut self) -> &[Frame] {
        if self.at + CALL > self.frames.len() {
            self.at = 0;
        }
        self.at += CALL;
        &self.frames[self.at - CALL..self.at]
    }
}

/// A segment of a client's flow.
fn segment(flow: u32, flags: u8) -> Frame {
    let mut frame = [0; 64];
    // Padding follows the total length.
    frame[..54].copy_from_slice(&wire::tcp4(443, 443, 1, flags, &[]));
    frame[26..30].copy_from_slice(&(0x0b00_0000 + flow).to_be_bytes());
    // After the SYN-ACK of the other end, whose sequence number is 1 as well.
    let [sequence, ack] = if flags & SYN == 0 { [2_u32, 2] } else { [1, 0] };
    frame[38..42].copy_from_slice(&sequence.to_be_bytes());
    frame[42..46].copy_from_slice(&ack.to_be_bytes());
    frame
}

/// The server's answer to a SYN.
fn answer(flow: u32) -> Frame {
    let mut frame = segment(flow, SYN | ACK);
    let (source, target): ([u8; 4], [u8; 4]) = (
        [frame[26], frame[27], frame[28], frame[29]],
        [frame[30], frame[31], frame[32], frame[33]],
    );
    frame[26..30].copy_from_slice(&target);
    frame[30..34].copy_from_slice(&source);
    frame[42..46].copy_from_slice(&2_u32.to_be_bytes());
    frame
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}

/// Resident bytes of this process.
fn resident() -> Result<i64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: i64 = statm.split(' ').nth(1).unwrap_or("0").parse()?;
    Ok(pages * nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096))
}
