//! Several sources with a tracker each, and the way back from a broadcast.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use netring_async::{
    AsyncSource, BroadcastRecvError, FlowBroadcast, FlowStream, FlowWorkers, Subscriber,
    WorkerEvent,
};
use netring_flow::FlowEvent;
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_sys::{Count, Packet};
use tokio::time::{sleep, timeout};
use xtask::wire::udp4;

use super::script::{Script, Scripted, Step, scripted};

const SOON: Duration = Duration::from_secs(20);

type Stream = FlowStream<Scripted, FiveTuple>;

fn stream() -> (Script, Stream) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    (script, source.flow_stream(FiveTuple::bidirectional()))
}

fn workers(count: usize, capacity: usize) -> (Vec<Script>, FlowWorkers<FiveTupleKey>) {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..count).map(|_| stream()).unzip();
    (scripts, FlowWorkers::spawn(streams, capacity))
}

/// A packet of each of these flows.
fn flows(ports: impl IntoIterator<Item = u16>) -> Step {
    let ports = ports.into_iter();
    Step::Batch(ports.map(|port| (0, udp4(port, 53, b"?"))).collect())
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it takes no end")
}

fn port(event: &FlowEvent<FiveTupleKey>) -> u16 {
    let key = event.key().unwrap();
    key.a().port().max(key.b().port())
}

