//! Broadcasts over a scripted source: every subscriber receives every event, or the number it lost,
//! and how the capture ended.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use super::script as scripted;

use std::time::Duration;

use futures::StreamExt;
use netring_async::{AsyncSource, BroadcastRecvError, FlowBroadcast, FlowSubscriber};
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_flow::{EndReason, FlowEvent};
use netring_sys::{Count, Error, Packet};
use scripted::{Script, Step, scripted};
use tokio::time::{sleep, timeout};
use xtask::wire::udp4;

const SOON: Duration = Duration::from_secs(10);

type Broadcast = FlowBroadcast<FiveTupleKey>;
type Subscriber = FlowSubscriber<FiveTupleKey>;

fn broadcast(capacity: usize) -> (Script, Broadcast) {
    let (script, source) = scripted();
    let flows = AsyncSource::new(source)
        .unwrap()
        .flow_stream(FiveTuple::bidirectional());
    (script, flows.broadcast(capacity))
}

/// A batch with one packet of each of these flows.
fn flows(ports: impl IntoIterator<Item = u16>) -> Step {
    Step::Batch(
        ports
            .into_iter()
            .map(|port| (0, udp4(port, 53, b"?")))
            .collect(),
    )
}

/// What a subscriber received, by the ports of the flows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    started: Vec<u16>,
    ended: Vec<u16>,
    lost: u64,
    error: Option<String>,
}

impl Got {
    fn take(&mut self, event: &FlowEvent<FiveTupleKey>) {
        let key = event.key().unwrap();
        let port = key.a().port().max(key.b().port());
        match event {
            FlowEvent::Started { .. } => self.started.push(port),
            FlowEvent::Ended { reason, .. } => {
                assert_eq!(*reason, EndReason::SourceEnded);
                self.ended.push(port);
            }
            other => panic!("{other:?}"),
        }
    }

    fn total(&self) -> u64 {
        (self.started.len() + self.ended.len()) as u64
    }
}

/// Everything that a subscriber receives until the end. Nothing follows an error or the end.
async fn all(mut subscriber: Subscriber) -> Got {
    let mut got = Got::default();
    let work = async {
        while let Some(event) = subscriber.next().await {
            assert_eq!(got.error, None);
            match event {
                Ok(event) => got.take(&event),
                Err(BroadcastRecvError::Lagged(lost)) => got.lost += lost,
                Err(error) => got.error = Some(error.to_string()),
            }
        }
        assert!(subscriber.next().await.is_none());
    };
    timeout(SOON, work)
        .await
        .expect("the broadcast does not end");
    assert_eq!(got.lost, subscriber.lost());
    got.ended.sort();
    got
}

