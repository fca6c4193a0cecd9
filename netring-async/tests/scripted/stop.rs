//! Stopping flow streams and broadcasts from the program, and looking at their flows meanwhile.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use super::script as scripted;

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use netring_async::{AsyncSource, BroadcastRecvError, FlowBroadcast, FlowStream, FlowSubscriber};
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_flow::{EndReason, FlowEvent, FlowState};
use netring_sys::{Count, Error, Packet};
use scripted::{Script, Scripted, Step, scripted};
use tokio::time::timeout;
use xtask::wire::udp4;

const SOON: Duration = Duration::from_secs(10);

type Event = FlowEvent<FiveTupleKey>;

fn flows() -> (Script, FlowStream<Scripted, FiveTuple>) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    (script, source.flow_stream(FiveTuple::bidirectional()))
}

/// A batch with a packet of each of these flows, whose payload has this length.
fn packets(of: impl IntoIterator<Item = (u16, usize)>) -> Step {
    let frame = |(port, len)| (0, udp4(port, 53, &vec![0; len]));
    Step::Batch(of.into_iter().map(frame).collect())
}

fn port(key: &FiveTupleKey) -> u16 {
    key.a().port().max(key.b().port())
}

/// The flow's port, and the reason if it is its end.
fn what(event: &Event) -> (u16, Option<EndReason>) {
    match event {
        FlowEvent::Started { key, .. } => (port(key), None),
        FlowEvent::Ended { key, reason, .. } => (port(key), Some(*reason)),
        other => panic!("{other:?}"),
    }
}

const ENDED: Option<EndReason> = Some(EndReason::SourceEnded);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("it does not come")
}

/// All events that a subscriber receives, and the error at the end.
async fn all(mut subscriber: FlowSubscriber<FiveTupleKey>) -> (Vec<Event>, Option<String>) {
    let (mut events, mut error) = (Vec::new(), None);
    while let Some(event) = soon(subscriber.next()).await {
        match event {
            Ok(event) => events.push((*event).clone()),
            Err(found) => error = Some(found.to_string()),
        }
    }
    (events, error)
}

#[tokio::test]
async fn a_stopped_stream_yields_what_is_queued_ends_its_flows_and_takes_nothing_more() {
    let (script, mut flows) = flows();
    script.push(packets([(1000, 1), (1001, 1), (1002, 1)]));
    let first = soon(flows.next()).await.unwrap().unwrap();
    assert_eq!(what(&first), (1000, None));
    script.push(packets([(1003, 1)]));
    flows.stop();
    flows.stop();
    let mut rest = Vec::new();
    while let Some(event) = soon(flows.next()).await {
        rest.push(what(&event.unwrap()));
    }
    assert_eq!(rest[..2], [(1001, None), (1002, None)]);
    rest[2..].sort_by_key(|(port, _)| *port);
    assert_eq!(rest[2..], [(1000, ENDED), (1001, ENDED), (1002, ENDED)]);
    assert_eq!(flows.active_flows(), 0);
    assert_eq!(flows.stats().unwrap().delivered, Count::Exact(3));
    assert_eq!(script.left(), 1);
}

#[tokio::test]
async fn a_stream_that_is_shut_down_returns_every_item_and_has_closed_its_source() {
    let (script, mut flows) = flows();
    // More flows than the tracker ends at once.
    script.push(packets((1000..5000).map(|port| (port, 1))));
    assert_eq!(
        what(&soon(flows.next()).await.unwrap().unwrap()),
        (1000, None)
    );
    let items = soon(flows.shutdown()).await;
    assert!(script.is_alone());
    let events: Vec<_> = items.into_iter().map(|item| what(&item.unwrap())).collect();
    assert_eq!(events.len(), 3999 + 4000);
    let started = (1001..5000).map(|port| (port, None));
    assert!(events[..3999].iter().copied().eq(started));
    let mut ended = events[3999..].to_vec();
    ended.sort_by_key(|(port, _)| *port);
    assert!(ended.into_iter().eq((1000..5000).map(|port| (port, ENDED))));
}

#[tokio::test]
async fn the_error_of_a_source_is_not_lost_by_a_shutdown() {
    let (script, mut flows) = flows();
    script.push_all([packets([(1000, 1)]), Step::Removed]);
    assert_eq!(
        what(&soon(flows.next()).await.unwrap().unwrap()),
        (1000, None)
    );
    // The failure is seen, and the end of the flow comes first.
    assert_eq!(
        what(&soon(flows.next()).await.unwrap().unwrap()),
        (1000, ENDED)
    );
    let items = soon(flows.shutdown()).await;
    let [Err(error)] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(matches!(error, Error::InterfaceRemoved { .. }));
}

#[tokio::test]
async fn a_stopped_broadcast_delivers_everything_to_every_subscriber() {
    let (script, flows) = flows();
    let broadcast = flows.broadcast(1024);
    let subscribers = [(); 3].map(|()| broadcast.subscribe());
    script.push(packets([(1000, 1), (1001, 1)]));
    while broadcast.stats().await.unwrap().active_flows < 2 {
        tokio::task::yield_now().await;
    }
    broadcast.stop();
    broadcast.stop();
    for subscriber in subscribers {
        let (events, error) = all(subscriber).await;
        assert_eq!(error, None);
        let mut events: Vec<_> = events.iter().map(what).collect();
        assert_eq!(events[..2], [(1000, None), (1001, None)]);
        events[2..].sort_by_key(|(port, _)| *port);
        assert_eq!(events[2..], [(1000, ENDED), (1001, ENDED)]);
    }
    assert!(script.is_alone());
}

