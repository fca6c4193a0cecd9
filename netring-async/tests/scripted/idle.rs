//! Broadcasts that have nothing to do: how often their tasks look at their sources, and, on one
//! thread, how often the runtime goes to sleep. (With several threads one wake-up wakes another.)
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::time::Duration;

use futures::StreamExt;
use netring_async::{AsyncSource, Broadcast, FlowWorkers};
use netring_flow::extract::FiveTuple;
use netring_sys::Error;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use xtask::wire::udp4;

use super::script::{Script, Step, scripted};

/// The time that is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// The most wake-ups in a second.
const MOST: u64 = 10;

fn sleeps() -> u64 {
    let metrics = Handle::current().metrics();
    match metrics.num_workers() {
        1 => metrics.worker_park_count(0),
        _ => 0,
    }
}

/// Nothing happens for [`WATCHED`]; the runtime wakes up for the end of that time, and little else.
async fn rests(what: &str, scripts: &[Script]) {
    // What was begun is done.
    sleep(Duration::from_millis(100)).await;
    let figures = || {
        let looks = scripts.iter().map(Script::looks);
        looks.chain([sleeps()]).collect::<Vec<_>>()
    };
    let before = figures();
    sleep(WATCHED).await;
    let most = MOST * WATCHED.as_secs();
    for (after, before) in figures().into_iter().zip(before) {
        let woken = after - before;
        assert!(woken < most, "{what}: {woken} wake-ups in {WATCHED:?}");
    }
}

async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect(what);
}

/// Packets of flows that go on.
fn flows(script: &Script, count: u16) {
    script.frames((0..count).map(|n| udp4(1000 + n, 53, b"?")));
}

async fn nothing_spins() {
    // A worker each with flows, which are checked twice a second.
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (script, source) = scripted();
            let source = AsyncSource::new(source).unwrap();
            (script, source.flow_stream(FiveTuple::bidirectional()))
        })
        .unzip();
    let workers = FlowWorkers::spawn(streams, 16);
    let mut reader = workers.subscribe();
    let reading = tokio::spawn(async move { while reader.next().await.is_some() {} });
    scripts.iter().for_each(|script| flows(script, 100));
    soon("flows", || workers.published().events == 200).await;
    rests("workers with flows", &scripts).await;
    workers.shutdown().await.unwrap();
    reading.await.unwrap();

    // Packets, for a reader that has them all.
    let (script, source) = scripted();
    let broadcast = AsyncSource::new(source).unwrap().broadcast(16);
    let mut reader = broadcast.subscribe_lossless();
    let reading = tokio::spawn(async move { while reader.next().await.is_some() {} });
    flows(&script, 100);
    soon("packets", || broadcast.published().events == 100).await;
    rests("packets", std::slice::from_ref(&script)).await;
    broadcast.shutdown().await.unwrap();
    reading.await.unwrap();
}

#[tokio::test]
async fn nothing_spins_on_one_thread() {
    nothing_spins().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_spins_on_two_threads() {
    nothing_spins().await;
}

/// Whether subscribers are asleep or nobody has come, a task waits without a look at its source.
#[tokio::test]
async fn a_capture_that_waits_for_a_subscriber_does_not_spin() {
    let (script, source) = scripted();
    let broadcast = AsyncSource::new(source).unwrap().broadcast(1);
    let _asleep = broadcast.subscribe_lossless();
    // Also beside one that has read everything.
    let mut awake = broadcast.subscribe_lossless();
    for _ in 0..3 {
        flows(&script, 64);
    }
    assert_eq!(awake.next_batch().await.unwrap().unwrap().len(), 64);
    let reading = tokio::spawn(async move { awake.next_batch().await.map(|_| ()) });
    soon("a wait", || broadcast.published().waits == 1).await;
    let looks = script.looks();
    rests("a wait for room", std::slice::from_ref(&script)).await;
    assert_eq!(script.looks(), looks);
    assert!(!reading.is_finished());
    reading.abort();

    let items = futures::stream::iter(0..10).map(Ok::<u32, Error>);
    let _unread = Broadcast::new(items, 4);
    script.push(Step::End);
    rests("a stream that nobody reads", &[]).await;
}
