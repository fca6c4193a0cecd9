//! A graceful end: what had come is delivered, every flow ends with a reason, and nothing waits for
//! packets that come later.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use netring_afpacket::{Capture, Fanout, FanoutGroup};
use netring_async::{AsyncSource, BroadcastStats, FlowWorkers};
use netring_flow::extract::FiveTuple;
use netring_flow::reassembly::{StreamEnd, Subscription};
use netring_flow::session::{SessionEnd, SessionEvent};
use netring_flow::{EndReason, FlowEvent};
use netring_sys::{Count, Stats};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, tcp4, udp4};

use crate::lengths::Lengths;

const FLOWS: u16 = 300;
const PACKETS: u64 = 2 * FLOWS as u64;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work)
        .await
        .expect("it takes no end")
}

/// Sends two packets of each flow and waits until they are in the rings. The thread is blocked
/// meanwhile, so no task reads them.
///
/// `tap` was opened before the captures: the kernel shows each packet to the newest socket first.
fn send(sender: &Sender, tap: &Sniffer) {
    for round in 0..2 {
        for flow in 0..FLOWS {
            pass(sender, tap, &udp4(1000 + flow, 53, &[round; 9]));
        }
    }
}

fn pass(sender: &Sender, tap: &Sniffer, frame: &[u8]) {
    sender.send(frame).unwrap();
    let seen = tap.receive(Duration::from_secs(20)).unwrap();
    assert_eq!(seen.as_deref(), Some(frame));
}

fn wire() -> (Sender, Sniffer) {
    veth("v0", "v1").unwrap();
    (Sender::on("v0").unwrap(), Sniffer::on("v1").unwrap())
}

fn source() -> AsyncSource<Capture> {
    let capture = Capture::builder().interface("v1").build().unwrap();
    AsyncSource::new(capture).unwrap()
}

fn is_whole(stats: &Stats) {
    assert_eq!(stats.delivered, Count::Exact(PACKETS), "{stats}");
    assert_eq!(stats.pending(), Some(0));
}

/// Flow events that were published or yielded.
fn are_whole<'a>(events: impl Iterator<Item = &'a FlowEvent<netring_flow::extract::FiveTupleKey>>) {
    let (mut started, mut packets, mut ended) = (0, 0, 0);
    for event in events {
        match event {
            FlowEvent::Started { .. } => started += 1,
            FlowEvent::Ended { reason, stats, .. } => {
                assert_eq!(*reason, EndReason::SourceEnded);
                packets += stats.packets();
                ended += 1;
            }
            _ => {}
        }
    }
    let flows = u64::from(FLOWS);
    assert_eq!((started, packets, ended), (flows, PACKETS, flows));
}

