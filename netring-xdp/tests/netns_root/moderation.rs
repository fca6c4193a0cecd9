//! Letting packets gather: fewer system calls at high rates, and no other change.
//!
//! A sleep that a test looks for lasts a second, and what it is compared with a twentieth of that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::capture::*;
use common::*;
use netring_sys::{Count, PacketBatch, PacketSource, Readiness};
use netring_xdp::program::AttachMode;
use netring_xdp::{CopyMode, Umem, UmemConfig, XdpCapture, XdpSocket};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, numbered};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(50);
/// A usual interval of interrupt moderation in network cards.
const GATHER: Duration = Duration::from_micros(50);

/// Makes the next wait of this capture begin with a sleep: packet 0 arrives within the interval
/// after a wait.
fn make_it_sleep(capture: &mut XdpCapture, sender: &Sender) {
    assert!(capture.wait(Some(Duration::ZERO)).unwrap() == Readiness::Empty);
    sender.send(&numbered(0, 64)).unwrap();
    thread::sleep(SHORT);
    take_numbered(capture, 0, 1, 64);
}

/// System calls in which this thread waited, counted by the kernel as voluntary context switches.
fn switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary"));
    line.unwrap().rsplit('\t').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_flood_takes_few_system_calls_and_nothing_is_lost() {
    const PACKETS: u64 = 20_000;
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = XdpCapture::builder().interface("v0").attach_mode(mode);
        let mut capture = builder.moderation(GATHER).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        let taken = AtomicU64::new(0);
        let before = switches();
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..PACKETS {
                    // At most half of the ring ahead, so that a reader that another process delays
                    // loses nothing either.
                    while n - taken.load(Ordering::Relaxed) >= 1024 {
                        thread::yield_now();
                    }
                    sender.send(&numbered(n, 64)).unwrap();
                }
            });
            let mut next = 0;
            while next < PACKETS {
                let batch = capture.next_batch_timeout(LIMIT).unwrap().batch().unwrap();
                for packet in batch.packets() {
                    assert_eq!(packet.data(), numbered(next, 64), "frame {next}");
                    next += 1;
                }
                taken.store(next, Ordering::Relaxed);
            }
        });
        let (calls, switches) = (capture.system_calls(), switches() - before);
        // By its own count and by the kernel's. (The bench counts them at the kernel's full rate.)
        assert!(calls <= PACKETS / 8, "{calls} system calls, {mode:?}");
        assert!(switches <= PACKETS / 8, "{switches} switches, {mode:?}");
        let stats = capture.stats().unwrap();
        assert_eq!(
            (stats.offered, stats.delivered, stats.dropped),
            (
                Count::Exact(PACKETS),
                Count::Exact(PACKETS),
                Count::Exact(0)
            )
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn packets_that_come_slowly_are_waited_for_by_one_call_each() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(mode).moderation(GATHER).build().unwrap();
        assert!(capture.wait(Some(Duration::ZERO)).unwrap() == Readiness::Empty);
        let before = capture.system_calls();
        let sender = Sender::on("v1").unwrap();
        thread::scope(|scope| {
            let (go, wanted) = mpsc::channel();
            scope.spawn(move || {
                for n in wanted {
                    thread::sleep(Duration::from_millis(2));
                    sender.send(&numbered(n, 64)).unwrap();
                }
            });
            for n in 0..100 {
                go.send(n).unwrap();
                let batch = capture.next_batch_timeout(LIMIT).unwrap().batch().unwrap();
                let mut packets = batch.packets();
                assert_eq!(packets.next().unwrap().data(), numbered(n, 64));
                assert!(packets.next().is_none());
            }
        });
        // A sleep would be one more call each time. (Messages about the interface add two, which
        // may come late. And if the reader did not run until the packet was there, no call is
        // needed.)
        let calls = capture.system_calls() - before;
        assert!((50..120).contains(&calls), "{calls}, {mode:?}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_waits_for_others_once_and_not_again_where_none_come() {
    for (interval, delayed) in [
        (Some(SECOND), true),
        (Some(Duration::ZERO), false),
        (None, false),
    ] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut builder = builder(AttachMode::Native);
        if let Some(interval) = interval {
            builder = builder.moderation(interval);
        }
        let mut capture = builder.build().unwrap();
        let sender = Sender::on("v1").unwrap();
        make_it_sleep(&mut capture, &sender);
        for (n, delayed) in [(1, delayed), (2, false)] {
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(SHORT);
                    sender.send(&numbered(n, 64)).unwrap();
                });
                let batch = capture.next_batch_timeout(LIMIT).unwrap().batch().unwrap();
                assert_eq!(batch.packets().next().unwrap().data(), numbered(n, 64));
            });
            let took = start.elapsed();
            assert_eq!(took >= SECOND, delayed, "{interval:?}: {took:?}");
        }
    }
}

