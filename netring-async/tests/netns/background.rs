//! A real capture that is opened and closed beside a single-threaded runtime.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use crate::ticks;

use std::time::Duration;

use netring_afpacket::{Capture, Profile};
use netring_async::AsyncSource;
use netring_sys::PacketBatch;
use ticks::ticks_while;
use tokio::time::{sleep, timeout};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, number, numbered};

/// The period of the timer that shows that a thread is free.
const TICK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// The number of packet sockets in this thread's namespace.
pub(crate) fn sockets() -> usize {
    let lines = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
    lines.lines().count() - 1
}

/// Waits until there are this many: a program that another test starts holds those that are closed
/// until it runs.
pub(crate) async fn until_sockets(count: usize) {
    let gone = async {
        while sockets() != count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("it is never closed");
}

/// 256 MiB take at least some tens of milliseconds. No other namespace has this interface.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn the_runtime_goes_on_while_a_capture_of_its_namespace_is_opened_and_closed() {
    let _ns = Netns::enter().unwrap();
    veth("only-here", "v0").unwrap();
    // A machine with other work may not run this thread meanwhile, but it does so sometimes.
    let mut ticks = (0, 0);
    for _ in 0..100 {
        let (opened, closed) = opened_and_closed().await;
        ticks = (ticks.0.max(opened), ticks.1.max(closed));
        if ticks.0 >= 3 && ticks.1 >= 3 {
            return;
        }
    }
    panic!("{ticks:?} ticks while it was opened and closed");
}

/// Opens a capture that sees a packet, and closes it. Returns how often the timer fired during
/// each.
async fn opened_and_closed() -> (u32, u32) {
    let settings = Capture::builder().interface("only-here");
    let settings = settings.profile(Profile::HighThroughput);
    let (opening, opened) = ticks_while(TICK, AsyncSource::open_with(|| settings.build())).await;
    let mut source = opened.unwrap();

    Sender::on("v0").unwrap().send(&numbered(7, 60)).unwrap();
    let batch = timeout(PATIENCE, source.next_batch())
        .await
        .unwrap()
        .unwrap();
    let numbers: Vec<_> = batch
        .unwrap()
        .packets()
        .map(|packet| number(packet.data()))
        .collect();
    assert_eq!(numbers, [Some(7)]);

    assert_eq!(sockets(), 1);
    let (closing, ()) = ticks_while(TICK, source.close()).await;
    until_sockets(0).await;
    (opening, closing)
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_capture_opened_by_name_is_dropped_in_background_and_soon_gone() {
    let _ns = Netns::enter().unwrap();
    veth("v1", "v0").unwrap();
    let source = AsyncSource::<Capture>::open("v1").unwrap();
    assert_eq!(sockets(), 1);
    drop(source);
    until_sockets(0).await;
}
