//! The flow engine over packets in memory: TCP segments of 64 bytes, with states, figures, timeouts
//! and events. `cargo xtask instructions` counts the functions named `measured_*`.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use std::ops::ControlFlow;

use divan::Bencher;
use divan::counter::ItemsCount;
use etherparse::PacketBuilder;
use netring_flow::extract::{FiveTuple, FiveTupleKey, Tunnels};
use netring_flow::reassembly::{ReassemblyConfig, Subscription};
use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker};
use netring_flow::{FlowEvent, FlowTracker, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};

/// What one call works on. `cargo xtask instructions` knows this number.
const PACKETS: usize = 4096;
/// Packets that a source lends at once.
const BATCH: usize = 256;
/// Nanoseconds between two packets.
const APART: i64 = 500;

fn main() {
    divan::main();
}

/// Packets of flows that are established: 1024 of them, each packet of another one than the last.
#[divan::bench]
fn established(bencher: Bencher<'_, '_>) {
    let segments = (0..1024).map(|flow| segment(flow, false)).collect();
    known(bencher, FiveTuple::bidirectional(), segments);
}

/// The same in VXLAN, with all tunnels looked into.
#[divan::bench]
fn in_vxlan(bencher: Bencher<'_, '_>) {
    let segments = (0..1024).map(|flow| vxlan(&segment(flow, false))).collect();
    let extract = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
    known(bencher, extract, segments);
}

/// Packets of flows of which each has one here.
fn known(bencher: Bencher<'_, '_>, extract: FiveTuple, segments: Vec<Vec<u8>>) {
    let order = (0..PACKETS).map(|n| segments[n * 389 % segments.len()].clone());
    let order: Vec<_> = order.collect();
    let mut engine = Engine::new(extract, 2048);
    engine.track(&segments);
    bencher
        .counter(ItemsCount::new(PACKETS))
        .bench_local(|| measured_track(&mut engine, &order));
}

/// SYNs of which each is a flow of its own, into a table that is full.
#[divan::bench]
fn new_flows(bencher: Bencher<'_, '_>) {
    let syns: Vec<_> = (0..2 * PACKETS as u32)
        .map(|flow| segment(flow, true))
        .collect();
    let (first, second) = syns.split_at(PACKETS);
    let mut engine = Engine::new(FiveTuple::bidirectional(), PACKETS);
    engine.track(first);
    let mut turn = false;
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        turn = !turn;
        measured_track(&mut engine, if turn { second } else { first });
    });
}

/// Segments of 100 sessions, of which each is a message.
#[divan::bench]
fn sessions(bencher: Bencher<'_, '_>) {
    let frames: Vec<_> = (0..PACKETS as u32 + 100).map(message).collect();
    let mut engine = Sessions::new();
    // The first segment of each starts it.
    engine.track(&frames[..100]);
    let frames = &frames[100..];
    bencher
        .counter(ItemsCount::new(frames.len()))
        .bench_local(|| measured_sessions(&mut engine, frames));
}

#[inline(never)]
fn measured_sessions(engine: &mut Sessions, frames: &[Vec<u8>]) {
    engine.track(frames);
}

struct Sessions {
    tracker: SessionTracker<FiveTuple, Count>,
    events: Vec<SessionEvent<FiveTupleKey, usize>>,
    now: i64,
}

impl Sessions {
    fn new() -> Self {
        let tracker = SessionTracker::new(
            FlowTracker::new(FiveTuple::bidirectional()),
            ReassemblyConfig::new(),
            Subscription::all(),
            |_| Some(Count),
        );
        Self {
            tracker: tracker.unwrap(),
            events: Vec::with_capacity(4 * BATCH),
            now: 1_700_000_000_000_000_000,
        }
    }

    fn track(&mut self, frames: &[Vec<u8>]) {
        for frames in frames.chunks(BATCH) {
            let start = self.now;
            self.tracker
                .track_batch(&Batch { frames, start }, &mut self.events);
            self.events.clear();
            self.now += APART * frames.len() as i64;
        }
    }
}

/// A message is the number of bytes.
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

/// The n-th message: the next 200 bytes of one of 100 clients.
fn message(n: u32) -> Vec<u8> {
    let client = (0x0c00_0000 + n % 100).to_be_bytes();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(client, [198, 51, 100, 2], 64)
        .tcp(40_000, 443, 1 + n / 100 * 200, 8192)
        .ack(1)
        .write(&mut frame, &[7; 200])
        .unwrap();
    frame
}

#[inline(never)]
fn measured_track(engine: &mut Engine, frames: &[Vec<u8>]) {
    engine.track(frames);
}

struct Engine {
    tracker: FlowTracker<FiveTuple>,
    events: Vec<FlowEvent<FiveTupleKey>>,
    now: i64,
}

impl Engine {
    fn new(extract: FiveTuple, room: usize) -> Self {
        let config = TrackerConfig::new().max_flows(room);
        Self {
            tracker: FlowTracker::with_config(extract, config).unwrap(),
            events: Vec::with_capacity(4 * BATCH),
            now: 1_700_000_000_000_000_000,
        }
    }

    fn track(&mut self, frames: &[Vec<u8>]) {
        for frames in frames.chunks(BATCH) {
            let start = self.now;
            self.tracker
                .track_batch(&Batch { frames, start }, &mut self.events);
            self.events.clear();
            self.now += APART * frames.len() as i64;
        }
    }
}

struct Batch<'a> {
    frames: &'a [Vec<u8>],
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

/// A segment of the client of a flow.
fn segment(flow: u32, syn: bool) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let client = (0x0b00_0000 + flow).to_be_bytes();
    let builder = builder.ipv4(client, [198, 51, 100, 2], 64);
    let builder = builder.tcp(40_000, 443, if syn { 1 } else { 2 }, 8192);
    let builder = if syn { builder.syn() } else { builder.ack(2) };
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame.resize(64, 0);
    frame
}

/// A frame in VXLAN.
fn vxlan(frame: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4]);
    let builder = builder.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    let payload = [&[8, 0, 0, 0, 0, 0, 5, 0], frame].concat();
    let mut outer = Vec::new();
    let written = builder.udp(50_000, 4789).write(&mut outer, &payload);
    written.unwrap();
    outer
}
