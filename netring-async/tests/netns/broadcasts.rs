//! Broadcasts over real captures: what subscribers receive, compared with what a plain socket sent
//! and with the kernel's counters.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use netring_afpacket::{Capture, Fanout, FanoutGroup, Profile};
use netring_async::{AsyncSource, BroadcastRecvError, FlowWorkers, PacketSubscriber, Subscriber};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{EndReason, FlowEvent};
use netring_sys::wait::Merge;
use netring_sys::{Count, Error, PacketBatch};
use tokio::time::{sleep, timeout};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered, udp4};

use super::background::until_sockets;

const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes no end")
}

fn capture(interface: &str) -> Capture {
    let builder = Capture::builder().profile(Profile::LowMemory);
    builder.interface(interface).build().unwrap()
}

/// A sender at one end of a wire, and a capture at the other.
fn pair() -> (Sender, AsyncSource<Capture>) {
    veth("v0", "v1").unwrap();
    let source = AsyncSource::new(capture("v1")).unwrap();
    (Sender::on("v0").unwrap(), source)
}

fn port(key: &FiveTupleKey) -> u16 {
    key.a().port().max(key.b().port())
}

/// The numbers of all packets until the end, and the error.
async fn numbers(mut packets: PacketSubscriber) -> (Vec<u64>, Option<BroadcastRecvError>) {
    let (mut got, mut failed) = (Vec::new(), None);
    while let Some(packet) = soon(packets.next()).await {
        match packet {
            Ok(packet) => {
                let packet = packet.packet();
                let number = number(packet.data()).unwrap();
                assert_eq!(packet.data(), numbered(number, length(number)));
                got.push(number);
            }
            Err(BroadcastRecvError::Lagged(lost)) => panic!("{lost} lost"),
            Err(other) => failed = Some(other),
        }
    }
    (got, failed)
}

const fn length(number: u64) -> usize {
    60 + (number * 37 % 1400) as usize
}

/// Byte for byte, for subscribers of both kinds; then the interface is removed.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn packets_on_the_wire_reach_every_subscriber_and_a_removal_too() {
    let _ns = Netns::enter().unwrap();
    let (sender, source) = pair();
    let broadcast = source.broadcast(4096);
    let readers = [broadcast.subscribe(), broadcast.subscribe_lossless()]
        .map(|packets| tokio::spawn(numbers(packets)));
    for n in 0..5000 {
        sender.send(&numbered(n, length(n))).unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    soon(async {
        while broadcast.published().events != 5000 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    ip("link del dev v0").unwrap();
    for reader in readers {
        let (got, failed) = soon(reader).await.unwrap();
        assert!(got.into_iter().eq(0..5000));
        let Some(BroadcastRecvError::Source(error)) = failed else {
            panic!("{failed:?}")
        };
        assert!(matches!(*error, Error::InterfaceRemoved { .. }), "{error}");
    }
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(5000), Count::Exact(0))
    );
}

