//! Reports about segments that no attacker sent. The names begin with a code; see TESTS.md.

use std::time::Duration;

use netring_flow::reassembly::ReassemblyConfig;

use crate::common::{ACK, Bench, SYN};

#[test]
fn f21_a_retransmission_after_its_acknowledgement_is_a_duplicate() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 4, b"")
        .c(ACK, 1, 1, b"abc");
    bench.c(ACK, 1, 1, b"abcdef");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 def"]);
    assert_eq!(
        (bench.stats().duplicate, bench.stats().inconsistencies),
        (6, 0)
    );
}

#[test]
fn f22_bytes_behind_the_total_length_are_no_payload() {
    let mut bench = Bench::new();
    bench.handshake();
    let mut frame = bench.segment(0, ACK, 1, 1, b"abc");
    frame.extend_from_slice(b"padding");
    bench.frame(&frame);
    bench.c(ACK, 4, 1, b"d");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 d"]);
}

#[test]
fn f23_one_direction_alone_is_bounded() {
    let config = ReassemblyConfig::new()
        .deadline(Duration::MAX)
        .max_held_per_flow(10_000);
    let mut bench = Bench::with(config);
    bench.c(SYN, 0, 0, b"");
    // Each second segment is missing.
    for n in 0..10_000 {
        bench.c(ACK, 1 + 200 * n, 1, &[b'x'; 100]);
    }
    assert!(
        bench.stats().memory_peak <= 10_000,
        "{}",
        bench.stats().memory_peak
    );
    bench.finish();
    assert_eq!(
        (bench.stats().delivered, bench.stats().missing),
        (1_000_000, 999_900)
    );
}

#[test]
fn f24_bytes_have_the_time_of_their_own_segment() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .pass(1.0)
        .c(ACK, 4, 1, b"def")
        .pass(1.0)
        .c(ACK, 1, 1, b"abc");
    let times = &bench.streams.visitor().times;
    assert_eq!(times.len(), 2);
    assert!((times[0] - times[1] - 1.0).abs() < 0.01, "{times:?}");
}

#[test]
fn f25_a_hundred_thousand_held_segments_need_no_stack() {
    let config = ReassemblyConfig::new()
        .deadline(Duration::MAX)
        .max_held_per_flow(128 << 20);
    let mut bench = Bench::with(config);
    bench.handshake();
    for n in (1..100_000).rev() {
        bench.c(ACK, 1 + n, 1, b"x");
    }
    assert_eq!(bench.stats().held, 99_999);
    let mut streams = bench;
    streams.c(ACK, 1, 1, b"y");
    assert_eq!(streams.stats().delivered, 100_000);
    assert_eq!(streams.stats().memory, 0);
}