/// Waits until all steps of the source are done and the resulting events are published.
async fn settled(script: &Script, broadcast: &Broadcast) {
    let done = async {
        while script.left() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, done).await.expect("it takes no more");
    broadcast.stats().await.unwrap();
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn every_subscriber_gets_every_event_and_a_clean_end() {
    let (script, broadcast) = broadcast(1024);
    let subscribers = [(); 4].map(|()| broadcast.subscribe());
    assert_eq!(broadcast.receiver_count(), 4);
    script.push_all([flows(1000..1100), flows(1050..1200), Step::End]);
    let want = Got {
        started: (1000..1200).collect(),
        ended: (1000..1200).collect(),
        ..Got::default()
    };
    for subscriber in subscribers {
        assert_eq!(all(subscriber).await, want);
    }
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(stats.capture.delivered, Count::Exact(250));
    assert_eq!(
        (stats.tracker.flows_started, stats.tracker.ended.total()),
        (200, 200)
    );
    assert_eq!((stats.active_flows, stats.events), (0, 400));
    assert!(script.is_alone(), "the task is over");
    // A late subscriber receives the end.
    assert_eq!(all(broadcast.subscribe()).await, Got::default());
}

#[tokio::test]
async fn s10_s21_a_removal_reaches_every_subscriber_and_the_task_is_over() {
    let (script, broadcast) = broadcast(2);
    let (waits, lags) = (broadcast.subscribe(), broadcast.subscribe());
    let waits = tokio::spawn(all(waits));
    script.push_all([flows([1000]), Step::LinkDown]);
    settled(&script, &broadcast).await;
    assert_eq!(
        broadcast.stats().await.unwrap().capture.link_downs,
        Count::Exact(1)
    );
    // Three more batches of one event each: the queue holds two.
    for port in 1001..=1003 {
        script.push(flows([port]));
        settled(&script, &broadcast).await;
    }
    script.push(Step::Removed);
    let got = waits.await.unwrap();
    assert_eq!(
        (&got.started, &got.ended),
        (&vec![1000, 1001, 1002, 1003], &vec![1000, 1001, 1002, 1003])
    );
    assert_eq!(
        (got.lost, got.error.as_deref()),
        (0, Some("the packet source failed"))
    );
    let looks = script.looks();
    // At its end the queue has the ends of the four flows in one batch, after the last start.
    let got = all(lags).await;
    assert_eq!((got.lost, got.total()), (3, 5));
    assert!(got.error.is_some());
    let late = all(broadcast.subscribe()).await;
    assert!(late.error.is_some());
    assert_eq!(late.total(), 0);
    assert!(script.is_alone());
    assert_eq!(script.looks(), looks, "a task that is over asks no more");
    // The error itself is accessible.
    let reported = broadcast.subscribe().next().await.unwrap().unwrap_err();
    let BroadcastRecvError::Source(error) = reported else {
        panic!("{reported}")
    };
    assert!(matches!(*error, Error::InterfaceRemoved { .. }));
}

#[tokio::test]
async fn s22_a_slow_subscriber_loses_exactly_what_is_reported_and_stops_nobody() {
    const ROUNDS: u16 = 500;
    let (script, broadcast) = broadcast(16);
    let slow = broadcast.subscribe();
    let fast = tokio::spawn(all(broadcast.subscribe()));
    for round in 0..ROUNDS {
        script.push(flows((0..100).map(|n| round * 100 + n + 100)));
        if round % 7 == 0 {
            settled(&script, &broadcast).await;
        }
    }
    settled(&script, &broadcast).await;
    // Nobody waited for the slow subscriber: the source is drained.
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(
        stats.capture.delivered,
        Count::Exact(u64::from(ROUNDS) * 100)
    );
    assert_eq!(stats.tracker.flows_started, u64::from(ROUNDS) * 100);
    script.push(Step::End);
    let fast = fast.await.unwrap();
    assert_eq!((fast.lost, fast.total()), (0, 2 * u64::from(ROUNDS) * 100));
    let events = broadcast.stats().await.unwrap().events;
    assert_eq!(events, fast.total());
    let slow = all(slow).await;
    assert_eq!(slow.lost + slow.total(), events);
    // The queue remains: 16 batches of 1 to 64.
    assert!((16..=16 * 64).contains(&slow.total()), "{}", slow.total());
    assert_eq!(slow.error, None);
}

#[tokio::test]
async fn without_subscribers_the_capture_goes_on_and_is_counted() {
    let (script, broadcast) = broadcast(4);
    for round in 0..100 {
        script.push(flows(round * 10 + 1000..round * 10 + 1010));
    }
    settled(&script, &broadcast).await;
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(stats.capture.delivered, Count::Exact(1000));
    assert_eq!((stats.active_flows, stats.events), (1000, 1000));
    // A subscriber starts at the present.
    let mut subscriber = broadcast.subscribe();
    script.push(flows([5000]));
    let batch = timeout(SOON, subscriber.next_batch()).await.unwrap();
    let batch = batch.unwrap().unwrap();
    assert_eq!((batch.first(), batch.len()), (1000, 1));
    assert_eq!(subscriber.lost(), 0);
}

#[tokio::test]
async fn s16_dropping_the_broadcast_stops_the_task_and_ends_the_subscribers_with_nothing_lost() {
    let (script, broadcast) = broadcast(1024);
    let (reads, full) = (broadcast.subscribe(), broadcast.subscribe());
    let reads = tokio::spawn(all(reads));
    script.push(flows(1000..1300));
    settled(&script, &broadcast).await;
    drop(broadcast);
    let want = Got {
        started: (1000..1300).collect(),
        ended: (1000..1300).collect(),
        ..Got::default()
    };
    assert_eq!(reads.await.unwrap(), want);
    assert_eq!(all(full).await, want);
    assert!(script.is_alone(), "the source is still held");
}

/// On several threads the task could start before anyone could subscribe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_begins_when_the_first_subscriber_is_polled() {
    let (script, source) = scripted();
    script.push_all([flows(1000..1500), Step::End]);
    let flows = AsyncSource::new(source.replayed())
        .unwrap()
        .flow_stream(FiveTuple::bidirectional());
    let broadcast = flows.broadcast(64);
    sleep(Duration::from_millis(50)).await;
    let (a, b) = (broadcast.subscribe(), broadcast.subscribe());
    sleep(Duration::from_millis(50)).await;
    assert_eq!(script.looks(), 0, "it did not wait for a subscriber");
    // The task exists and answers.
    assert_eq!(
        broadcast.stats().await.unwrap().capture.delivered,
        Count::Exact(0)
    );
    let (a, b) = tokio::join!(all(a), all(b));
    assert_eq!((a.started.len(), a.ended.len(), a.lost), (500, 500, 0));
    assert_eq!(a, b);
}

#[tokio::test]
async fn a_replay_that_nobody_reads_can_be_dropped() {
    let (script, source) = scripted();
    script.push_all([flows([1000]), Step::End]);
    let flows = AsyncSource::new(source.replayed())
        .unwrap()
        .flow_stream(FiveTuple::bidirectional());
    let broadcast = flows.broadcast(64);
    let subscriber = broadcast.subscribe();
    drop(broadcast);
    assert_eq!(all(subscriber).await, Got::default());
    assert!(script.is_alone());
}

