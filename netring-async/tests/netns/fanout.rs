//! The workers of a fanout group on one runtime: batches, and flows.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use netring_afpacket::{Capture, Fanout, FanoutGroup, FanoutHandle, Profile};
use netring_async::AsyncSource;
use netring_flow::FlowEvent;
use netring_flow::extract::FiveTuple;
use netring_sys::{Count, Error, PacketBatch};
use tokio::time::{sleep, timeout};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, udp4};

use super::background::{sockets, until_sockets};

const FLOWS: u16 = 32;
const PATIENCE: Duration = Duration::from_secs(10);

/// Two workers on one end of a wire, and a sender on the other.
fn open() -> (Sender, FanoutHandle, Vec<AsyncSource<Capture>>) {
    veth("v0", "v1").unwrap();
    let builder = Capture::builder().interface("v1");
    let builder = builder.profile(Profile::LowMemory);
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let handle = group.handle();
    let workers = group.into_workers().into_iter();
    let workers = workers.map(|worker| AsyncSource::new(worker).unwrap());
    (Sender::on("v0").unwrap(), handle, workers.collect())
}

/// Two packets of each flow, there and back.
fn send(sender: &Sender) {
    for flow in 0..FLOWS {
        sender.send(&udp4(5000 + flow, 53, b"question")).unwrap();
        let mut back = udp4(53, 5000 + flow, b"answer..");
        (0..4).for_each(|n| back.swap(26 + n, 30 + n));
        sender.send(&back).unwrap();
    }
}

async fn until_delivered(handle: &FanoutHandle, packets: u64) {
    let delivered = async {
        while handle.stats().unwrap().delivered != Count::Exact(packets) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, delivered).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn workers_share_one_runtime_and_one_call_ends_them() {
    let _ns = Netns::enter().unwrap();
    let (sender, handle, workers) = open();
    let read = |mut worker: AsyncSource<Capture>| async move {
        let mut packets = 0;
        while let Some(batch) = worker.next_batch().await? {
            packets += batch.packets().count() as u64;
        }
        assert_eq!(worker.stats()?.delivered, Count::Exact(packets));
        Ok::<_, Error>(packets)
    };
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| tokio::spawn(read(worker)))
        .collect();
    send(&sender);
    until_delivered(&handle, 2 * u64::from(FLOWS)).await;
    // Workers that are idle learn of a link that goes down, which counts once, and go on.
    ip("link set v1 down").unwrap();
    let down = async {
        while handle.stats().unwrap().link_downs != Count::Exact(1) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, down).await.unwrap();
    assert!(tasks.iter().all(|task| !task.is_finished()));
    handle.stop();
    let mut sum = 0;
    for task in tasks {
        let packets = timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
        assert!(packets > 0);
        sum += packets;
    }
    assert_eq!(sum, 2 * u64::from(FLOWS));
    let stats = handle.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(sum), Count::Exact(0))
    );
}

/// Each flow is in one tracker, as a whole and in both directions.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_tracker_for_each_worker_sees_whole_flows() {
    let _ns = Netns::enter().unwrap();
    let (sender, handle, workers) = open();
    let watch = |worker: AsyncSource<Capture>| async move {
        let mut flows = worker.flow_stream(FiveTuple::bidirectional());
        let mut ended = Vec::new();
        while let Some(event) = flows.next().await {
            if let FlowEvent::Ended { key, stats, .. } = event? {
                ended.push((key, stats.packets()));
            }
        }
        Ok::<_, Error>(ended)
    };
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| tokio::spawn(watch(worker)))
        .collect();
    send(&sender);
    send(&sender);
    until_delivered(&handle, 4 * u64::from(FLOWS)).await;
    handle.stop();
    let mut all = BTreeMap::new();
    for task in tasks {
        let ended = timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
        assert!(!ended.is_empty());
        for (key, packets) in ended {
            assert_eq!(packets, 4, "{key:?}");
            assert!(
                all.insert(format!("{key:?}"), packets).is_none(),
                "{key:?} is in two trackers"
            );
        }
    }
    assert_eq!(all.len(), usize::from(FLOWS));
}

/// A task that is aborted in the middle of its wait drops its worker, whose flows the other takes.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_worker_whose_task_is_aborted_leaves_the_group() {
    let _ns = Netns::enter().unwrap();
    let (sender, handle, mut workers) = open();
    let both = sockets();
    let mut left = workers.pop().unwrap();
    let mut first = workers.pop().unwrap();
    let aborted =
        tokio::spawn(async move { first.next_batch().await.map(|batch| batch.is_some()) });
    tokio::task::yield_now().await;
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
    until_sockets(both - 1).await;
    send(&sender);
    let mut packets = 0;
    while packets < 2 * usize::from(FLOWS) {
        let batch = timeout(PATIENCE, left.next_batch()).await.unwrap().unwrap();
        packets += batch.unwrap().packets().count();
    }
    assert_eq!(packets, 2 * usize::from(FLOWS));
    assert_eq!(
        handle.stats().unwrap().offered,
        Count::Exact(packets as u64)
    );
}