/// A lossless subscriber that does not read stops the capture; the ring overflows, and the kernel
/// counts what it drops. What is delivered and dropped is all that was sent.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn what_the_ring_drops_while_a_lossless_subscriber_sleeps_is_counted() {
    const SENT: u64 = 20_000;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let capture = builder.block_size(1 << 17).block_count(8);
    let source = AsyncSource::new(capture.build().unwrap()).unwrap();
    let broadcast = source.broadcast(4);
    let asleep = broadcast.subscribe_lossless();
    for n in 0..SENT {
        sender.send(&numbered(n, length(n))).unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    soon(async {
        while broadcast.published().waits == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // Wide awake again: it has a gap where the ring was full, and nothing else is missing.
    let reader = tokio::spawn(numbers(asleep));
    let end = soon(async {
        loop {
            let stats = broadcast.stats().await.unwrap();
            let (delivered, dropped) = (stats.delivered.value(), stats.dropped.value());
            if delivered.unwrap() + dropped.unwrap() == SENT
                && broadcast.published().events == delivered.unwrap()
            {
                break stats;
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(end.offered, Count::Exact(SENT));
    let dropped = end.dropped.exact().unwrap();
    assert!(dropped > SENT / 10, "{end}");
    broadcast.stop();
    let (got, failed) = soon(reader).await.unwrap();
    assert!(failed.is_none());
    assert_eq!(got.len() as u64 + dropped, SENT);
    assert!(got.is_sorted() && got.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Packets, workers and flows of each key.
#[derive(Debug, Default, PartialEq)]
struct Flow {
    worker: usize,
    started: u64,
    packets: u64,
    bytes: u64,
}

async fn flows(
    mut events: Subscriber<netring_async::WorkerEvent<FiveTupleKey>>,
) -> BTreeMap<u16, Flow> {
    let mut flows = BTreeMap::<u16, Flow>::new();
    while let Some(event) = soon(events.next()).await {
        let event = event.unwrap();
        let flow = flows.entry(port(event.key().unwrap())).or_default();
        match &event.event {
            FlowEvent::Started { .. } => {
                flow.worker = event.worker;
                flow.started += 1;
            }
            FlowEvent::Ended { stats, reason, .. } => {
                assert_eq!(*reason, EndReason::SourceEnded);
                assert_eq!(flow.worker, event.worker, "a flow is in two trackers");
                flow.packets += stats.packets();
                flow.bytes += stats.bytes();
            }
            other => panic!("{other:?}"),
        }
    }
    flows
}

/// Thousands of flows in both directions over a fanout group: each is at one worker, as a whole,
/// and the sums are the sender's.
async fn no_flow_is_split() {
    const FLOWS: u16 = 4000;
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let handle = group.handle();
    let workers = group.into_workers().into_iter();
    let streams = workers.map(|worker| {
        let source = AsyncSource::new(worker).unwrap();
        source.flow_stream(FiveTuple::bidirectional())
    });
    let workers = FlowWorkers::spawn(streams, 1024);
    let events = tokio::spawn(flows(workers.subscribe_lossless()));
    let again = tokio::spawn(flows(workers.subscribe()));

    let mut sent = BTreeMap::<u16, Flow>::new();
    for round in 0..5_u16 {
        for flow in 0..FLOWS {
            let port = 10_000 + flow;
            let payload = vec![0; usize::from(round * 100 + flow % 90)];
            let mut frame = udp4(port, 53, &payload);
            if round % 2 == 1 {
                frame = udp4(53, port, &payload);
                (0..4).for_each(|n| frame.swap(26 + n, 30 + n));
            }
            sender.send(&frame).unwrap();
            let of = sent.entry(port).or_default();
            of.packets += 1;
            of.bytes += frame.len() as u64;
            if flow % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    let total = 5 * u64::from(FLOWS);
    soon(async {
        while handle.stats().unwrap().delivered != Count::Exact(total) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(workers.shutdown()).await.unwrap();
    let mut got = events.await.unwrap();
    assert_eq!(again.await.unwrap(), got);
    let by_worker = [0, 1].map(|n| got.values().filter(|flow| flow.worker == n).count());
    for flow in got.values_mut() {
        assert_eq!(flow.started, 1);
        (flow.worker, flow.started) = (0, 0);
    }
    assert_eq!(got, sent);
    for (worker, stats) in stats.iter().enumerate() {
        let flows = by_worker[worker] as u64;
        // Neither has nearly all.
        assert!(flows > u64::from(FLOWS) / 10, "{by_worker:?}");
        assert_eq!((stats.events, stats.active_flows), (2 * flows, 0));
        assert_eq!(stats.tracker.flows_started, flows);
        assert_eq!(stats.capture.dropped, Count::Exact(0));
    }
    let tracked: u64 = stats.iter().map(|stats| stats.tracker.tracked).sum();
    assert_eq!(tracked, total);
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p17_no_flow_is_split_between_workers_on_one_thread() {
    let _ns = Netns::enter().unwrap();
    no_flow_is_split().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p17_no_flow_is_split_between_workers_on_two_threads() {
    let _ns = Netns::enter().unwrap();
    no_flow_is_split().await;
}

/// All workers of a group learn that their interface is gone; so do their subscribers, last.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_a_removal_ends_all_workers_and_every_flow() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let builder = builder.profile(Profile::LowMemory);
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let workers = group.into_workers().into_iter();
    let streams = workers.map(|worker| {
        let source = AsyncSource::new(worker).unwrap();
        source.flow_stream(FiveTuple::bidirectional())
    });
    let workers = FlowWorkers::spawn(streams, 64);
    let mut events = workers.subscribe();
    for flow in 0..100 {
        sender.send(&udp4(1000 + flow, 53, b"?")).unwrap();
    }
    soon(async {
        while workers.published().events != 100 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    ip("link del dev v0").unwrap();
    let (mut received, mut failed) = (0, false);
    while let Some(event) = soon(events.next()).await {
        assert!(!failed, "the error is the last");
        match event {
            Ok(_) => received += 1,
            Err(error) => failed = matches!(error, BroadcastRecvError::Source(_)),
        }
    }
    assert_eq!((received, failed), (200, true));
}

/// Two interfaces that see one direction each: one tracker over both has whole flows.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn several_sources_in_one_tracker_have_whole_flows() {
    let _ns = Netns::enter().unwrap();
    veth("a0", "a1").unwrap();
    veth("b0", "b1").unwrap();
    let merge = Merge::new([capture("a1"), capture("b1")]).unwrap();
    let source = AsyncSource::new(merge).unwrap();
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(64);
    let mut events = broadcast.subscribe_lossless();
    let (there, back) = (Sender::on("a0").unwrap(), Sender::on("b0").unwrap());
    for flow in 0..200 {
        let mut answer = udp4(53, 1000 + flow, b"answer");
        (0..4).for_each(|n| answer.swap(26 + n, 30 + n));
        there.send(&udp4(1000 + flow, 53, b"?")).unwrap();
        back.send(&answer).unwrap();
    }
    soon(async {
        while broadcast.stats().await.unwrap().capture.delivered != Count::Exact(400) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!((stats.tracker.flows_started, stats.events), (200, 400));
    let mut ended = 0;
    while let Some(event) = soon(events.next()).await {
        if let FlowEvent::Ended { stats, .. } = &*event.unwrap() {
            let (by, to) = (stats.by_initiator().packets, stats.by_responder().packets);
            assert_eq!((by, to), (1, 1));
            ended += 1;
        }
    }
    assert_eq!(ended, 200);
}

/// The source of a broadcast goes on as a stream: the kernel's ring is the same, so no packet is
/// lost in between.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_capture_changes_its_form_and_loses_no_packet() {
    const EACH: u64 = 500;
    let _ns = Netns::enter().unwrap();
    let (sender, source) = pair();
    let send = |numbers: std::ops::Range<u64>| {
        for n in numbers {
            sender.send(&numbered(n, length(n))).unwrap();
        }
    };
    let mut all = Vec::new();
    let broadcast = source.broadcast(1024);
    let packets = broadcast.subscribe_lossless();
    send(0..EACH);
    let mut source = soon(broadcast.into_source::<Capture>()).await.unwrap();
    let (got, failed) = numbers(packets).await;
    assert!(failed.is_none());
    all.extend(got);
    send(EACH..2 * EACH);
    while (all.len() as u64) < 2 * EACH {
        let batch = soon(source.next_batch()).await.unwrap().unwrap();
        all.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
    }
    assert!(all.into_iter().eq(0..2 * EACH));
    assert_eq!(source.stats().unwrap().offered, Count::Exact(2 * EACH));
}

/// A subscriber that panics, one that is aborted and one that is dropped free the capture, which
/// loses nothing for the others.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn subscribers_that_panic_or_are_dropped_free_the_capture() {
    let _ns = Netns::enter().unwrap();
    let (sender, source) = pair();
    let broadcast = source.broadcast(1);
    let mut panics = broadcast.subscribe_lossless();
    let mut aborted = broadcast.subscribe_lossless();
    let dropped = broadcast.subscribe_lossless();
    let reader = tokio::spawn(numbers(broadcast.subscribe_lossless()));
    let panicking = tokio::spawn(async move {
        let first = panics.next().await.is_some();
        panic!("as intended: {first}");
    });
    let aborting = tokio::spawn(async move {
        let first = aborted.next().await.is_some();
        std::future::pending::<()>().await;
        (aborted, first)
    });
    for n in 0..1000 {
        sender.send(&numbered(n, length(n))).unwrap();
    }
    assert!(soon(panicking).await.unwrap_err().is_panic());
    soon(async {
        while broadcast.published().waits == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    drop(dropped);
    aborting.abort();
    assert!(soon(aborting).await.unwrap_err().is_cancelled());
    soon(async {
        while broadcast.published().events != 1000 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(broadcast.shutdown()).await.unwrap();
    let (got, failed) = soon(reader).await.unwrap();
    assert!(got.into_iter().eq(0..1000));
    assert!(failed.is_none());
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(1000), Count::Exact(0))
    );
}

/// A runtime that goes away closes the capture; subscribers elsewhere get what was published and
/// then the reason.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_runtime_that_is_dropped_closes_the_capture_and_is_reported() {
    let _ns = Netns::enter().unwrap();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let gone = runtime();
    let (broadcast, packets) = gone.block_on(async {
        let (sender, source) = pair();
        let broadcast = source.broadcast(1024);
        let packets = broadcast.subscribe_lossless();
        for n in 0..100 {
            sender.send(&numbered(n, length(n))).unwrap();
        }
        soon(async {
            while broadcast.published().events != 100 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        (broadcast, packets)
    });
    gone.block_on(until_sockets(1));
    drop(gone);
    let other = runtime();
    other.block_on(until_sockets(0));
    let (got, failed) = other.block_on(numbers(packets));
    assert!(got.into_iter().eq(0..100));
    assert!(
        matches!(failed, Some(BroadcastRecvError::Aborted)),
        "{failed:?}"
    );
    let stats = other.block_on(broadcast.shutdown());
    assert!(matches!(stats, Err(BroadcastRecvError::Aborted)));
}
