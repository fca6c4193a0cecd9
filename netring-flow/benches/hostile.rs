//! Packets of a hostile sender: tracker, reassembly and records over 100,000 of them, the first
//! half and the second in functions of their own. `cargo xtask instructions` counts both: the
//! second must not cost more than twice the first, or a sender could make time grow.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use std::ops::ControlFlow;

use divan::Bencher;
use etherparse::PacketBuilder;
use netring_flow::export::FlowRecorder;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, StreamPoint, StreamVisitor,
};
use netring_flow::{FlowEvent, FlowTracker, FlowVisitor, Segment, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

const PACKETS: u32 = 100_000;
/// Nanoseconds between two packets.
const APART: i64 = 20_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn main() {
    divan::main();
}

/// A packet: whose, from its server or not, flags, numbers, the length of its content, and by how
/// much later it comes than usual.
#[derive(Clone, Copy, Default)]
struct Hostile {
    client: u32,
    answers: bool,
    flags: u8,
    sequence: u32,
    ack: u32,
    len: u16,
    later: i64,
}

const DATA: Hostile = Hostile {
    client: 0,
    answers: false,
    flags: ACK,
    sequence: 0,
    ack: 1,
    len: 1,
    later: 0,
};

/// Segments of a byte, each second missing.
#[divan::bench]
fn tiny_segments(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        sequence: 1 + 2 * n,
        ..DATA
    });
}

/// The same in reverse, so that each is before all that is held.
#[divan::bench]
fn reversed_segments(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        sequence: 2 * (PACKETS - n),
        ..DATA
    });
}

/// Segments that each overlap many others.
#[divan::bench]
fn overlapping_segments(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        sequence: 2 + n * 7919 % 5000,
        len: 1 + (n % 300) as u16,
        ..DATA
    });
}

/// Sequence numbers that jump.
#[divan::bench]
fn jumps(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        sequence: n.wrapping_mul((1 << 30) + 12_345),
        ..DATA
    });
}

/// Keep-alives of a connection that has sent.
#[divan::bench]
fn keep_alives(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        sequence: u32::from(n == 0),
        len: (n % 2) as u16,
        ..DATA
    });
}

/// Acknowledgements of bytes that were never sent, up and down, with data behind a hole.
#[divan::bench]
fn acknowledgements(bencher: Bencher<'_, '_>) {
    run(bencher, |n| match n % 4 {
        0 => Hostile {
            sequence: 1 + 3 * n,
            ..DATA
        },
        _ => Hostile {
            answers: true,
            ack: 1 + n * 7919 % 100_000,
            len: 0,
            ..DATA
        },
    });
}

/// SYN, FIN and RST in turn on one key.
#[divan::bench]
fn flags(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        flags: [
            SYN,
            SYN | ACK,
            ACK,
            FIN | ACK,
            RST,
            FIN,
            SYN | FIN,
            RST | ACK,
        ][n as usize % 8],
        answers: n.is_multiple_of(3),
        sequence: n.wrapping_mul(104_729),
        ack: n,
        len: (n % 3) as u16,
        ..DATA
    });
}

/// Connections on one key, each closed at once.
#[divan::bench]
fn reused_ports(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        flags: if n.is_multiple_of(2) { SYN } else { RST },
        sequence: 1000 * n,
        ..DATA
    });
}

/// Connections that only begin, in a table that is full.
#[divan::bench]
fn half_open(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        client: n,
        flags: SYN,
        len: 0,
        ..DATA
    });
}

/// Connections of which each holds a byte behind a hole.
#[divan::bench]
fn many_holes(bencher: Bencher<'_, '_>) {
    run(bencher, |n| Hostile {
        client: n / 2,
        flags: if n.is_multiple_of(2) { SYN } else { ACK },
        sequence: 10 * (n % 2),
        ..DATA
    });
}

