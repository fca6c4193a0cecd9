//! Broadcasts whose subscribers do everything wrong: leaked, never polled, joining at odd times,
//! a runtime that goes away.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::mem::forget;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use netring_async::{AsyncSource, BroadcastRecvError, FlowBroadcast, FlowSubscriber};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use xtask::wire::udp4;

use super::script::{Script, Step, scripted};

const BATCH: u64 = 64;

fn broadcast(capacity: usize) -> (Script, FlowBroadcast<FiveTupleKey>) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let flows = source.flow_stream(FiveTuple::bidirectional());
    (script, flows.broadcast(capacity))
}

/// A packet of each of 64 flows, which is a batch of events.
fn flows(number: u16) -> Step {
    let ports = (0..64).map(|n| 1000 + 64 * number + n);
    Step::Batch(ports.map(|port| (0, udp4(port, 53, b"?"))).collect())
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work)
        .await
        .expect("it takes no end")
}

async fn published(broadcast: &FlowBroadcast<FiveTupleKey>, events: u64) {
    soon(async {
        while broadcast.published().events != events {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Events received, events lost, and the error.
async fn count(mut events: FlowSubscriber<FiveTupleKey>) -> (u64, u64, Option<String>) {
    let (mut received, mut lost) = (0, 0);
    while let Some(event) = soon(events.next()).await {
        match event {
            Ok(_) => received += 1,
            Err(BroadcastRecvError::Lagged(more)) => lost += more,
            Err(error) => {
                assert!(soon(events.next()).await.is_none(), "the error is the last");
                return (received, lost, Some(error.to_string()));
            }
        }
    }
    assert!(soon(events.next()).await.is_none());
    (received, lost, None)
}

/// A lossless subscriber that is leaked holds up the capture, visibly; everything else works.
#[tokio::test]
async fn a_leaked_lossless_subscriber_shows_and_is_no_obstacle_to_the_end() {
    let (script, broadcast) = broadcast(2);
    forget(broadcast.subscribe_lossless());
    let other = broadcast.subscribe();
    let same = broadcast.subscribe_lossless();
    (0..5).for_each(|number| script.push(flows(number)));
    soon(async {
        while broadcast.published().waits == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!((stats.events, stats.waits), (2 * BATCH, 1));
    assert_eq!(soon(broadcast.flows(1)).await.unwrap().len(), 1);
    let subscribers = broadcast.subscribers();
    let behind: Vec<_> = subscribers
        .iter()
        .map(|one| (one.id, one.lossless, one.behind))
        .collect();
    let two = 2 * BATCH;
    assert_eq!(behind, [(0, true, two), (1, false, two), (2, true, two)]);
    // Readers who come and go change nothing about that.
    drop(broadcast.subscribe_lossless());
    let late = broadcast.subscribe_lossless();
    let (other, same, late) = (count(other), count(same), count(late));
    let all = tokio::spawn(futures::future::join3(other, same, late));
    let stats = soon(broadcast.shutdown()).await.unwrap();
    // The batch on its way, and all ends; what the source still has is not taken.
    let flows = stats.tracker.flows_started;
    assert_eq!((stats.active_flows, stats.events), (0, 2 * flows));
    let (other, same, late) = soon(all).await.unwrap();
    assert_eq!(same, (2 * flows, 0, None));
    assert_eq!(late, (2 * flows - two, 0, None));
    assert_eq!((other.0 + other.1, other.2), (2 * flows, None));
    // It is counted as long as the broadcast lives.
    assert_eq!(broadcast.receiver_count(), 1);
}

/// A subscriber joins from a subscriber's task, in the middle of a batch, behind the end, and
/// behind an error; each sees exactly what was published since.
#[tokio::test]
async fn subscribers_join_from_anywhere_at_any_time() {
    for fails in [false, true] {
        let (script, broadcast) = broadcast(64);
        let broadcast = Arc::new(broadcast);
        let mut first = broadcast.subscribe();
        let in_task = broadcast.clone();
        let task = tokio::spawn(async move {
            let mut joined = Vec::new();
            for n in 0..2 * BATCH {
                soon(first.next()).await.unwrap().unwrap();
                if n % BATCH == 10 {
                    joined.push(tokio::spawn(count(in_task.subscribe())));
                    joined.push(tokio::spawn(count(in_task.subscribe_lossless())));
                }
            }
            (count(first).await, joined)
        });
        script.push(flows(0));
        published(&broadcast, BATCH).await;
        soon(async {
            while broadcast.receiver_count() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        script.push(flows(1));
        soon(async {
            while broadcast.receiver_count() < 5 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        script.push(flows(2));
        script.push(if fails { Step::Removed } else { Step::End });
        let ((received, lost, error), joined) = soon(task).await.unwrap();
        // The third batch, and the ends of all.
        assert_eq!((received, lost), (4 * BATCH, 0));
        assert_eq!(error.is_some(), fails);
        let mut got = Vec::new();
        for task in joined {
            let (received, lost, found) = soon(task).await.unwrap();
            assert_eq!((lost, &found), (0, &error));
            got.push(received);
        }
        assert_eq!(got, [5, 5, 4, 4].map(|batches| batches * BATCH));
        for late in [broadcast.subscribe(), broadcast.subscribe_lossless()] {
            assert_eq!(soon(count(late)).await, (0, 0, error.clone()));
        }
        assert_eq!(broadcast.receiver_count(), 0);
    }
}

/// Each of 64 filters judges each event once, whether events are read one by one or in batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_64_filters_judges_each_event_once() {
    const ROUNDS: u16 = 20;
    let (script, broadcast) = broadcast(4);
    let judged: Vec<_> = (0..64).map(|_| Arc::<AtomicU64>::default()).collect();
    let readers = judged.iter().zip(0_u16..).map(|(judged, n)| {
        let judged = judged.clone();
        let mut wanted = broadcast.subscribe_lossless().filtered(move |event| {
            judged.fetch_add(1, Ordering::Relaxed);
            let key: &FiveTupleKey = event.key().unwrap();
            key.a().port().max(key.b().port()) % 64 == n
        });
        tokio::spawn(async move {
            let mut received = 0;
            loop {
                // By turns, which starts batches in their middle.
                if n % 2 == 0 || received % 3 == 0 {
                    match soon(wanted.next()).await {
                        Some(event) => drop(event.unwrap()),
                        None => return received,
                    }
                    received += 1;
                } else {
                    match soon(wanted.next_batch()).await {
                        Some(batch) => received += batch.unwrap().len() as u64,
                        None => return received,
                    }
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    (0..ROUNDS).for_each(|number| script.push(flows(number)));
    script.push(Step::End);
    for reader in readers {
        // A start and an end of one flow in each round.
        assert_eq!(soon(reader).await.unwrap(), 2 * u64::from(ROUNDS));
    }
    let events = 2 * BATCH * u64::from(ROUNDS);
    for judged in judged {
        assert_eq!(judged.load(Ordering::Relaxed), events);
    }
}

/// A runtime that is shut down does not wait for a capture that waits, and nobody waits for it.
#[test]
fn a_runtime_shut_down_in_a_wait_ends_all_subscribers() {
    let runtimes: [fn() -> Runtime; 2] = [
        || Builder::new_current_thread().enable_all().build().unwrap(),
        || Builder::new_multi_thread().enable_all().build().unwrap(),
    ];
    for (number, runtime) in [0, 1, 0, 1].into_iter().map(|n| runtimes[n]()).enumerate() {
        let (script, broadcast, stuck, lossy) = runtime.block_on(async {
            let (script, broadcast) = broadcast(1);
            let (stuck, lossy) = (broadcast.subscribe_lossless(), broadcast.subscribe());
            (0..5).for_each(|number| script.push(flows(number)));
            soon(async {
                while broadcast.published().waits == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            (script, broadcast, stuck, lossy)
        });
        match number {
            0 | 1 => runtime.shutdown_timeout(Duration::from_secs(20)),
            _ => runtime.shutdown_background(),
        }
        let other = Builder::new_current_thread().enable_all().build().unwrap();
        other.block_on(async {
            let aborted = BroadcastRecvError::Aborted.to_string();
            for subscriber in [stuck, lossy] {
                let (received, lost, error) = soon(count(subscriber)).await;
                assert_eq!((received + lost, error.as_ref()), (BATCH, Some(&aborted)));
            }
            for found in [
                soon(broadcast.stats()).await.map(|_| ()),
                soon(broadcast.shutdown()).await.map(|_| ()),
                soon(broadcast.flows(1)).await.map(|_| ()),
            ] {
                assert_eq!(found.unwrap_err().to_string(), aborted);
            }
            let (received, lost, error) = soon(count(broadcast.subscribe())).await;
            assert_eq!((received, lost, error), (0, 0, Some(aborted)));
            let broadcast =
                soon(broadcast.into_flow_stream::<super::script::Scripted, FiveTuple>());
            drop(broadcast.await.map(drop).unwrap_err());
        });
        soon_closed(&script);
    }
}

fn soon_closed(script: &Script) {
    for _ in 0..3000 {
        if script.is_alone() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the source is not closed");
}

/// Futures of the handle that are dropped half-way take nothing with them.
#[tokio::test]
async fn dropped_requests_harm_nobody() {
    let (script, broadcast) = broadcast(16);
    let events = tokio::spawn(count(broadcast.subscribe()));
    script.push(flows(0));
    published(&broadcast, BATCH).await;
    for _ in 0..100 {
        drop(broadcast.stats());
        let _ = futures::poll!(std::pin::pin!(broadcast.stats()));
        let _ = futures::poll!(std::pin::pin!(broadcast.flows(10)));
    }
    assert_eq!(soon(broadcast.stats()).await.unwrap().active_flows, 64);
    // Once begun it goes on without the future.
    let _ = futures::poll!(std::pin::pin!(broadcast.shutdown()));
    assert_eq!(soon(events).await.unwrap(), (2 * BATCH, 0, None));
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!((stats.active_flows, stats.events), (0, 2 * BATCH));
    assert_eq!(soon(count(broadcast.subscribe())).await, (0, 0, None));
}
