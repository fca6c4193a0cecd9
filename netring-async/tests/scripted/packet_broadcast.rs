//! Packets, and the items of any stream, for many subscribers.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::future::Future;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, StreamExt, stream};
use netring_async::{
    AsyncSource, Broadcast, BroadcastRecvError, PacketBroadcast, PacketSubscriber, Subscriber,
};
use netring_flow::FlowTracker;
use netring_flow::extract::FiveTuple;
use netring_sys::{Count, Error, Filter, Matcher, PacketBatch};
use tokio::time::{sleep, timeout};
use xtask::wire::{number, numbered, tcp4, udp4};

use super::script::{Script, Scripted, Step, scripted};

const SOON: Duration = Duration::from_secs(20);

fn broadcast(capacity: usize) -> (Script, PacketBroadcast) {
    let (script, source) = scripted();
    (
        script,
        AsyncSource::new(source).unwrap().broadcast(capacity),
    )
}

/// A batch of the packets with these numbers, of different lengths; its time is its number.
fn batch(numbers: std::ops::Range<u64>) -> Step {
    let len = |number: u64| 60 + (number % 900) as usize;
    Step::Batch(numbers.map(|n| (n as i64, numbered(n, len(n)))).collect())
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it takes no end")
}

/// The numbers of all packets until the end, what was lost, and the error.
async fn all(mut packets: PacketSubscriber) -> (Vec<u64>, u64, Option<String>) {
    let (mut got, mut lost, mut error) = (Vec::new(), 0, None);
    while let Some(packet) = soon(packets.next()).await {
        match packet {
            Ok(packet) => {
                let packet = packet.packet();
                let number = number(packet.data()).unwrap();
                assert_eq!(
                    packet.data(),
                    numbered(number, 60 + (number % 900) as usize)
                );
                assert_eq!(packet.timestamp().as_nanos(), number as i64);
                got.push(number);
            }
            Err(BroadcastRecvError::Lagged(more)) => lost += more,
            Err(other) => error = Some(other.to_string()),
        }
    }
    assert_eq!(lost, packets.lost());
    (got, lost, error)
}

#[tokio::test]
async fn every_subscriber_gets_every_packet_byte_for_byte() {
    let (script, broadcast) = broadcast(64);
    let readers = [false, true, false].map(|lossless| match lossless {
        true => tokio::spawn(all(broadcast.subscribe_lossless())),
        false => tokio::spawn(all(broadcast.subscribe())),
    });
    script.push_all([
        batch(0..1),
        batch(1..1000),
        batch(1000..1064),
        Step::LinkDown,
    ]);
    script.push_all([batch(1064..1065), Step::Removed]);
    for reader in readers {
        let (got, lost, error) = soon(reader).await.unwrap();
        assert!(got.into_iter().eq(0..1065));
        assert_eq!(
            (lost, error.as_deref()),
            (0, Some("the packet source failed"))
        );
    }
    assert!(script.is_alone());
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(
        (stats.delivered, stats.link_downs),
        (Count::Exact(1065), Count::Exact(1))
    );
    assert_eq!(broadcast.published().events, 1065);
}

