//! A state of the program's own for each flow.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt};
use netring_async::{AsyncSource, FlowStream};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::Error;
use xtask::wire::udp4;

use super::script::{Script, Scripted, Step, scripted};

#[derive(Debug, Default, PartialEq)]
struct Seen {
    port: u16,
    packets: u64,
    payload: usize,
    events: Vec<&'static str>,
}

fn port(key: &FiveTupleKey) -> u16 {
    key.a().port().max(key.b().port())
}

fn init(key: &FiveTupleKey) -> Seen {
    Seen {
        port: port(key),
        ..Seen::default()
    }
}

fn stream() -> (Script, FlowStream<Scripted, FiveTuple>) {
    let (script, source) = scripted();
    let config =
        TrackerConfig::new().timeouts(Timeouts::never().udp(std::time::Duration::from_secs(2)));
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    (
        script,
        AsyncSource::new(source).unwrap().flow_stream_with(tracker),
    )
}

/// Packets of these flows, all at this second.
fn packets(second: i64, ports: impl IntoIterator<Item = u16>) -> Step {
    let frame = |port| udp4(port, 53, &vec![0; usize::from(port % 100)]);
    let ports = ports.into_iter();
    Step::Batch(
        ports
            .map(|port| (second * 1_000_000_000, frame(port)))
            .collect(),
    )
}

#[tokio::test]
async fn a_state_sees_each_packet_and_event_of_its_flow_and_ends_with_it() {
    let (script, stream) = stream();
    // Port 1001 comes twice: its first flow is idle for too long.
    script.push_all([
        packets(1, [1001, 1002, 1001]),
        packets(2, [1002]),
        packets(3, [1002]),
    ]);
    script.push_all([packets(4, [1001, 1002]), Step::Removed]);
    let mut flows = stream.with_state(init).on_packet(|seen, segment| {
        seen.packets += 1;
        seen.payload += segment.payload.len();
    });
    let (mut ended, mut failed) = (Vec::new(), 0);
    while let Some(item) = flows.next_event().await {
        let (event, state) = match item {
            Ok(item) => item,
            Err(error) => {
                assert!(matches!(error, Error::InterfaceRemoved { .. }));
                failed += 1;
                continue;
            }
        };
        let state = state.unwrap();
        assert_eq!(state.port, port(event.key().unwrap()));
        match &event {
            FlowEvent::Started { .. } => state.events.push("started"),
            FlowEvent::Ended { stats, .. } => {
                state.events.push("ended");
                assert_eq!(state.packets, stats.packets());
                ended.push(std::mem::take(state));
            }
            other => panic!("{other:?}"),
        }
    }
    ended.sort_by_key(|seen| (seen.port, seen.packets));
    let seen = |port: u16, packets: u64| Seen {
        port,
        packets,
        payload: usize::from(port % 100) * packets as usize,
        events: vec!["started", "ended"],
    };
    assert_eq!(
        (ended, failed),
        (vec![seen(1001, 1), seen(1001, 2), seen(1002, 4)], 1)
    );
    let (stream, states) = flows.into_parts();
    assert!(states.is_empty() && stream.active_flows() == 0);
}

/// There and back, in the middle of a queue: no event, no flow and no state is lost.
#[tokio::test]
async fn a_stream_gets_states_and_is_returned_in_the_middle() {
    let (script, mut stream) = stream();
    script.push(packets(1, 1000..1004));
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((port(first.key().unwrap()), stream.queued()), (1000, 3));
    // Without a closure for packets, only events create states.
    let mut flows = stream.with_state(init);
    let (event, state) = flows.next_event().await.unwrap().unwrap();
    assert_eq!(state.unwrap().port, 1001);
    let flow = event.flow().unwrap();
    flows.state_mut(flow).unwrap().packets = 7;
    assert_eq!(flows.state(flow).unwrap().packets, 7);
    assert_eq!(flows.state(first.flow().unwrap()), None);
    let (stream, states) = flows.into_parts();
    assert_eq!(
        (states.len(), stream.queued(), stream.active_flows()),
        (1, 2, 4)
    );
    script.push(Step::End);
    let mut flows = stream.with_state(|key| BTreeMap::from([(port(key), 1)]));
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    while let Some(item) = flows.next_event().await {
        let (event, state) = item.unwrap();
        let port = *state.unwrap().keys().next().unwrap();
        match event {
            FlowEvent::Started { .. } => started.push(port),
            _ => ended.push(port),
        }
    }
    ended.sort_unstable();
    assert_eq!((started, ended), (vec![1002, 1003], (1000..1004).collect()));
}

