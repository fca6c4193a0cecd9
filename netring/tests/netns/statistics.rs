//! The examples that measure while they capture.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use xtask::netns::Netns;
use xtask::wire::numbered;

use super::examples::capturing;
use crate::program::send;

/// The numbers in a line.
fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn live_statistics_prints_each_second_and_the_totals() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("live_statistics", &["v1", "4"]);
    // In two of the seconds, and not close to their end.
    for burst in 0..2 {
        send(&sender, &[100, 200, 300].map(|len| numbered(burst, len)));
        std::thread::sleep(Duration::from_millis(1000));
    }
    let said = program.end();
    said.went_well();
    let (totals, seconds) = said.out.split_last().unwrap();
    assert_eq!(totals, "in all: 6 offered, 6 delivered, 0 dropped");
    assert_eq!(seconds.len(), 4, "{said:?}");
    let mut sums = [0; 3];
    for line in seconds {
        let [packets, bytes, lost] = numbers(line)[..] else {
            panic!("{line}");
        };
        let text = format!("{packets} packets/s, {bytes} bytes/s, {lost} lost/s");
        assert_eq!(*line, text);
        // A burst can span the end of a second, but cannot be in all of them.
        assert!(packets <= 6, "{line}");
        sums.iter_mut()
            .zip([packets, bytes, lost])
            .for_each(|(sum, n)| *sum += n);
    }
    assert_eq!(sums, [6, 1200, 0]);
    assert!(
        seconds.iter().any(|line| line.starts_with("0 packets/s")),
        "{said:?}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn low_latency_prints_the_quantiles_of_the_delays() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("low_latency", &["v1", "100"]);
    for n in 0..100 {
        send(&sender, &[numbered(n, 100)]);
        std::thread::sleep(Duration::from_millis(2));
    }
    let said = program.end();
    said.went_well();
    let [delays, totals] = &said.out[..] else {
        panic!("{said:?}");
    };
    assert_eq!(totals, "100 offered, 100 delivered, 0 dropped");
    let quantiles = delays.strip_prefix("100 packets: p50 ").unwrap();
    let (p50, p99) = quantiles.split_once(", p99 ").unwrap();
    let nanos = |text: &str| {
        let digits = text.trim_end_matches(|c: char| c.is_alphabetic() || c == 'µ');
        let unit = match &text[digits.len()..] {
            "ns" => 1.0,
            "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            other => panic!("{other}"),
        };
        digits.parse::<f64>().unwrap() * unit
    };
    // Within the test, and in order.
    assert!(nanos(p50) <= nanos(p99) && nanos(p99) < 10e9, "{delays}");
    assert!(nanos(p50) > 0.0, "{delays}");
}
