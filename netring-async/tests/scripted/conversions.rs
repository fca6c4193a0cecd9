//! From one form of a source to another, in any order: no event and no live flow is lost.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::time::Duration;

use futures::StreamExt;
use netring_async::{
    AsyncSource, Chunk, ConversationConfig, FlowStream, FlowWorkers, SessionBroadcast,
    SessionStream,
};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{Reassembler, ReassemblyConfig, StreamEnd, Subscription};
use netring_flow::session::{SessionEnd, SessionEvent, Sessions};
use netring_flow::{EndReason, FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::Count;
use netring_sys::adapters::Limit;
use tokio::time::timeout;
use xtask::wire::udp4;

use super::lengths::Lengths;
use super::script::{Script, Scripted, Step, scripted};
use super::tcp::{ACK, client, handshake, server};

const SOON: Duration = Duration::from_secs(60);
const SOURCE_ENDED: StreamEnd = StreamEnd::Flow(EndReason::SourceEnded);

type Stream = FlowStream<Scripted, FiveTuple>;
type Source = AsyncSource<Scripted>;
type Tracker = FlowTracker<FiveTuple>;
type Event = SessionEvent<FiveTupleKey, usize>;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it does not come")
}

fn tracker() -> Tracker {
    let timeouts = Timeouts::never().udp(Duration::from_secs(2));
    let config = TrackerConfig::new().timeouts(timeouts);
    FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap()
}

fn source() -> (Script, Source) {
    let (script, source) = scripted();
    (script, AsyncSource::new(source).unwrap())
}

fn streams() -> Reassembler<FiveTupleKey, Sessions<FiveTupleKey, Lengths>> {
    let sessions = Sessions::new(Subscription::all(), |_| Some(Lengths));
    Reassembler::new(ReassemblyConfig::new(), sessions).unwrap()
}

fn at(second: i64, frames: impl IntoIterator<Item = Vec<u8>>) -> Step {
    let frames = frames.into_iter();
    Step::Batch(
        frames
            .map(|frame| (second * 1_000_000_000, frame))
            .collect(),
    )
}

fn udp(ports: impl IntoIterator<Item = u16>) -> Step {
    at(1, ports.into_iter().map(|port| udp4(port, 53, b"?")))
}

fn port(key: &FiveTupleKey) -> u16 {
    key.a().port().max(key.b().port())
}