fn tracked(stats: &[BroadcastStats]) -> u64 {
    let tracked = stats.iter().map(|stats| {
        assert_eq!((stats.active_flows, stats.capture.pending()), (0, Some(0)));
        stats.tracker.tracked
    });
    tracked.sum()
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_shutdown_takes_what_is_in_the_ring_of_every_form_of_flows() {
    let _ns = Netns::enter().unwrap();
    let (sender, tap) = wire();

    let flows = source().flow_stream(FiveTuple::bidirectional());
    send(&sender, &tap);
    let items = soon(flows.shutdown()).await;
    are_whole(items.iter().map(|item| item.as_ref().unwrap()));

    // Step by step, with a state.
    let flows = source().flow_stream(FiveTuple::bidirectional());
    let flows = flows.with_state(|_| 0);
    let mut flows = flows.on_packet(|packets, _| *packets += 1);
    send(&sender, &tap);
    flows.drain();
    let (mut events, mut packets) = (Vec::new(), 0);
    while let Some(event) = soon(flows.next_event()).await {
        let (event, state) = event.unwrap();
        if matches!(event, FlowEvent::Ended { .. }) {
            packets += *state.unwrap();
        }
        events.push(event);
    }
    are_whole(events.iter());
    assert_eq!(packets, PACKETS);
    is_whole(&flows.stats().unwrap());
    drop(flows);

    let broadcast = source()
        .flow_stream(FiveTuple::bidirectional())
        .broadcast(1);
    // The shutdown does not wait for it, and it loses nothing.
    let events = broadcast.subscribe_lossless();
    send(&sender, &tap);
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!(tracked(&[stats]), PACKETS);
    let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
    are_whole(events.iter().map(|event| &**event));

    let builder = Capture::builder().interface("v1");
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let streams = group.into_workers().into_iter().map(|worker| {
        let source = AsyncSource::new(worker).unwrap();
        source.flow_stream(FiveTuple::bidirectional())
    });
    let workers = FlowWorkers::spawn(streams, 1);
    let events = workers.subscribe_lossless();
    send(&sender, &tap);
    let stats = soon(workers.shutdown()).await.unwrap();
    assert_eq!(tracked(&stats), PACKETS);
    let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
    are_whole(events.iter().map(|event| &event.event));
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_shutdown_takes_what_is_in_the_ring_of_packets_and_a_stop_leaves_it() {
    let _ns = Netns::enter().unwrap();
    let (sender, tap) = wire();

    let broadcast = source().broadcast(1);
    let packets = broadcast.subscribe_lossless();
    send(&sender, &tap);
    is_whole(&soon(broadcast.shutdown()).await.unwrap());
    assert_eq!(packets.count().await as u64, PACKETS);

    let broadcast = source().broadcast(1);
    let packets = broadcast.subscribe_lossless();
    send(&sender, &tap);
    broadcast.stop();
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!(stats.pending(), Some(PACKETS), "{stats}");
    assert_eq!(packets.count().await, 0);
}

/// Messages and ends with their reasons.
fn are_sessions<'a, K: 'a>(events: impl Iterator<Item = &'a SessionEvent<K, usize>>) {
    let (mut messages, mut ended) = (0, 0);
    for event in events {
        match event {
            SessionEvent::Message { message, .. } => messages += *message as u64,
            SessionEvent::Ended { reason, .. } => {
                let end = StreamEnd::Flow(EndReason::SourceEnded);
                assert_eq!(*reason, SessionEnd::Stream(end));
                ended += 1;
            }
            _ => {}
        }
    }
    assert_eq!((messages, ended), (9 * PACKETS, FLOWS));
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_shutdown_takes_what_is_in_the_ring_of_sessions_and_conversations() {
    let _ns = Netns::enter().unwrap();
    let (sender, tap) = wire();
    let (extract, all) = (FiveTuple::bidirectional(), Subscription::all);

    let sessions = source().datagram_stream(extract, all(), |_| Some(Lengths));
    send(&sender, &tap);
    let items = soon(sessions.shutdown()).await;
    are_sessions(items.iter().map(|item| item.as_ref().unwrap()));

    let sessions = source().session_stream(extract, all(), |_| Some(Lengths));
    let broadcast = sessions.broadcast(1);
    let events = broadcast.subscribe_lossless();
    send(&sender, &tap);
    let stats = soon(broadcast.shutdown()).await.unwrap();
    is_whole(&stats.capture);
    assert_eq!(stats.tracker.tracked, PACKETS);
    assert_eq!(stats.sessions.ended.stream, u64::from(FLOWS));
    let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
    are_sessions(events.iter().map(|event| &**event));

    let conversations = source().conversations(extract, all());
    for port in 5000..5010 {
        for n in 0..20_u32 {
            let frame = tcp4(port, 80, 1 + 500 * n, 16, &[n as u8; 500]);
            pass(&sender, &tap, &frame);
        }
    }
    let items = soon(conversations.shutdown()).await;
    assert_eq!(items.len(), 10);
    for item in items {
        let (mut half, mut bytes) = (item.unwrap().initiator, Vec::new());
        half.read_to_end(&mut bytes).await.unwrap_err();
        assert!(
            bytes
                .into_iter()
                .eq((0..10_000_u32).map(|n| (n / 500) as u8))
        );
    }
}

/// However fast packets come: those that came first are tracked, and then it ends.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_shutdown_under_a_flood_ends() {
    let _ns = Netns::enter().unwrap();
    let (sender, tap) = wire();
    let broadcast = source()
        .flow_stream(FiveTuple::bidirectional())
        .broadcast(64);
    let (sent, done) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    send(&sender, &tap);
    let flood = {
        let (sent, done) = (sent.clone(), done.clone());
        thread::spawn(move || {
            let frame = udp4(1, 53, &[0; 1000]);
            while !done.load(Ordering::Relaxed) {
                sender.send(&frame).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    while sent.load(Ordering::Relaxed) < 1000 {
        thread::yield_now();
    }
    let stats = soon(broadcast.shutdown()).await.unwrap();
    done.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert_eq!(stats.active_flows, 0);
    let total = stats.capture.delivered.exact().unwrap() + stats.capture.dropped.exact().unwrap();
    assert!(total >= PACKETS, "{}", stats.capture);
    let offered = stats.capture.offered.exact().unwrap();
    assert_eq!(offered, total + stats.capture.pending().unwrap());
    assert_eq!(stats.tracker.flows_started, u64::from(FLOWS) + 1);
}