/// A hundred connections with times that go back and forth, so that each is checked with each
/// packet.
#[divan::bench]
fn times(bencher: Bencher<'_, '_>) {
    run_some(bencher, PACKETS / 10, |n| Hostile {
        client: n / 2 % 100,
        flags: if n.is_multiple_of(2) { SYN } else { ACK },
        sequence: 10 * (n % 2),
        later: i64::from(n % 2) * -i64::from(n) * 61_000_000_000,
        ..DATA
    });
}

fn run(bencher: Bencher<'_, '_>, packet: impl Fn(u32) -> Hostile) {
    run_some(bencher, PACKETS, packet);
}

fn run_some(bencher: Bencher<'_, '_>, packets: u32, packet: impl Fn(u32) -> Hostile) {
    let frames: Vec<_> = (0..packets)
        .map(|n| {
            let hostile = packet(n);
            let time = 1_700_000_000_000_000_000 + APART * i64::from(n) + hostile.later;
            (time, frame(&hostile))
        })
        .collect();
    let (first, second) = frames.split_at(frames.len() / 2);
    bencher.with_inputs(Engine::new).bench_local_refs(|engine| {
        measured_first(engine, first);
        measured_second(engine, second);
    });
}

#[inline(never)]
fn measured_first(engine: &mut Engine, frames: &[(i64, Vec<u8>)]) {
    engine.track(frames);
}

#[inline(never)]
fn measured_second(engine: &mut Engine, frames: &[(i64, Vec<u8>)]) {
    // Not the same function as above: the compiler would merge them.
    engine.halves += 1;
    engine.track(frames);
}

struct Engine {
    tracker: FlowTracker<FiveTuple>,
    receivers: Receivers,
    halves: u32,
}

/// All that stands on a tracker.
struct Receivers {
    streams: Reassembler<FiveTupleKey, Bytes>,
    recorder: FlowRecorder,
}

/// Counts bytes.
struct Bytes(u64);

impl StreamVisitor<FiveTupleKey> for Bytes {
    type State = ();

    fn subscribe(&mut self, _: &Segment<'_, FiveTupleKey>) -> Interest<()> {
        Interest::Yes(())
    }

    fn data(
        &mut self,
        _: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> ControlFlow<()> {
        self.0 += bytes.len() as u64;
        ControlFlow::Continue(())
    }
}

impl FlowVisitor<FiveTupleKey> for Receivers {
    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        self.streams.event(event.clone());
        self.recorder.event(event);
    }

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        self.streams.segment(segment);
        self.recorder.segment(segment);
    }
}

impl Engine {
    fn new() -> Self {
        let config = TrackerConfig::new().max_flows(20_000).round_trips(true);
        let compared = ReassemblyConfig::new().compare_delivered(1000);
        Self {
            tracker: FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap(),
            receivers: Receivers {
                streams: Reassembler::new(compared, Bytes(0)).unwrap(),
                recorder: FlowRecorder::new(),
            },
            halves: 0,
        }
    }

    fn track(&mut self, frames: &[(i64, Vec<u8>)]) {
        for (time, frame) in frames {
            let time = Timestamp::from_nanos(*time, Clock::Unknown);
            let packet = Packet::new(frame, time, LinkType::IPV4);
            self.tracker.track(&packet, &mut self.receivers);
            self.receivers.recorder.drain().for_each(drop);
        }
    }
}

fn frame(hostile: &Hostile) -> Vec<u8> {
    let client = (0x0a00_0000 + hostile.client).to_be_bytes();
    let server = [198, 51, 100, 2];
    let (from, to, ports) = if hostile.answers {
        (server, client, (443, 40_000))
    } else {
        (client, server, (40_000, 443))
    };
    let mut frame = Vec::new();
    PacketBuilder::ipv4(from, to, 64)
        .tcp(ports.0, ports.1, hostile.sequence, 8192)
        .ack(hostile.ack)
        .write(
            &mut frame,
            &vec![hostile.sequence as u8; hostile.len.into()],
        )
        .unwrap();
    frame[20 + 13] = hostile.flags;
    frame
}