/// Losses are counted in packets, whatever batches they were in.
#[tokio::test]
async fn s22_a_slow_subscriber_loses_exactly_what_is_reported() {
    let (script, broadcast) = broadcast(3);
    let slow = broadcast.subscribe();
    let reads = tokio::spawn(all(broadcast.subscribe()));
    let mut sent = 0;
    for round in 0..200 {
        script.push(batch(sent..sent + 1 + round % 150));
        sent += 1 + round % 150;
        soon(async {
            while broadcast.published().events != sent {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    script.push(Step::End);
    let (got, lost, error) = soon(reads).await.unwrap();
    assert!(got.into_iter().eq(0..sent));
    assert_eq!((lost, error), (0, None));
    let (got, lost, error) = all(slow).await;
    assert_eq!((got.len() as u64 + lost, error), (sent, None));
    assert!(got.into_iter().eq(lost..sent));
}

#[tokio::test]
async fn a_lossless_subscriber_makes_the_source_wait() {
    let (script, broadcast) = broadcast(2);
    let late = broadcast.subscribe_lossless();
    script.push_all((0..10).map(|n| batch(64 * n..64 * n + 64)));
    script.push(Step::End);
    soon(async {
        while broadcast.published().waits == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!((script.left(), broadcast.published().events), (8, 128));
    assert_eq!(
        soon(broadcast.stats()).await.unwrap().delivered,
        Count::Exact(192)
    );
    let (got, lost, _) = all(late).await;
    assert!(got.into_iter().eq(0..640));
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn a_filter_runs_over_shared_packets() {
    let (script, broadcast) = broadcast(16);
    let matcher = Matcher::new("udp port 53".parse::<Filter>().unwrap()).unwrap();
    let mut dns = broadcast
        .subscribe()
        .filtered(move |packet| matcher.matches(packet));
    let (udp, tcp) = (udp4(5000, 53, b"question"), tcp4(5000, 80, 1, 2, b""));
    let frames = [&udp, &udp, &tcp, &udp].map(|frame| (0, frame.clone()));
    script.push_all([Step::Batch(frames.into()), Step::End]);
    let mut runs = Vec::new();
    while let Some(batch) = soon(dns.next_batch()).await {
        let batch = batch.unwrap();
        assert!(batch.iter().all(|packet| packet.data() == udp));
        assert!(!batch.is_empty());
        runs.push((batch.first(), batch.len(), batch.packets().count()));
    }
    assert_eq!(runs, [(0, 2, 2), (3, 1, 1)]);
}

/// A batch goes into a flow tracker as it is.
#[tokio::test]
async fn a_batch_of_shared_packets_is_a_batch_for_everything() {
    let (script, broadcast) = broadcast(16);
    let mut packets = broadcast.subscribe();
    let frames = (0..200).map(|n| (0, udp4(1000 + n % 50, 53, b"?")));
    script.push_all([Step::Batch(frames.collect()), Step::End]);
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    while let Some(batch) = soon(packets.next_batch()).await {
        tracker.track_batch(&batch.unwrap(), &mut events);
    }
    assert_eq!((events.len(), tracker.stats().tracked), (50, 200));
}

/// Back to the source: subscribers have what was before, the source lends what is after.
#[tokio::test]
async fn the_source_of_a_broadcast_is_returned_with_what_it_has_not_lent() {
    let (script, broadcast) = broadcast(1);
    let never = broadcast.subscribe_lossless();
    script.push_all((0..10).map(|n| batch(64 * n..64 * n + 64)));
    soon(async {
        while broadcast.published().waits == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // Another type of source is refused, and nothing changes.
    let broadcast = broadcast.into_source::<Other>().await.unwrap_err();
    let mut source = soon(broadcast.into_source::<Scripted>()).await.unwrap();
    let mut got = Vec::new();
    script.push(Step::End);
    while let Some(batch) = source.next_batch().await.unwrap() {
        got.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
    }
    assert!(got.into_iter().eq(128..640));
    let (got, lost, error) = all(never).await;
    assert!(got.into_iter().eq(0..128));
    assert_eq!((lost, error), (0, None));
}

type Other = netring_sys::adapters::Limit<Scripted>;

#[tokio::test]
async fn a_broadcast_that_is_over_has_no_source_to_return() {
    let (script, broadcast) = broadcast(1);
    script.push_all([batch(0..1), Step::End]);
    let subscriber = broadcast.subscribe();
    assert_eq!(all(subscriber).await.0, [0]);
    let broadcast = broadcast.into_source::<Scripted>().await.unwrap_err();
    assert_eq!(broadcast.stats().await.unwrap().delivered, Count::Exact(1));
}

#[tokio::test]
async fn a_stop_closes_the_source_and_leaves_what_it_has_not_lent() {
    let (script, broadcast) = broadcast(16);
    let reads = broadcast.subscribe();
    script.push(batch(0..100));
    soon(async {
        while broadcast.published().events != 100 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!(
        (stats.delivered, script.is_alone()),
        (Count::Exact(100), true)
    );
    assert!(all(reads).await.0.into_iter().eq(0..100));
}

/// Any stream: it is read when somebody reads, in batches, and dropped before its end is seen.
#[tokio::test]
async fn the_items_of_a_stream_reach_every_subscriber_with_its_error() {
    let (mut sender, receiver) = mpsc::unbounded::<Result<u64, Error>>();
    let broadcast = Broadcast::new(receiver, 4);
    let (mut a, b) = (broadcast.subscribe(), broadcast.subscribe_lossless());
    for number in 0..100 {
        sender.start_send(Ok(number)).unwrap();
    }
    sleep(Duration::from_millis(20)).await;
    assert_eq!(broadcast.published().events, 0, "nobody has read yet");
    assert_eq!(*soon(a.next()).await.unwrap().unwrap(), 0);
    sender.start_send(Err(Error::Closed)).unwrap();
    let numbers = |subscriber: Subscriber<u64>| async move {
        let items = subscriber.map(|item| item.map(|number| *number));
        let mut all: Vec<_> = soon(items.collect::<Vec<_>>()).await;
        let error = all.pop().unwrap().unwrap_err();
        assert!(matches!(error, BroadcastRecvError::Source(_)), "{error}");
        all.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert!(numbers(a).await.into_iter().eq(1..100));
    assert!(numbers(b).await.into_iter().eq(0..100));
    assert!(sender.is_closed());
    soon(broadcast.shutdown()).await;
}

#[tokio::test]
async fn a_stream_that_never_rests_leaves_the_timers_their_turn() {
    let broadcast = Broadcast::new(stream::repeat(1_u8).map(Ok), 4);
    let mut reads = broadcast.subscribe();
    assert!(soon(reads.next()).await.is_some());
    for _ in 0..20 {
        soon(sleep(Duration::from_millis(1))).await;
    }
    soon(broadcast.shutdown()).await;
    assert!(
        broadcast
            .subscribe()
            .next()
            .now_or_never()
            .unwrap()
            .is_none()
    );
}