#[tokio::test]
async fn a_dropped_wait_loses_no_event() {
    let (script, stream) = stream();
    let mut flows = stream.with_state(init);
    assert!(flows.next_event().now_or_never().is_none());
    script.push(packets(1, [1000]));
    let (event, _) = flows.next_event().await.unwrap().unwrap();
    assert_eq!(port(event.key().unwrap()), 1000);
    flows.stop();
    let (event, state) = flows.next_event().await.unwrap().unwrap();
    assert!(matches!(event, FlowEvent::Ended { .. }));
    assert_eq!(state.unwrap().port, 1000);
    assert!(flows.next_event().await.is_none());
    assert_eq!(flows.stats().unwrap().delivered.exact(), Some(1));
}

/// The fragment of a datagram with these bytes of its IP payload, in units of eight.
fn fragment(start: usize, end: usize, more: bool) -> Vec<u8> {
    let whole = udp4(1000, 53, &[7; 56]);
    let mut frame = whole[..34].to_vec();
    frame.extend(&whole[34 + 8 * start..34 + 8 * end]);
    let len = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    frame[20..22].copy_from_slice(&(u16::from(more) << 13 | start as u16).to_be_bytes());
    frame
}

/// Fragments that came before their first are counted in the state, as in the flow's statistics.
#[tokio::test]
async fn a_state_sees_the_fragments_that_waited_for_their_flow() {
    let (script, stream) = stream();
    let frames = [
        fragment(6, 8, false),
        fragment(4, 6, true),
        fragment(0, 4, true),
    ];
    let bytes: Vec<_> = frames.iter().map(|frame| frame.len() as u64).collect();
    script.push(Step::Batch(frames.map(|frame| (1, frame)).into()));
    script.push(Step::End);
    // Either closure may be there alone.
    let mut flows = stream
        .with_state(init)
        .on_early_fragments(|seen, fragments| {
            seen.packets += fragments.packets;
            seen.payload += fragments.payload_bytes as usize;
            seen.events.push("waited");
        });
    let (event, state) = flows.next_event().await.unwrap().unwrap();
    assert!(matches!(event, FlowEvent::Started { .. }), "{event:?}");
    let waited = Seen {
        port: 1000,
        packets: 2,
        payload: 32,
        events: vec!["waited"],
    };
    assert_eq!(state.unwrap(), &waited);
    // With both, the state has what the flow has.
    let (stream, states) = flows.into_parts();
    let mut flows = stream
        .with_states(states, init)
        .on_packet(|seen, _| seen.packets += 1)
        .on_early_fragments(|_, _| panic!("they are counted once"));
    let (event, state) = flows.next_event().await.unwrap().unwrap();
    let FlowEvent::Ended { stats, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(state.unwrap(), &waited);
    assert_eq!((stats.packets(), stats.bytes()), (3, bytes.iter().sum()));

    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let stream = source.flow_stream(FiveTuple::bidirectional());
    let frames = [fragment(4, 8, false), fragment(0, 4, true)];
    script.push(Step::Batch(frames.map(|frame| (1, frame)).into()));
    script.push(Step::End);
    let mut flows = stream
        .with_state(init)
        .on_packet(|seen, segment| {
            seen.packets += 1;
            seen.payload += segment.payload_len as usize;
            seen.events.push("packet");
        })
        .on_early_fragments(|seen, fragments| {
            seen.packets += fragments.packets;
            seen.payload += fragments.payload_bytes as usize;
            seen.events.push("waited");
        });
    let (_, state) = flows.next_event().await.unwrap().unwrap();
    let state = state.unwrap();
    assert_eq!((state.packets, state.payload), (2, 56));
    assert_eq!(state.events, ["packet", "waited"]);
}
