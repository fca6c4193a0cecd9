//! Encoding records, beside serde_json, and what a recorder adds to a packet.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use etherparse::PacketBuilder;
use netring_flow::export::{ConnLog, Eve, FlowRecord, FlowRecorder, Ipfix, JsonLines};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowEvent, FlowTracker, FlowVisitor};
use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};

/// Records, or packets, of one call.
const ITEMS: usize = 1024;

fn main() {
    divan::main();
}

/// A call encodes all records into a vector that has grown before.
fn encodes(bencher: Bencher<'_, '_>, mut encode: impl FnMut(&FlowRecord, &mut Vec<u8>)) {
    let records = vec![record(); ITEMS];
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        out.clear();
        for record in &records {
            encode(record, &mut out);
        }
        black_box(out.len())
    });
}

#[divan::bench]
fn json_lines(bencher: Bencher<'_, '_>) {
    encodes(bencher, |record, out| JsonLines::new().record(record, out));
}

#[cfg(feature = "serde")]
#[divan::bench]
fn json_by_serde(bencher: Bencher<'_, '_>) {
    encodes(bencher, |record, out| {
        // Writing to a vector does not fail.
        let _ = serde_json::to_writer(&mut *out, record);
        out.push(b'\n');
    });
}

#[divan::bench]
fn conn_log(bencher: Bencher<'_, '_>) {
    encodes(bencher, |record, out| ConnLog::new().record(record, out));
}

#[divan::bench]
fn conn_log_json(bencher: Bencher<'_, '_>) {
    encodes(bencher, |record, out| ConnLog::new().json(record, out));
}

#[divan::bench]
fn eve_flow(bencher: Bencher<'_, '_>) {
    let eve = Eve::new();
    encodes(bencher, |record, out| eve.flow(record, out));
}

#[divan::bench]
fn ipfix(bencher: Bencher<'_, '_>) {
    let mut ipfix = Ipfix::new();
    encodes(bencher, |record, out| {
        ipfix.record(record, |message| out.extend_from_slice(message));
    });
}

/// Packets of 64 flows into a tracker that reports events only.
#[divan::bench]
fn packets_to_events(bencher: Bencher<'_, '_>) {
    packets(bencher, Vec::<FlowEvent<FiveTupleKey>>::new());
}

/// The same into one whose segments a recorder looks at.
#[divan::bench]
fn packets_to_a_recorder(bencher: Bencher<'_, '_>) {
    packets(bencher, FlowRecorder::new());
}

fn packets(bencher: Bencher<'_, '_>, mut visitor: impl FlowVisitor<FiveTupleKey>) {
    let frames: Vec<_> = (0..ITEMS as u32).map(|n| segment(n % 64, n / 64)).collect();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut start = 1_700_000_000_000_000_000;
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        let batch = Batch {
            frames: &frames,
            start,
        };
        tracker.track_batch(&batch, &mut visitor);
        start += 1000 * ITEMS as i64;
    });
}

struct Batch<'a> {
    frames: &'a [Vec<u8>],
    start: i64,
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames.iter().enumerate().map(|(n, frame)| {
            let time = Timestamp::from_nanos(self.start + 1000 * n as i64, Clock::Software);
            Packet::new(frame, time, LinkType::ETHERNET)
        })
    }
}

/// A segment with 100 bytes of the client of a flow.
fn segment(flow: u32, number: u32) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let client = (0x0b00_0000 + flow).to_be_bytes();
    let builder = builder.ipv4(client, [198, 51, 100, 2], 64);
    let builder = builder.tcp(40_000, 443, 1000 + 100 * number, 8192).ack(2);
    let mut frame = Vec::new();
    // Writing to a vector does not fail.
    let _ = builder.write(&mut frame, &[0; 100]);
    frame
}

/// The record of a connection with all that a recorder knows.
fn record() -> FlowRecord {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut recorder = FlowRecorder::new();
    let frames: Vec<_> = (0..8).map(|number| segment(0, number)).collect();
    let start = 1_700_000_000_123_456_789;
    let batch = Batch {
        frames: &frames,
        start,
    };
    tracker.track_batch(&batch, &mut recorder);
    while tracker.finish(&mut recorder) {}
    let mut records = recorder.drain();
    records
        .next()
        .unwrap_or_else(|| unreachable!("a flow ended"))
}