/// Flows that a tracker brings along end by the host clock too, in each form.
#[tokio::test(start_paused = true)]
async fn s23_flows_expire_on_an_idle_capture_after_each_conversion() {
    let (script, source) = source();
    let mut flows = source.flow_stream_with(tracker());
    script.push(udp([1000]));
    soon(flows.next()).await.unwrap().unwrap();
    let (source, tracker, rest) = flows.into_parts();
    assert_eq!((tracker.active_flows(), rest.len()), (1, 0));
    let mut flows = source.flow_stream_with(tracker);
    let event = soon(flows.next()).await.unwrap().unwrap();
    assert!(matches!(event, FlowEvent::Ended { .. }), "{event:?}");

    // Sessions, whose flow came with its session.
    let (source, tracker, _) = flows.into_parts();
    let mut sessions = source.session_stream_with(tracker, streams());
    script.push(udp([2000]));
    assert!(matches!(
        soon(sessions.next()).await.unwrap().unwrap(),
        Event::Started { .. }
    ));
    let (source, tracker, streams, rest) = sessions.into_parts();
    assert_eq!((tracker.active_flows(), rest.len()), (1, 1));
    let mut sessions = source.session_stream_with(tracker, streams);
    let event = soon(sessions.next()).await.unwrap().unwrap();
    assert!(matches!(event, Event::Ended { .. }), "{event:?}");

    // A task of conversations, which reports no flow.
    let (source, tracker, ..) = sessions.into_parts();
    let mut flows = source.flow_stream_with(tracker);
    script.push(udp([3000]));
    soon(flows.next()).await.unwrap().unwrap();
    let (source, tracker, _) = flows.into_parts();
    let config = ConversationConfig::new();
    let conversations = source.conversations_with(tracker, Subscription::all(), &config);
    let conversations = conversations.unwrap();
    soon(async {
        while conversations.stats().await.unwrap().tracker.ended.total() < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// The states of flows go with them.
#[tokio::test]
async fn states_are_taken_along() {
    let (script, source) = source();
    let flows = source.flow_stream_with(tracker());
    let mut flows = flows
        .with_state(|_| 0_u64)
        .on_packet(|count, _| *count += 1);
    script.push(udp([1000, 1001, 1000]));
    let (event, state) = soon(flows.next_event()).await.unwrap().unwrap();
    assert_eq!((port(event.key().unwrap()), state), (1000, Some(&mut 2)));
    let (flows, states) = flows.into_parts();
    assert_eq!((flows.queued(), states.len()), (1, 2));
    // By way of a broadcast, which the states wait for; what was queued went to its subscribers.
    let broadcast = flows.broadcast(16);
    let mut events = broadcast.subscribe();
    let event = soon(events.next()).await.unwrap().unwrap();
    assert_eq!(port(event.key().unwrap()), 1001);
    let flows: Stream = soon(broadcast.into_flow_stream()).await.unwrap();
    let flows = flows.with_states(states, |_| 100);
    let mut flows = flows.on_packet(|count, _| *count += 1);
    script.push(udp([1000, 1001, 1002]));
    script.push(Step::End);
    let mut ended = Vec::new();
    while let Some(event) = soon(flows.next_event()).await {
        if let (FlowEvent::Ended { key, stats, .. }, Some(state)) = event.unwrap() {
            ended.push((port(&key), *state, stats.packets()));
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [(1000, 3, 3), (1001, 2, 2), (1002, 101, 1)]);
}

/// Workers and back: each event is seen once, by a subscriber or in a stream.
#[tokio::test]
async fn workers_become_streams_again() {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| {
            let (script, source) = source();
            (script, source.flow_stream_with(tracker()))
        })
        .unzip();
    let workers = FlowWorkers::spawn(streams, 1);
    let events = workers.subscribe_lossless();
    for (script, first) in scripts.iter().zip([1000, 2000, 3000]) {
        script.push(udp(first..first + 100));
    }
    // The last worker ends on its own, once its events have room.
    scripts[2].push(Step::End);
    soon(async {
        while scripts.iter().any(|script| script.left() > 1) || workers.published().waits == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let workers = workers
        .into_flow_streams::<Limit<Scripted>, FiveTuple>()
        .await
        .unwrap_err();
    let streams = soon(workers.into_flow_streams::<Scripted, FiveTuple>()).await;
    let streams = streams.unwrap();
    let seen: Vec<_> = soon(events.map(|event| event.unwrap()).collect()).await;
    let mut starts = [0; 3];
    for event in &seen {
        if matches!(
            **event,
            netring_async::WorkerEvent {
                event: FlowEvent::Started { .. },
                ..
            }
        ) {
            starts[event.worker] += 1;
        }
    }
    assert_eq!(starts, [100; 3]);
    // Whether the last had seen its end is a matter of luck; its flows end once either way.
    let ended = seen.iter().filter(|event| event.worker == 2).count() - 100;
    assert_eq!(
        (streams.len(), ended),
        (3, if streams[2].is_some() { 0 } else { 100 })
    );
    for (script, stream) in scripts.iter().zip(streams).take(2) {
        let mut stream = stream.unwrap();
        assert_eq!((stream.queued(), stream.active_flows()), (0, 100));
        script.push(Step::End);
        let mut packets = 0;
        while let Some(event) = soon(stream.next()).await {
            let FlowEvent::Ended { stats, .. } = event.unwrap() else {
                panic!("it had started");
            };
            packets += stats.packets();
        }
        assert_eq!(packets, 100);
    }
}

fn message(event: &Event) -> Option<usize> {
    match event {
        Event::Message { message, .. } => Some(*message),
        _ => None,
    }
}

#[tokio::test]
async fn a_broadcast_of_sessions_becomes_a_stream_again() {
    let (script, source) = source();
    let broadcast: SessionBroadcast<FiveTupleKey, usize> = source
        .session_stream_with(tracker(), streams())
        .broadcast(16);
    let mut events = broadcast.subscribe();
    script.push(udp([1000]));
    assert!(matches!(
        *soon(events.next()).await.unwrap().unwrap(),
        Event::Started { .. }
    ));
    assert_eq!(
        message(&soon(events.next()).await.unwrap().unwrap()),
        Some(1)
    );
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!((stats.events, stats.waits), (2, 0));
    assert_eq!(
        (stats.sessions.started, stats.sessions.ended.total()),
        (1, 0)
    );
    assert_eq!(
        (stats.tracker.tracked, stats.capture.delivered),
        (1, Count::Exact(1))
    );
    let broadcast = broadcast
        .into_session_stream::<Limit<Scripted>, FiveTuple, Lengths>()
        .await
        .unwrap_err();
    let stream = soon(broadcast.into_session_stream::<Scripted, FiveTuple, Lengths>()).await;
    let mut stream: SessionStream<_, _, _> = stream.unwrap();
    assert!(soon(events.next()).await.is_none());
    script.push(at(1, [udp4(1000, 53, b"again")]));
    script.push(Step::End);
    assert_eq!(
        message(&soon(stream.next()).await.unwrap().unwrap()),
        Some(5)
    );
    let event = soon(stream.next()).await.unwrap().unwrap();
    let Event::Ended { reason, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(reason, SessionEnd::Stream(SOURCE_ENDED));
    // A broadcast that is over has no stream to return.
    let broadcast = stream.broadcast(1);
    assert!(soon(broadcast.subscribe().next()).await.is_none());
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!((stats.sessions.ended.stream, stats.tracker.tracked), (1, 2));
    let returned = broadcast.into_session_stream::<Scripted, FiveTuple, Lengths>();
    soon(returned).await.unwrap_err();
}

/// The flows of conversations go on elsewhere; what the conversations have is theirs.
#[tokio::test]
async fn the_source_of_conversations_is_returned_with_its_flows() {
    let (script, source) = source();
    let config = ConversationConfig::new();
    let mut stream = source
        .conversations_with(tracker(), Subscription::all(), &config)
        .unwrap();
    for port in [5000, 5001] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, b"abc")]));
        // Behind a hole.
        script.push(at(1, [client(port, ACK, 14, 1, b"xyz")]));
    }
    let taken = soon(stream.next()).await.unwrap().unwrap();
    soon(async {
        while stream.stats().await.unwrap().reassembly.received < 12 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stream = stream.into_parts::<Limit<Scripted>, FiveTuple>().await;
    let stream = stream.unwrap_err();
    let parts = soon(stream.into_parts::<Scripted, FiveTuple>()).await;
    let (source, tracker, waiting) = parts.unwrap();
    assert_eq!((tracker.active_flows(), waiting.len()), (2, 1));
    for mut conversation in [taken].into_iter().chain(waiting) {
        let (mut bytes, mut missing) = (Vec::new(), 0);
        let reason = loop {
            match soon(conversation.initiator.next_chunk()).await {
                Chunk::Data { bytes: more, .. } => bytes.extend_from_slice(more),
                Chunk::Gap { missing: more, .. } => missing += more,
                Chunk::End(reason) => break reason,
            }
        };
        assert_eq!(
            (&bytes[..], missing, reason),
            (&b"abcxyz"[..], 10, SOURCE_ENDED)
        );
        let end = soon(conversation.responder.next_chunk()).await;
        assert_eq!(end, Chunk::End(SOURCE_ENDED));
    }
    let mut flows = source.flow_stream_with(tracker);
    script.push(at(2, [server(5000, ACK, 1, 1, b"more")]));
    script.push(Step::End);
    let mut packets = Vec::new();
    while let Some(event) = soon(flows.next()).await {
        let FlowEvent::Ended { stats, .. } = event.unwrap() else {
            continue;
        };
        packets.push(stats.packets());
    }
    packets.sort_unstable();
    assert_eq!(packets, [5, 6]);

    let (script, source) = self::source();
    let mut over = source.conversations(FiveTuple::bidirectional(), Subscription::all());
    script.push(Step::End);
    assert!(soon(over.next()).await.is_none());
    let over = soon(over.into_parts::<Scripted, FiveTuple>()).await;
    over.unwrap_err().stats().await.unwrap();
}

/// One flow through all forms, with a packet in each: it is one flow all the time.
#[tokio::test]
async fn a_flow_lives_on_through_all_forms() {
    let (script, source) = source();
    let packet = |sequence| script.push(at(1, [client(5000, ACK, sequence, 1, b"x")]));
    packet(1);
    let mut flows = source.flow_stream_with(tracker());
    soon(flows.next()).await.unwrap().unwrap();
    let mut sequence = 1;
    for _ in 0..3 {
        let broadcast = flows.broadcast(1);
        sequence += 1;
        packet(sequence);
        soon(tracked(sequence, async || {
            broadcast.stats().await.unwrap().tracker.tracked
        }))
        .await;
        let stream: Stream = soon(broadcast.into_flow_stream()).await.unwrap();
        let (stream, states) = stream.with_state(|_| ()).into_parts();
        let workers = FlowWorkers::spawn([stream], 1);
        let mut returned = soon(workers.into_flow_streams::<Scripted, FiveTuple>())
            .await
            .unwrap();
        let stream = returned.pop().unwrap().unwrap();
        let (taken, with, _) = stream
            .with_states(states, |_| ())
            .into_parts()
            .0
            .into_parts();
        let sessions = taken.session_stream_with(with, streams()).broadcast(1);
        let sessions = soon(sessions.into_session_stream::<Scripted, FiveTuple, Lengths>());
        let (taken, with, ..) = sessions.await.unwrap().into_parts();
        let config = ConversationConfig::new();
        let conversations = taken
            .conversations_with(with, Subscription::all(), &config)
            .unwrap();
        sequence += 1;
        packet(sequence);
        soon(tracked(sequence, async || {
            conversations.stats().await.unwrap().tracker.tracked
        }))
        .await;
        let parts = soon(conversations.into_parts::<Scripted, FiveTuple>()).await;
        let (taken, with, waiting) = parts.unwrap();
        assert!(waiting.is_empty(), "its beginning was elsewhere");
        let packets = taken.broadcast(1);
        let taken = soon(packets.into_source::<Scripted>()).await.unwrap();
        flows = taken.flow_stream_with(with);
    }
    let items = soon(flows.shutdown()).await;
    let [Ok(FlowEvent::Ended { stats, .. })] = &items[..] else {
        panic!("{items:?}");
    };
    assert_eq!(stats.packets(), u64::from(sequence));
}

async fn tracked(packets: u32, figures: impl AsyncFn() -> u64) {
    while figures().await < u64::from(packets) {
        tokio::task::yield_now().await;
    }
}
