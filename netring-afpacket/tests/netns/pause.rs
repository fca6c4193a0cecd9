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

const PATIENCE: Duration = Duration::from_secs(10);
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

/// Sends this many packets a second for this long, or as many as the machine manages, to a capture
/// that nobody reads, then reads. Every packet that was sent must be there.
#[track_caller]
fn outlasts(profile: Profile, per_second: u64, pause: Duration) {
    for _ in 0..100 {
        let (took, count, kept, stats) = paused(profile, per_second, pause);
        // A machine with other work did not run this thread, so that the pause was longer.
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
    panic!("this machine never ran the sender for {pause:?}");
}

/// Returns how long the pause was, how many packets were sent, the numbers of those that were kept,
/// and the statistics.
fn paused(profile: Profile, per_second: u64, pause: Duration) -> (Duration, u64, Vec<u64>, Stats) {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").profile(profile);
    let mut capture = builder.build().unwrap();
    let before = Interface::by_name("a").unwrap().counters.rx_packets;
    let sender = Sender::on("b").unwrap();
    let count = per_second * pause.as_millis() as u64 / 1000;
    let frames: Vec<_> = (0..count).map(|n| numbered(n, 64)).collect();
    let gap = Duration::from_nanos(1_000_000_000 / per_second);
    let (mut sent, mut due) = (0, Duration::ZERO);
    let start = Instant::now();
    for frame in &frames {
        // Not for each packet, because a sleep is longer than the gap between two.
        let early = due.saturating_sub(start.elapsed());
        if early > Duration::from_micros(200) {
            thread::sleep(early);
        }
        let now = start.elapsed();
        if now >= pause {
            break;
        }
        // What a machine with other work did not send in time is left out: a burst is another rate.
        due = due.max(now.saturating_sub(SLACK)) + gap;
        sender.send(frame).unwrap();
        sent += 1;
    }
    thread::sleep(pause.saturating_sub(start.elapsed()));
    let took = start.elapsed();

    let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    let received = Interface::by_name("a").unwrap().counters.rx_packets - before;
    assert_eq!(received, sent, "the wire itself lost packets");
    let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
    (took, sent, numbers.collect(), capture.stats().unwrap())
}

/// By how much a packet may be late, and those behind it come faster.
const SLACK: Duration = Duration::from_millis(5);
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
    let (mut blocks, mut next) = (0, 0);
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
    // A thousand blocks, again if the timer has yet to start, or other work holds the flood up.
    let few_wakes = (0..30).any(|_| {
        let from = read(&mut capture).0;
        let mut wakes = 0;
        while from + 1000 > read(&mut capture).0 {
            assert!(poll_readable(capture.as_fd(), Some(PATIENCE)).unwrap());
            wakes += 1;
        }
        wakes * 2 < read(&mut capture).0 - from
    });
    let sent = flood.stop();
    assert!(few_wakes, "a wake-up for fewer than two blocks each time");

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
