//! Bridges between two wires, `a1`–`a0` and `b0`–`b1`: they connect `a0` and `b0`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod async_form;
mod decisions;
mod example;
mod fair;
mod faults;
mod frames;
pub(super) mod hosts;
mod tcp;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, BridgeDirectionStats, BridgeStats, Frame, Port, Verdict};
use netring::{Capture, Injector, PacketSink, PacketSource};
use xtask::netns::veth;

const LIMIT: Duration = Duration::from_secs(20);
/// The time in which nothing may arrive.
const SILENCE: Duration = Duration::from_millis(50);

type Packets = Bridge<Port<Capture, Injector>>;

fn wires() {
    veth("a1", "a0").unwrap();
    veth("b0", "b1").unwrap();
}

fn forward(_: &mut Frame<'_>) -> Verdict {
    Verdict::Forward
}

#[track_caller]
fn balanced(stats: &BridgeDirectionStats) {
    assert_eq!(stats.received + stats.split, stats.accounted(), "{stats}");
}

/// Checks that both directions balance, and nothing is in flight.
#[track_caller]
fn settled(stats: &BridgeStats) {
    for way in [&stats.a_to_b, &stats.b_to_a] {
        balanced(way);
        assert_eq!(way.pending(), 0, "{way}");
    }
}

/// Runs until the condition holds.
#[track_caller]
fn run_until<S, K, T, L>(
    bridge: &mut Bridge<Port<S, K>, Port<T, L>>,
    mut is_so: impl FnMut(&BridgeStats) -> bool,
) -> BridgeStats
where
    S: PacketSource + AsFd,
    K: PacketSink,
    T: PacketSource + AsFd,
    L: PacketSink,
{
    let end = Instant::now() + LIMIT;
    loop {
        bridge.run_for(Duration::from_millis(5), forward).unwrap();
        let stats = bridge.stats().unwrap();
        if is_so(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "{stats}");
    }
}

/// Runs the bridge on a thread of its own while `work` runs, and then until `is_so`.
fn while_bridged<S, K, T, L, R>(
    bridge: &mut Bridge<Port<S, K>, Port<T, L>>,
    work: impl FnOnce() -> R,
    is_so: impl FnMut(&BridgeStats) -> bool + Send,
) -> (R, BridgeStats)
where
    S: PacketSource + AsFd + Send,
    K: PacketSink + Send,
    T: PacketSource + AsFd + Send,
    L: PacketSink + Send,
{
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            // Relaxed: nothing else is published. Partner: the store below.
            while !done.load(Ordering::Relaxed) {
                bridge.run_for(Duration::from_millis(20), forward).unwrap();
            }
            run_until(bridge, is_so)
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, runner.join().unwrap())
    })
}
