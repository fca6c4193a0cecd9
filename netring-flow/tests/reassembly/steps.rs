//! Work that is done in steps, so that it stops no packets.

use netring_flow::reassembly::ReassemblyConfig;

use crate::common::{ACK, Bench, SERVER, at, tcp};

/// Flows, each with a byte, and one behind a hole.
fn with_holes(flows: u32) -> Bench {
    let mut bench = Bench::with(ReassemblyConfig::new());
    for flow in 0..flows {
        let from = format!("10.0.{}.{}:1000", flow >> 8, flow & 255);
        bench.frame(&tcp(&from, SERVER, 1, 0, ACK, b"a"));
        bench.frame(&tcp(&from, SERVER, 3, 0, ACK, b"c"));
    }
    bench
}

#[test]
fn gaps_that_are_due_at_once_are_declared_in_steps() {
    let mut bench = with_holes(600);
    let mut gaps = Vec::new();
    while bench.streams.expire(at(6.0)) {
        gaps.push(bench.streams.stats().gaps);
    }
    gaps.push(bench.streams.stats().gaps);
    assert_eq!(gaps, [256, 512, 600]);
    assert_eq!(bench.streams.stats().delivered, 1200);
    assert_eq!(bench.streams.stats().held, 0);
    assert!(!bench.streams.expire(at(7.0)));
}

#[test]
fn packets_declare_gaps_faster_than_they_make_them() {
    let mut bench = with_holes(600);
    // A flow of its own, whose segments come after the deadline.
    bench.pass(6.0);
    for n in 0..150 {
        bench.frame(&tcp("192.0.2.200:1", SERVER, 1 + n, 0, ACK, b"x"));
    }
    assert_eq!(bench.streams.stats().gaps, 600);
    assert_eq!(bench.streams.stats().held, 0);
}