/// Per port: the worker, events of the start, and packets at the end; and the error.
async fn all(
    mut events: Subscriber<WorkerEvent<FiveTupleKey>>,
) -> (BTreeMap<u16, (usize, u64, u64)>, Option<BroadcastRecvError>) {
    let (mut flows, mut failed) = (BTreeMap::new(), None);
    while let Some(event) = soon(events.next()).await {
        match event {
            Ok(event) => {
                let flow = flows.entry(port(&event)).or_insert((event.worker, 0, 0));
                assert_eq!(flow.0, event.worker);
                match &event.event {
                    FlowEvent::Started { .. } => flow.1 += 1,
                    FlowEvent::Ended { stats, .. } => flow.2 += stats.packets(),
                    other => panic!("{other:?}"),
                }
            }
            Err(other) => failed = Some(other),
        }
    }
    (flows, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_all_workers_are_in_one_sequence() {
    let (scripts, workers) = workers(4, 2);
    let readers = [(); 2].map(|()| tokio::spawn(all(workers.subscribe_lossless())));
    for round in 0..50 {
        for (n, script) in (0..).zip(&scripts) {
            script.push(flows((0..50).map(|port| 1000 + 100 * n + port)));
            script.push(flows([10_000 + 1000 * n + round]));
        }
    }
    for script in &scripts {
        script.push(Step::End);
    }
    for reader in readers {
        let (flows, failed) = reader.await.unwrap();
        assert!(failed.is_none());
        assert_eq!(flows.len(), 4 * 100);
        for (port, (worker, started, packets)) in flows {
            let (want, sent) = match port {
                10_000.. => ((port - 10_000) / 1000, 1),
                _ => ((port - 1000) / 100, 50),
            };
            assert_eq!((worker, started, packets), (usize::from(want), 1, sent));
        }
    }
    let stats = workers.stats().await.unwrap();
    assert_eq!(stats.len(), 4);
    for stats in &stats {
        assert_eq!(stats.capture.delivered, Count::Exact(50 * 51));
        assert_eq!((stats.events, stats.active_flows), (200, 0));
    }
    assert_eq!(workers.published().events, 800);
    assert!(scripts.iter().all(Script::is_alone));
}

#[tokio::test]
async fn one_worker_that_fails_stops_the_others_and_the_error_comes_last() {
    let (scripts, workers) = workers(3, 64);
    let reader = tokio::spawn(all(workers.subscribe()));
    for (n, script) in (0..).zip(&scripts) {
        script.push(flows([1000 + n]));
    }
    soon(async {
        while workers.published().events != 3 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    scripts[1].push(Step::Removed);
    let (flows, failed) = reader.await.unwrap();
    assert!(
        matches!(failed, Some(BroadcastRecvError::Source(_))),
        "{failed:?}"
    );
    let want = [(1000, (0, 1, 1)), (1001, (1, 1, 1)), (1002, (2, 1, 1))];
    assert_eq!(flows, want.into());
    assert!(scripts.iter().all(Script::is_alone));
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
async fn one_worker_that_panics_stops_the_others() {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (script, source) = scripted();
            (
                script,
                AsyncSource::new(source).unwrap().flow_stream(Panics),
            )
        })
        .unzip();
    let workers = FlowWorkers::spawn(streams, 16);
    let reader = tokio::spawn(all(workers.subscribe()));
    scripts[1].push(flows([1000]));
    soon(async {
        while workers.published().events != 1 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    scripts[0].push(flows([256 * 7 + 7]));
    let (flows, failed) = reader.await.unwrap();
    assert!(
        matches!(failed, Some(BroadcastRecvError::Aborted)),
        "{failed:?}"
    );
    assert_eq!(flows, [(1000, (1, 1, 1))].into());
    let stats = workers.stats().await;
    assert!(matches!(stats, Err(BroadcastRecvError::Aborted)));
}

#[tokio::test]
async fn a_shutdown_ends_all_workers_and_every_flow() {
    let (scripts, workers) = workers(3, 1);
    let never = workers.subscribe_lossless();
    for (n, script) in (0..).zip(&scripts) {
        script.push(flows((0..500).map(|port| 1000 + 1000 * n + port)));
    }
    soon(async {
        while workers.published().waits < 3 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(workers.shutdown()).await.unwrap();
    assert!(
        stats
            .iter()
            .all(|stats| (stats.events, stats.active_flows) == (1000, 0))
    );
    let (flows, failed) = all(never).await;
    assert_eq!((flows.len(), failed.is_none()), (1500, true));
    assert!(
        flows
            .values()
            .all(|(_, started, packets)| (*started, *packets) == (1, 1))
    );
}

#[tokio::test]
async fn workers_without_a_source_have_ended() {
    let (_, workers) = workers(0, 1);
    assert!(soon(workers.subscribe().next()).await.is_none());
    assert_eq!(soon(workers.shutdown()).await.unwrap(), []);
}

/// There and back: each event is seen once, and flows live on.
#[tokio::test]
async fn a_broadcast_becomes_a_stream_again_and_loses_neither_event_nor_flow() {
    let (script, stream) = stream();
    script.push(flows(1000..1100));
    let broadcast = stream.broadcast(1);
    let never = broadcast.subscribe_lossless();
    soon(async {
        while broadcast.published().waits == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let broadcast: FlowBroadcast<FiveTupleKey> = match broadcast
        .into_flow_stream::<netring_sys::adapters::Limit<Scripted>, FiveTuple>()
        .await
    {
        Ok(_) => panic!("another type"),
        Err(broadcast) => broadcast,
    };
    let mut stream: Stream = soon(broadcast.into_flow_stream()).await.unwrap();
    let seen: Vec<_> = soon(never.map(|event| port(&event.unwrap())).collect()).await;
    assert_eq!(seen, (1000..1100).collect::<Vec<_>>());
    assert_eq!((stream.queued(), stream.active_flows()), (0, 100));
    // The flows continue, in a stream and in the next broadcast.
    script.push(flows(1000..1103));
    for new in 1100..1103 {
        assert_eq!(port(&soon(stream.next()).await.unwrap().unwrap()), new);
        if new == 1100 {
            assert_eq!(stream.queued(), 2);
            break;
        }
    }
    let broadcast = stream.broadcast(64);
    let mut events = broadcast.subscribe();
    script.push(Step::End);
    let (mut started, mut packets) = (Vec::new(), 0);
    while let Some(event) = soon(events.next()).await {
        match &*event.unwrap() {
            FlowEvent::Ended { stats, .. } => packets += stats.packets(),
            event => started.push(port(event)),
        }
    }
    assert_eq!((started, packets), (vec![1101, 1102], 203));
}

/// A replay that nobody reads can be taken back too, before its first packet.
#[tokio::test]
async fn a_replay_that_has_not_begun_is_returned_whole() {
    let (script, source) = scripted();
    script.push_all([flows([1000]), Step::End]);
    let source = AsyncSource::new(source.replayed()).unwrap();
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(4);
    let stream: Stream = soon(broadcast.into_flow_stream()).await.unwrap();
    let events: Vec<_> = soon(stream.map(|event| port(&event.unwrap())).collect()).await;
    assert_eq!(events, [1000, 1000]);
}

/// All of several replays start with the first reader.
#[tokio::test]
async fn replays_begin_together_when_somebody_reads() {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..3)
        .map(|n| {
            let (script, source) = scripted();
            script.push_all([flows(1000 + 100 * n..1100 + 100 * n), Step::End]);
            let source = AsyncSource::new(source.replayed()).unwrap();
            (script, source.flow_stream(FiveTuple::bidirectional()))
        })
        .unzip();
    let workers = FlowWorkers::spawn(streams, 64);
    let (first, second) = (workers.subscribe(), workers.subscribe());
    sleep(Duration::from_millis(20)).await;
    assert!(scripts.iter().all(|script| script.looks() == 0));
    let (flows, failed) = all(first).await;
    assert_eq!((flows.len(), failed.is_none()), (300, true));
    assert_eq!(all(second).await.0, flows);
}

/// Without anyone to take the stream, its flows end as at a stop.
#[tokio::test]
async fn a_dropped_wait_for_the_stream_stops_the_broadcast() {
    let (script, stream) = stream();
    script.push(flows(1000..1100));
    let broadcast = stream.broadcast(64);
    let mut events = broadcast.subscribe();
    soon(async {
        while broadcast.published().events != 100 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let mut back = Box::pin(broadcast.into_flow_stream::<Scripted, FiveTuple>());
    assert!(futures::poll!(&mut back).is_pending());
    drop(back);
    let mut ended = 0;
    while let Some(event) = soon(events.next()).await {
        ended += u32::from(matches!(*event.unwrap(), FlowEvent::Ended { .. }));
    }
    assert_eq!((ended, script.is_alone()), (100, true));
}
