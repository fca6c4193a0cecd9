//! What the ring of each profile keeps for a reader that pauses; and a reader that a timer wakes.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Profile};
use netring_sys::syscall::poll_readable;
use netring_sys::{Count, Interface, PacketBatch, PacketSource, Readiness, Stats};
use xtask::load::Flood;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, number, numbered};

/// Longer than any profile keeps a block open.
const SILENCE: Duration = Duration::from_millis(300);

/// How long a pause the docs of a profile promise to outlast, at every rate that is tried here.
fn promised(profile: Profile) -> Duration {
    Duration::from_millis(match profile {
        Profile::LowLatency => 500,
        Profile::LowMemory => 2500,
        Profile::HighThroughput => 16_000,
        _ => 4000,
    })
}

/// Sends this many packets a second for this long to a capture that nobody reads, then reads. Every
/// packet that was sent must be there.
#[track_caller]
fn outlasts(profile: Profile, per_second: u64, pause: Duration) {
    let count = per_second * pause.as_millis() as u64 / 1000;
    for _ in 0..10 {
        let (took, kept, stats) = paused(profile, per_second, pause, count);
        // A loaded machine sends late, so that pause was longer.
        if took > promised(profile) {
            continue;
        }
        let context = format!("{profile:?}, {per_second}/s: {stats:?}");
        assert_eq!(
            stats.freezes,
            Count::Exact(0),
            "the ring ran full: {context}"
        );
        // While the kernel's timer hands over a block on one processor, a packet that comes in on
        // another can find no block (`__packet_rcv_has_room` looks without the lock). The
        // kernel counts it.
        let dropped = stats.dropped.exact().unwrap();
        assert!(dropped <= count / 10_000, "{context}");
        assert_eq!(kept.len() as u64 + dropped, count, "{context}");
        if dropped == 0 {
            assert!(kept.into_iter().eq(0..count), "{context}");
        }
        return;
    }
    panic!("this machine never sent {per_second} packets a second");
}

/// Returns how long sending took, the numbers of the packets that were kept, and the statistics.
fn paused(
    profile: Profile,
    per_second: u64,
    pause: Duration,
    count: u64,
) -> (Duration, Vec<u64>, Stats) {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").profile(profile);
    let mut capture = builder.build().unwrap();
    let before = Interface::by_name("a").unwrap().counters.rx_packets;
    let sender = Sender::on("b").unwrap();
    let frames: Vec<_> = (0..count).map(|n| numbered(n, 64)).collect();
    let start = Instant::now();
    for (n, frame) in (0..).zip(&frames) {
        let due = Duration::from_nanos(n * 1_000_000_000 / per_second);
        // Not for each packet, because a sleep is longer than the gap between two.
        let early = due.saturating_sub(start.elapsed());
        if early > Duration::from_micros(200) {
            thread::sleep(early);
        }
        sender.send(frame).unwrap();
    }
    thread::sleep(pause.saturating_sub(start.elapsed()));
    let took = start.elapsed();

    let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    let received = Interface::by_name("a").unwrap().counters.rx_packets - before;
    assert_eq!(received, count, "the wire itself lost packets");
    let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
    (took, numbers.collect(), capture.stats().unwrap())
}

const TENTHS: Duration = Duration::from_millis(400);
const TWO: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_default_outlasts_two_seconds_at_100_packets_a_second() {
    outlasts(Profile::Default, 100, TWO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_default_outlasts_two_seconds_at_1000_packets_a_second() {
    outlasts(Profile::Default, 1000, TWO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_default_outlasts_two_seconds_at_10_000_packets_a_second() {
    outlasts(Profile::Default, 10_000, TWO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_default_outlasts_two_seconds_at_100_000_packets_a_second() {
    outlasts(Profile::Default, 100_000, TWO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn high_throughput_and_jumbo_outlast_two_seconds() {
    for per_second in [1000, 100_000] {
        outlasts(Profile::HighThroughput, per_second, TWO);
        outlasts(Profile::Jumbo, per_second, TWO);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn low_memory_outlasts_two_seconds_where_its_bytes_do() {
    outlasts(Profile::LowMemory, 1000, TWO);
    outlasts(Profile::LowMemory, 10_000, TWO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn low_latency_outlasts_four_tenths_of_a_second() {
    for per_second in [1000, 10_000, 100_000] {
        outlasts(Profile::LowLatency, per_second, TENTHS);
    }
}

/// A ring of 16 MiB in blocks of ten packets: while more than four blocks arrive in 4 ms, a timer
/// wakes the reader.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_reader_of_a_flood_is_woken_for_many_blocks_at_a_time_and_loses_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").block_size(16 << 10);
    let mut capture = builder.block_count(1024).build().unwrap();
    let before = Interface::by_name("a").unwrap().counters.rx_packets;
    let flood = Flood::on("b", |n| numbered(n, 1500)).unwrap();
    let (mut wakes, mut blocks, mut next) = (0, 0, 0);
    let mut read = |capture: &mut Capture| {
        while capture.ready().unwrap() == Readiness::Ready {
            for packet in capture.batch().packets() {
                assert_eq!(number(packet.data()), Some(next));
                next += 1;
            }
            blocks += 1;
        }
        (blocks, next)
    };
    // Long enough for the timer to start, and then a thousand blocks.
    let mut from = (0, 0);
    while from.0 + 1000 > read(&mut capture).0 || wakes < 20 {
        assert!(poll_readable(capture.as_fd(), Some(SILENCE)).unwrap());
        wakes += 1;
        if wakes == 20 {
            from = (read(&mut capture).0, wakes);
        }
    }
    let (wakes, many) = (wakes - from.1, read(&mut capture).0 - from.0);
    let sent = flood.stop();
    assert!(wakes * 2 < many, "{wakes} wake-ups for {many} blocks");

    // Single packets stop the timer, and arrive as before.
    let sender = Sender::on("b").unwrap();
    for n in sent..sent + 10 {
        sender.send(&numbered(n, 60)).unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while read(&mut capture).1 <= n {
            assert!(Instant::now() < end, "packet {n} of {sent} does not come");
            poll_readable(capture.as_fd(), Some(SILENCE)).unwrap();
        }
    }
    let received = Interface::by_name("a").unwrap().counters.rx_packets - before;
    assert_eq!(received, sent + 10, "the wire itself lost packets");
    let stats = capture.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(sent + 10));
    assert_eq!(stats.delivered, Count::Exact(sent + 10));
}
