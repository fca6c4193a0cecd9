//! Bounds that a hostile sender cannot exceed, and what happens at them.

use std::time::Duration;

use netring_flow::reassembly::{ReassemblyConfig, Side, WhenFull};

use crate::common::{ACK, Bench, CLIENT, SERVER, SYN, tcp};

/// What a held segment of up to 136 bytes counts for the bounds.
const SMALL: usize = 136 + 96;

/// Declares no gap on its own.
fn patient() -> ReassemblyConfig {
    ReassemblyConfig::new().deadline(Duration::MAX)
}

#[test]
fn at_the_bound_of_a_flow_its_hole_becomes_a_gap() {
    let mut bench = Bench::with(patient().max_held_per_flow(3 * SMALL));
    bench.handshake();
    for n in 1..=3 {
        bench.c(ACK, 1 + 200 * n, 1, &[b'x'; 100]);
    }
    assert_eq!(bench.log().len(), 0);
    bench.c(ACK, 801, 1, &[b'y'; 100]);
    let x = "x".repeat(100);
    assert_eq!(bench.log(), ["I?0 200".to_owned(), format!("I+200 {x}")]);
    let stats = bench.stats();
    assert_eq!(
        (stats.forced_gaps, stats.memory, stats.held),
        (1, 3 * SMALL, 300)
    );
    bench.finish();
    assert_eq!(bench.stats().missing, 500);
}

#[test]
fn at_the_bound_a_flow_is_given_up_if_that_is_the_choice() {
    let config = patient().max_held_per_flow(300).when_full(WhenFull::GiveUp);
    let mut bench = Bench::with(config);
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(ACK, 201, 1, &[b'x'; 100]);
    bench.c(ACK, 401, 1, &[b'y'; 100]);
    let expected = [
        "I+0 abc",
        "I.3 memory-limit",
        "R.0 memory-limit",
        "closed memory-limit",
    ];
    assert_eq!(bench.log(), expected);
    let stats = bench.stats();
    assert_eq!(
        (stats.given_up, stats.discarded.given_up, stats.memory),
        (1, 200, 0)
    );
    bench.c(ACK, 4, 1, b"def").finish();
    assert_eq!(bench.stats().discarded.after_end, 3);
    assert_eq!(bench.log().len(), 0);
}

/// A segment of the n-th client.
fn from(n: u32, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let client = CLIENT.replace("40000", &(40_000 + n).to_string());
    tcp(&client, SERVER, sequence, 1, flags, payload)
}

#[test]
fn at_the_bound_of_all_flows_the_oldest_hole_becomes_a_gap() {
    let mut bench = Bench::with(patient().max_held(4 * SMALL));
    for n in 0..4 {
        bench.frame(&from(n, SYN, 0, b""));
        bench.frame(&from(n, ACK, 101, &[b'0' + n as u8; 100]));
    }
    // The first one advances, so its hole is the newest.
    bench.frame(&from(0, ACK, 1, b"a"));
    assert_eq!(bench.log(), ["I+0 a"]);
    bench.frame(&from(9, SYN, 0, b""));
    bench.frame(&from(9, ACK, 101, &[b'9'; 100]));
    let ones = "1".repeat(100);
    assert_eq!(bench.log(), ["I?0 100".to_owned(), format!("I+100 {ones}")]);
    let stats = bench.stats();
    assert_eq!(
        (stats.memory, stats.memory_peak, stats.forced_gaps),
        (4 * SMALL, 4 * SMALL, 1)
    );
    bench.finish();
    assert_eq!(bench.stats().delivered, 501);
}

#[test]
fn a_segment_that_is_larger_than_the_bound_is_delivered_behind_a_gap() {
    let mut bench = Bench::with(patient().max_held_per_flow(1));
    bench.handshake().c(ACK, 6, 1, b"fgh").c(ACK, 9, 1, b"i");
    assert_eq!(bench.log(), ["I?0 5", "I+5 fgh", "I+8 i"]);
    assert_eq!(
        (bench.stats().forced_gaps, bench.stats().memory_peak),
        (1, 0)
    );
}