/// A user's own extractor, with a bug.
struct Panics;

impl Extract for Panics {
    type Key = FiveTupleKey;

    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        assert!(packet.data()[35] != 7, "port 7 mod 256");
        FiveTuple::bidirectional().extract(packet)
    }
}

#[tokio::test]
async fn s21_a_panic_of_the_task_is_reported_to_every_subscriber() {
    let (script, source) = scripted();
    let broadcast = AsyncSource::new(source)
        .unwrap()
        .flow_stream(Panics)
        .broadcast(16);
    let (a, b) = (broadcast.subscribe(), broadcast.subscribe());
    script.push(flows([1000]));
    settled(&script, &broadcast).await;
    script.push(flows([256 * 7 + 7]));
    for subscriber in [a, b, broadcast.subscribe()] {
        let error = all(subscriber).await.error.expect("a clean end");
        assert!(error.contains("panicked"), "{error}");
    }
    let stats = broadcast.stats().await.unwrap_err();
    assert!(matches!(stats, BroadcastRecvError::Aborted));
}

#[test]
fn s21_a_shutdown_of_the_runtime_is_reported_too() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (script, mut subscriber) = runtime.block_on(async {
        let (script, broadcast) = broadcast(16);
        let subscriber = broadcast.subscribe();
        // The handle outlives the runtime.
        std::mem::forget(broadcast);
        (script, subscriber)
    });
    drop(runtime);
    let reported = futures::executor::block_on(subscriber.next()).unwrap();
    assert!(matches!(reported, Err(BroadcastRecvError::Aborted)));
    assert!(futures::executor::block_on(subscriber.next()).is_none());
    assert!(script.is_alone());
}

#[tokio::test]
async fn events_that_a_stream_had_queued_are_not_lost_to_its_broadcast() {
    let (script, source) = scripted();
    script.push_all([flows(1000..1003), Step::End]);
    let mut stream = AsyncSource::new(source)
        .unwrap()
        .flow_stream(FiveTuple::bidirectional());
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(stream.queued(), 2);
    let broadcast = stream.broadcast(16);
    let got = all(broadcast.subscribe()).await;
    assert_eq!(
        (got.started, got.ended),
        (vec![1001, 1002], vec![1000, 1001, 1002])
    );
}

/// Subscribers on several threads, with a queue that is too short for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s22_received_and_lost_are_all_there_were_on_any_number_of_threads() {
    let (script, broadcast) = broadcast(2);
    let slow = broadcast.subscribe();
    let subscribers = [(); 6].map(|()| broadcast.subscribe());
    let readers = subscribers.map(|subscriber| tokio::spawn(all(subscriber)));
    let pushing = std::thread::spawn(move || {
        for n in 0..2000_u16 {
            script.push(flows((0..30).map(|port| n * 30 + port + 100)));
        }
        script.push(Step::End);
    });
    let mut read = Vec::new();
    for reader in readers {
        read.push(reader.await.unwrap());
    }
    let slow = all(slow).await;
    assert!(slow.lost >= 120_000 - 2 * 64, "{}", slow.lost);
    read.push(slow);
    assert_eq!(broadcast.stats().await.unwrap().events, 120_000);
    for got in read {
        assert_eq!((got.total() + got.lost, got.error), (120_000, None));
        // In order, whatever is missing.
        assert!(got.started.is_sorted());
    }
    pushing.join().unwrap();
}

/// The example of the facade, which needs no pinning.
#[tokio::test]
async fn two_subscribers_in_one_select() {
    let (script, broadcast) = broadcast(1024);
    let (mut a, mut b) = (broadcast.subscribe(), broadcast.subscribe());
    script.push_all([flows(1000..1020), Step::End]);
    let mut counts = [0, 0];
    loop {
        tokio::select! {
            Some(event) = a.next() => counts[0] += usize::from(event.is_ok()),
            Some(event) = b.next() => counts[1] += usize::from(event.is_ok()),
            else => break,
        }
    }
    assert_eq!(counts, [40, 40]);
}

#[test]
fn handles_are_send_and_subscribers_unpin() {
    fn send<T: Send + 'static>() {}
    fn unpin<T: Unpin>() {}
    send::<Broadcast>();
    send::<Subscriber>();
    unpin::<Subscriber>();
    fn sync<T: Sync>() {}
    sync::<Broadcast>();
    send::<netring_async::SharedEvent<FlowEvent<FiveTupleKey>>>();
    fn future<T: Send>(_: T) {}
    fn batches(mut subscriber: Subscriber, broadcast: &Broadcast) {
        future(subscriber.next_batch());
        future(broadcast.stats());
    }
    let _ = batches;
}