/// S11: a timeout is kept while packets gather.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s11_a_time_out_is_kept_while_packets_gather() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let capture = builder(AttachMode::Native).moderation(SECOND * 5).build();
    let mut capture = capture.unwrap();
    let sender = Sender::on("v1").unwrap();
    make_it_sleep(&mut capture, &sender);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            sender.send(&numbered(1, 64)).unwrap();
        });
        // The packet is seen when the shortened sleep is over; a wait that does not sleep ends with
        // it.
        let batch = capture.next_batch_timeout(SECOND).unwrap().batch().unwrap();
        assert_eq!(batch.packets().next().unwrap().data(), numbered(1, 64));
    });
    let took = start.elapsed();
    assert!(took >= SECOND && took < SECOND * 3, "{took:?}");
}

/// X17: a stop ends a sleep.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x17_a_stop_ends_a_sleep_within_50_ms() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let capture = builder(AttachMode::Native).moderation(SECOND * 5).build();
    let mut capture = capture.unwrap();
    let sender = Sender::on("v1").unwrap();
    make_it_sleep(&mut capture, &sender);
    let stop = capture.stop_handle();
    let stopping = thread::spawn(move || {
        thread::sleep(SHORT);
        // A wait that does not sleep ends with this packet.
        sender.send(&numbered(1, 64)).unwrap();
        thread::sleep(SHORT);
        let start = Instant::now();
        stop.stop();
        start
    });
    let end = capture.next_batch().map(|batch| batch.is_none());
    let ended = Instant::now();
    assert!(matches!(end, Ok(true)), "{end:?}");
    assert!(ended - stopping.join().unwrap() < SHORT);
}

/// S11: the same for a socket: it sleeps, and keeps the timeout that it was given.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s11_a_receiver_keeps_its_time_while_packets_gather() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v1").unwrap();
    Umem::scope(&UmemConfig::new(), |umem| {
        let socket = XdpSocket::builder("v0", 0).copy_mode(CopyMode::Copy);
        let mut rx = socket.moderation(SECOND * 5).open_receiver(umem)?;
        let _attached = attach("v0", AttachMode::Native, &rx);
        assert!(!rx.wait(Duration::ZERO)?);
        sender.send(&numbered(0, 64)).unwrap();
        thread::sleep(SHORT);
        assert!(rx.wait(LIMIT)?);
        assert_eq!(rx.receive().iter().count(), 1);
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                sender.send(&numbered(1, 64)).unwrap();
            });
            // The packet is seen when the shortened sleep is over.
            assert!(rx.wait(SECOND).unwrap());
        });
        let took = start.elapsed();
        assert!(took >= SECOND && took < SECOND * 3, "{took:?}");
        assert_eq!(rx.receive().iter().count(), 1);

        // A packet that is already there is returned at once, whatever came before.
        sender.send(&numbered(2, 64)).unwrap();
        thread::sleep(SHORT);
        let start = Instant::now();
        assert!(rx.wait(None)?);
        assert!(start.elapsed() < SECOND / 2);
        Ok(())
    })
    .unwrap();
}
