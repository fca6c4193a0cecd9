//! Subscribers for which the capture waits.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use netring_async::{AsyncSource, BroadcastRecvError, FlowBroadcast, FlowSubscriber};
use netring_flow::FlowEvent;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_sys::Count;
use tokio::time::{sleep, timeout};
use xtask::wire::udp4;

use super::script::{Script, Step, scripted};

const SOON: Duration = Duration::from_secs(20);

type Broadcast = FlowBroadcast<FiveTupleKey>;
type Subscriber = FlowSubscriber<FiveTupleKey>;

fn broadcast(capacity: usize) -> (Script, Broadcast) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let flows = source.flow_stream(FiveTuple::bidirectional());
    (script, flows.broadcast(capacity))
}

/// A batch with one packet of each of 64 flows: a full batch of events.
fn batch(number: u16) -> Step {
    let ports = (0..64).map(|flow| 1000 + 64 * number + flow);
    Step::Batch(ports.map(|port| (0, udp4(port, 53, b"?"))).collect())
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it takes no end")
}

/// Waits until the task has published this many events and waits for room.
async fn stuck(broadcast: &Broadcast, events: u64, waits: u64) {
    soon(async {
        let is = |broadcast: &Broadcast| {
            let published = broadcast.published();
            (published.events, published.waits) == (events, waits)
        };
        while !is(broadcast) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// How many events it receives until the end, and whether the end is clean.
async fn count(mut subscriber: Subscriber) -> (u64, Option<String>) {
    let (mut received, mut error) = (0, None);
    while let Some(event) = soon(subscriber.next()).await {
        match event {
            Ok(_) => received += 1,
            Err(BroadcastRecvError::Lagged(lost)) => panic!("{lost} lost"),
            Err(other) => error = Some(other.to_string()),
        }
    }
    (received, error)
}

/// The source is not read while the queue is full; nothing is lost, and the wait shows.
#[tokio::test]
async fn the_capture_waits_for_a_subscriber_that_reads_late_and_counts_the_wait() {
    let (script, broadcast) = broadcast(2);
    let mut late = broadcast.subscribe_lossless();
    script.push_all((0..10).map(batch));
    stuck(&broadcast, 128, 1).await;
    // The third batch was taken from the source, and is not published.
    assert_eq!(script.left(), 7);
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!(stats.capture.delivered, Count::Exact(3 * 64));
    assert_eq!(
        (stats.events, stats.waits, stats.active_flows),
        (128, 1, 192)
    );
    let shown = stats.to_string();
    assert!(
        shown.contains("128 events published; waited 1 times, "),
        "{shown}"
    );
    // A wait that is not over counts.
    let before = broadcast.published().waited;
    sleep(Duration::from_millis(20)).await;
    let waited = broadcast.published().waited;
    assert!(
        waited >= before + Duration::from_millis(20),
        "{before:?} {waited:?}"
    );
    let figures = broadcast.subscribers();
    assert_eq!((figures[0].behind, figures[0].lossless), (128, true));

    // Room for one batch is a batch more.
    assert_eq!(soon(late.next_batch()).await.unwrap().unwrap().len(), 64);
    stuck(&broadcast, 192, 2).await;
    script.push(Step::End);
    // Flows that end make events too.
    assert_eq!(count(late).await, (2 * 640 - 64, None));
}

#[tokio::test]
async fn both_kinds_of_subscribers_get_the_same_events_and_the_lossy_one_loses_none() {
    let (script, broadcast) = broadcast(4);
    let lossless = tokio::spawn(count(broadcast.subscribe_lossless()));
    let lossy = tokio::spawn(count(broadcast.subscribe()));
    script.push_all((0..100).map(batch));
    script.push(Step::End);
    // The lossy one keeps up on the same thread.
    assert_eq!(lossless.await.unwrap(), (2 * 6400, None));
    assert_eq!(lossy.await.unwrap(), (2 * 6400, None));
    assert_eq!(broadcast.published().events, 2 * 6400);
}

/// Readers of all speeds on several threads receive everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_on_any_number_of_threads() {
    for capacity in [1, 2, 7] {
        let (script, broadcast) = broadcast(capacity);
        let readers: Vec<_> = (0..8)
            .map(|n| {
                let subscriber = broadcast.subscribe_lossless();
                tokio::spawn(async move {
                    let mut subscriber = subscriber;
                    let (mut received, mut turns) = (0, 0_u32);
                    while let Some(batch) = soon(subscriber.next_batch()).await {
                        received += batch.unwrap().len();
                        turns += 1;
                        if turns % (n + 1) == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    received
                })
            })
            .collect();
        script.push_all((0..200).map(batch));
        script.push(Step::End);
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 2 * 12_800);
        }
        let published = broadcast.published();
        assert_eq!(published.events, 2 * 12_800);
    }
}

#[tokio::test]
async fn a_lossless_subscriber_that_is_dropped_frees_the_capture_at_once() {
    let (script, broadcast) = broadcast(1);
    let (never, other) = (
        broadcast.subscribe_lossless(),
        broadcast.subscribe_lossless(),
    );
    script.push_all((0..20).map(batch));
    stuck(&broadcast, 64, 1).await;
    drop(never);
    // The other is as slow.
    tokio::task::yield_now().await;
    assert_eq!(broadcast.published().events, 64);
    drop(other);
    // No timer helps: the drop itself wakes the task.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((script.left(), broadcast.published().events), (0, 20 * 64));
    assert_eq!(broadcast.receiver_count(), 0);
}

/// A future that waits for a batch and is dropped takes nothing and holds nothing up.
#[tokio::test]
async fn a_dropped_wait_of_a_lossless_subscriber_loses_nothing() {
    let (script, broadcast) = broadcast(1);
    let mut subscriber = broadcast.subscribe_lossless();
    for number in 0..50 {
        assert!(subscriber.next_batch().now_or_never().is_none());
        script.push(batch(number));
        let mut received = 0;
        while received < 64 {
            // Polled a few times and dropped again.
            match timeout(Duration::from_micros(50), subscriber.next_batch()).await {
                Ok(batch) => received += batch.unwrap().unwrap().len(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        assert_eq!(received, 64);
    }
}

#[tokio::test]
async fn a_subscriber_whose_task_panics_frees_the_capture_and_harms_nobody() {
    let (script, broadcast) = broadcast(1);
    let mut panics = broadcast.subscribe_lossless();
    let other = tokio::spawn(count(broadcast.subscribe_lossless()));
    let task = tokio::spawn(async move {
        let first = panics.next().await;
        panic!("as intended, after {first:?}");
    });
    script.push_all((0..50).map(batch));
    assert!(soon(task).await.unwrap_err().is_panic());
    script.push(Step::End);
    assert_eq!(other.await.unwrap(), (2 * 3200, None));
}

/// A predicate is part of its subscriber: its panic is not the capture's.
#[tokio::test]
async fn a_predicate_that_panics_ends_only_its_subscriber() {
    let (script, broadcast) = broadcast(1);
    let mut seen = 0;
    let mut panics = broadcast.subscribe_lossless().filtered(move |_| {
        seen += 1;
        assert!(seen != 70, "as intended");
        true
    });
    let other = tokio::spawn(count(broadcast.subscribe_lossless()));
    script.push_all((0..4).map(batch));
    let mut received = 0;
    let caught = AssertUnwindSafe(async {
        while soon(panics.next()).await.is_some() {
            received += 1;
        }
    })
    .catch_unwind()
    .await;
    assert!(caught.is_err());
    // Its second batch is judged as a whole before the first event of it.
    assert_eq!(received, 64);
    // It was caught, so the subscriber goes on: only the event is missing that was judged.
    while received < 255 {
        soon(panics.next()).await.unwrap().unwrap();
        received += 1;
    }
    drop(panics);
    script.push(Step::End);
    assert_eq!(other.await.unwrap(), (2 * 256, None));
}

/// A stop waits for nobody, and still nothing is lost.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_subscriber_that_never_reads() {
    let (script, broadcast) = broadcast(1);
    let never = broadcast.subscribe_lossless();
    script.push_all((0..20).map(batch));
    stuck(&broadcast, 64, 1).await;
    let stats = soon(broadcast.shutdown()).await.unwrap();
    // Two batches were taken from the source; their flows end.
    assert_eq!((stats.events, stats.active_flows), (256, 0));
    assert_eq!((script.left(), script.is_alone()), (18, true));
    assert_eq!(count(never).await, (256, None));
}

#[tokio::test]
async fn dropping_the_broadcast_ends_a_wait_too() {
    let (script, broadcast) = broadcast(1);
    let never = broadcast.subscribe_lossless();
    script.push_all((0..20).map(batch));
    stuck(&broadcast, 64, 1).await;
    drop(broadcast);
    assert_eq!(count(never).await, (256, None));
    assert!(script.is_alone());
}

/// The end of a source is no stop: it waits until everything is read.
#[tokio::test]
async fn the_end_of_a_source_waits_for_a_lossless_subscriber() {
    let (script, broadcast) = broadcast(1);
    let reads = broadcast.subscribe_lossless();
    script.push_all((0..3).map(batch));
    script.push(Step::Removed);
    stuck(&broadcast, 64, 1).await;
    let (received, error) = count(reads).await;
    assert_eq!(received, 2 * 192);
    assert_eq!(error.as_deref(), Some("the packet source failed"));
    // Also one that comes later gets the error.
    let (received, error) = count(broadcast.subscribe_lossless()).await;
    assert_eq!((received, error.is_some()), (0, true));
}

#[test]
fn a_runtime_that_is_shut_down_during_a_wait_is_reported_after_what_is_queued() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let (subscriber, broadcast) = runtime.block_on(async {
        let (script, broadcast) = broadcast(1);
        let subscriber = broadcast.subscribe_lossless();
        script.push_all((0..5).map(batch));
        stuck(&broadcast, 64, 1).await;
        (subscriber, broadcast)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread();
    let other = { other }.enable_all().build().unwrap();
    let (received, error) = other.block_on(count(subscriber));
    assert_eq!(received, 64);
    assert!(error.unwrap().contains("aborted"));
    // The wait is over.
    let waited = broadcast.published().waited;
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(broadcast.published().waited, waited);
    let stats = other.block_on(broadcast.stats());
    assert!(matches!(stats, Err(BroadcastRecvError::Aborted)));
}

/// Joining and leaving at any time: each receives what was published meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_of_both_kinds_join_and_leave_at_any_time() {
    let (script, broadcast) = broadcast(2);
    let broadcast = Arc::new(broadcast);
    let stop = Arc::new(AtomicBool::new(false));
    let churn = {
        let (broadcast, stop) = (broadcast.clone(), stop.clone());
        tokio::spawn(async move {
            let mut turn = 0_u32;
            // Relaxed: it publishes nothing.
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let mut subscriber = if turn.is_multiple_of(2) {
                    broadcast.subscribe_lossless()
                } else {
                    broadcast.subscribe()
                };
                let mut next = None;
                for _ in 0..turn % 5 {
                    // The last ones would wait for ever.
                    let wait = timeout(Duration::from_millis(1), subscriber.next_batch());
                    if let Ok(Some(Ok(batch))) = wait.await {
                        // Consecutive, except for what it was told that it lost.
                        if turn.is_multiple_of(2) {
                            assert_eq!(batch.first(), next.unwrap_or(batch.first()));
                        }
                        next = Some(batch.first() + batch.len() as u64);
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let reader = tokio::spawn(count(broadcast.subscribe_lossless()));
    for number in 0..500 {
        script.push(batch(number));
    }
    script.push(Step::End);
    assert_eq!(soon(reader).await.unwrap(), (2 * 32_000, None));
    stop.store(true, Ordering::Relaxed);
    soon(churn).await.unwrap();
    assert_eq!(broadcast.receiver_count(), 0);
}

#[tokio::test]
async fn filtered_subscribers_receive_what_they_want_and_everybody_the_end() {
    let (script, broadcast) = broadcast(64);
    let is_end = |event: &FlowEvent<FiveTupleKey>| matches!(event, FlowEvent::Ended { .. });
    let ends = tokio::spawn(count(broadcast.subscribe().filtered(is_end)));
    let port = |event: &FlowEvent<FiveTupleKey>| {
        let key = event.key().unwrap();
        key.a().port() == 1007 || key.b().port() == 1007
    };
    let one = tokio::spawn(count(broadcast.subscribe_lossless().filtered(port)));
    let none = tokio::spawn(count(broadcast.subscribe().filtered(|_| false)));
    script.push_all((0..10).map(batch));
    script.push(Step::Removed);
    let failed = Some("the packet source failed".to_owned());
    assert_eq!(ends.await.unwrap(), (640, failed.clone()));
    assert_eq!(one.await.unwrap(), (2, failed.clone()));
    assert_eq!(none.await.unwrap(), (0, failed));
}

/// 64 subscribers of both kinds, on one thread and on several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_subscribers_receive_everything() {
    let (script, broadcast) = broadcast(8);
    let readers: Vec<_> = (0..64)
        .map(|_| tokio::spawn(count(broadcast.subscribe_lossless())))
        .collect();
    assert_eq!(broadcast.receiver_count(), 64);
    script.push_all((0..100).map(batch));
    script.push(Step::End);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), (2 * 6400, None));
    }
    assert_eq!(broadcast.published().events, 2 * 6400);
}

/// The capture goes on when half of the queue is free, not at the first free place.
#[tokio::test]
async fn a_wait_lasts_until_half_of_the_queue_is_free() {
    let (script, broadcast) = broadcast(8);
    let mut slow = broadcast.subscribe_lossless();
    script.push_all((0..20).map(batch));
    stuck(&broadcast, 8 * 64, 1).await;
    for _ in 0..3 {
        assert!(soon(slow.next_batch()).await.is_some());
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(broadcast.published().events, 8 * 64);
    }
    assert!(soon(slow.next_batch()).await.is_some());
    stuck(&broadcast, 12 * 64, 2).await;
    // A new subscriber has nothing to read yet, and changes nothing; nor does its end.
    drop(broadcast.subscribe_lossless());
    stuck(&broadcast, 12 * 64, 2).await;
    script.push(Step::End);
    assert_eq!(count(slow).await, (2 * 1280 - 4 * 64, None));
}