#[tokio::test]
async fn a_broadcast_that_is_shut_down_has_closed_its_source_and_loses_no_event() {
    let (script, flows) = flows();
    let broadcast = flows.broadcast(1024);
    let unread = broadcast.subscribe();
    script.push(packets((1000..4000).map(|port| (port, 1))));
    while broadcast.stats().await.unwrap().active_flows < 3000 {
        tokio::task::yield_now().await;
    }
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert!(script.is_alone());
    assert_eq!((stats.active_flows, stats.events), (0, 6000));
    assert_eq!(stats.tracker.ended.total(), 3000);
    assert_eq!(stats.capture.delivered, Count::Exact(3000));
    // Nobody read until now.
    let (events, error) = all(unread).await;
    assert_eq!((events.len(), error), (6000, None));
    // Again, it is the same; and a late subscriber receives the end.
    assert_eq!(soon(broadcast.shutdown()).await.unwrap(), stats);
    assert_eq!(broadcast.stats().await.unwrap(), stats);
    assert_eq!(all(broadcast.subscribe()).await, (Vec::new(), None));
}

#[tokio::test]
async fn a_replay_that_nobody_reads_is_shut_down_without_a_packet() {
    let (script, source) = scripted();
    script.push(packets([(1000, 1)]));
    let source = AsyncSource::replay(source.replayed());
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(16);
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!((stats.events, stats.tracker.packets), (0, 0));
    assert_eq!((script.left(), script.is_alone()), (1, true));
}

#[tokio::test]
async fn a_broadcast_shows_its_largest_flows_and_after_its_end_none() {
    let (script, flows) = flows();
    let broadcast = flows.broadcast(16);
    assert!(broadcast.flows(10).await.unwrap().is_empty());
    script.push(packets([(1000, 10), (1001, 300), (1002, 200), (1003, 10)]));
    while broadcast.stats().await.unwrap().active_flows < 4 {
        tokio::task::yield_now().await;
    }
    let ports = async |count| {
        let flows = broadcast.flows(count).await.unwrap();
        flows.iter().map(|flow| port(&flow.key)).collect::<Vec<_>>()
    };
    assert!(ports(0).await.is_empty());
    assert_eq!(ports(2).await, [1001, 1002]);
    assert_eq!(ports(usize::MAX).await, [1001, 1002, 1000, 1003]);
    let largest = broadcast.flows(1).await.unwrap().remove(0);
    assert_eq!(largest.state, FlowState::Udp);
    assert_eq!(largest.stats.packets(), 1);
    assert_eq!(largest.stats.bytes(), udp4(1, 53, &[0; 300]).len() as u64);
    soon(broadcast.shutdown()).await.unwrap();
    assert!(ports(usize::MAX).await.is_empty());
}

/// Panics at the first packet.
struct Panics;

impl Extract for Panics {
    type Key = u8;

    fn extract(&self, _: &Packet<'_>) -> Result<Extracted<u8>, Skip> {
        panic!("a bug of an extractor")
    }
}

#[tokio::test]
async fn a_task_that_panicked_is_reported_by_every_call() {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let broadcast: FlowBroadcast<u8> = source.flow_stream(Panics).broadcast(16);
    script.push(packets([(1000, 1)]));
    let mut subscriber = broadcast.subscribe();
    assert!(soon(subscriber.next()).await.unwrap().is_err());
    let errors = [
        broadcast.stats().await.map(drop),
        broadcast.flows(1).await.map(drop),
        soon(broadcast.shutdown()).await.map(drop),
    ];
    for error in errors {
        assert!(matches!(error, Err(BroadcastRecvError::Aborted)));
    }
}

#[tokio::test]
async fn the_figures_of_a_broadcast_print_in_a_line() {
    let (script, flows) = flows();
    let broadcast = flows.broadcast(16);
    script.push(packets((1000..2500).map(|port| (port, 0))));
    while broadcast.stats().await.unwrap().active_flows < 1500 {
        tokio::task::yield_now().await;
    }
    let line = broadcast.stats().now_or_never();
    assert!(line.is_none(), "the task answers, on its own turn");
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!(
        stats.to_string(),
        "1,500 offered, 1,500 delivered, 0 dropped; 1,500 packets, 1,500 tracked (63,000 bytes), \
         0 untracked; 1,500 flows started, 0 established, 0 closed, 1,500 ended; 0 flows active, \
         3,000 events published"
    );
    #[cfg(feature = "serde")]
    {
        fn is_read_as_written<T>(value: &T)
        where
            T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
        {
            let written = serde_json::to_string(value).unwrap();
            assert_eq!(serde_json::from_str::<T>(&written).unwrap(), *value);
        }
        is_read_as_written(&stats);
        is_read_as_written(&broadcast.published());
        is_read_as_written(&broadcast.subscribe().stats());
    }
}