/// While one lost segment is on its way again, both ends send all that Linux keeps for them by
/// itself.
#[test]
fn by_default_what_two_senders_have_in_flight_behind_a_lost_segment_is_held() {
    const SEGMENT: u32 = 1400;
    let segments = 3 * (1 << 20) / SEGMENT;
    let mut bench = Bench::new();
    bench.handshake();
    for n in 1..segments {
        bench.c(ACK, 1 + n * SEGMENT, 1, &[n as u8; SEGMENT as usize]);
        bench.s(ACK, 1 + n * SEGMENT, 1, &[n as u8; SEGMENT as usize]);
    }
    let last = 1 + segments * SEGMENT;
    bench.c(ACK, 1, 1, &[0; SEGMENT as usize]);
    bench.s(ACK, 1, last, &[0; SEGMENT as usize]);
    let all: Vec<_> = (0..last - 1).map(|at| (at / SEGMENT) as u8).collect();
    assert!(bench.streams.visitor().streams == [all.clone(), all]);
    let stats = bench.stats();
    assert_eq!((stats.gaps, stats.forced_gaps, stats.held), (0, 0, 0));
    bench.finish();
}

#[test]
fn a_packet_releases_a_bounded_number_of_segments() {
    for (bytes, most) in [(8 << 20, 8192_u32), (64 << 20, 65_536)] {
        let mut bench = Bench::with(patient().max_held_per_flow(bytes));
        bench.handshake();
        for n in 0..most {
            bench.c(ACK, 2 + n, 1, b"x");
        }
        assert_eq!(bench.log().len(), 0);
        bench.c(ACK, 2 + most, 1, b"y");
        let log = bench.log();
        assert_eq!((log.len(), &log[0]), (most as usize + 2, &"I?0 1".into()));
        assert_eq!((bench.stats().forced_gaps, bench.stats().held), (1, 0));
        // One that lies across many is cut into as many pieces.
        let far = 1_000_000;
        for n in 0..most / 2 {
            bench.c(ACK, far + 2 * n, 1, b"x");
        }
        assert_eq!(bench.log().len(), 0);
        bench.c(ACK, far, 1, &[b'x'; 1400]);
        bench.c(ACK, far + 2000, 1, &[b'x'; 1400]);
        assert_eq!(bench.stats().forced_gaps, 1);
        bench.finish();
    }
}

#[test]
fn segments_of_one_byte_that_overlap_stay_within_the_bound() {
    let mut bench = Bench::with(patient().max_held_per_flow(1 << 16));
    bench.handshake();
    // 100,000 segments: of one byte, in reverse, each second missing, and large ones across them.
    let mut sent = 0;
    for round in 0..10_u32 {
        for n in (0..9000).rev() {
            bench.c(ACK, 3 + round * 20_000 + 2 * n, 1, &[n as u8]);
            sent += 1;
        }
        for n in 0..1000 {
            bench.c(ACK, 3 + round * 20_000 + 16 * n, 1, &[7; 1400]);
            sent += 1400;
        }
    }
    let stats = bench.stats();
    assert!(stats.memory_peak <= 1 << 16, "{}", stats.memory_peak);
    assert_eq!(stats.received, sent);
    bench.finish();
}

#[test]
fn jumps_of_the_sequence_number_stay_within_the_bound() {
    let mut bench = Bench::with(ReassemblyConfig::new().max_held_per_flow(1 << 16));
    bench.handshake();
    let mut sequence = 1_u32;
    for n in 0..20_000_u32 {
        sequence = sequence.wrapping_add((1 << 30) + n);
        bench.c(ACK, sequence, 1, b"x");
    }
    assert!(bench.stats().memory_peak <= 1 << 16);
    assert_eq!(bench.stats().received, 20_000);
    bench.finish();
}

#[test]
fn a_flood_of_connections_leaves_nothing_behind() {
    let mut bench = Bench::with(ReassemblyConfig::new().max_held(1 << 20));
    for n in 0..20_000_u32 {
        bench.frame(&from(n, SYN, n, b""));
        bench.frame(&from(n, ACK, n + 100, &[b'x'; 100]));
    }
    assert!(bench.stats().memory_peak <= 1 << 20);
    assert_eq!(bench.streams.active(), 20_000);
    bench.finish();
    assert_eq!(bench.stats().delivered, 2_000_000);
    assert_eq!(bench.stats().subscribed, 20_000);
}

#[test]
fn bytes_that_are_kept_for_comparison_count_and_are_given_back_first() {
    let config = patient().max_held_per_flow(2000).compare_delivered(1000);
    let mut bench = Bench::with(config);
    bench.handshake().c(ACK, 1, 1, &[b'x'; 1400]);
    assert_eq!(bench.stats().memory, 1000);
    bench.c(ACK, 1501, 1, &[b'y'; 1400]);
    assert_eq!((bench.stats().memory, bench.stats().forced_gaps), (1496, 0));
    bench.c(ACK, 1401, 1, &[b'z'; 100]);
    let expected = "x".repeat(1400) + &"z".repeat(100) + &"y".repeat(1400);
    assert_eq!(bench.stream(Side::Initiator), expected);
    bench.finish();
}
