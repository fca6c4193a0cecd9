//! Records as a stream, as a broadcast, and of several workers.
#![cfg(feature = "flow")]

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FusedStream;
use netring_async::{
    AsyncSource, BroadcastRecvError, FlowStream, RecordStream, RecordWorkers, Subscriber,
};
use netring_flow::export::{ConnLog, FlowRecord, FlowRecorder, RecordKind};
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_flow::{FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::{Count, Packet};
use tokio::time::timeout;
use xtask::wire::udp4;

use super::script::{Script, Scripted, Step, scripted};
use super::tcp::{ACK, client, close, handshake, server};

const SOON: Duration = Duration::from_secs(20);

type Stream = RecordStream<Scripted, FiveTuple>;

fn records() -> (Script, Stream) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    (script, source.record_stream(FiveTuple::bidirectional()))
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it takes no end")
}

fn at(second: i64, frames: impl IntoIterator<Item = Vec<u8>>) -> Step {
    let time = second * 1_000_000_000;
    Step::Batch(frames.into_iter().map(|frame| (time, frame)).collect())
}

/// A packet of each of these flows.
fn flows(ports: impl IntoIterator<Item = u16>) -> Step {
    at(1, ports.into_iter().map(|port| udp4(port, 53, b"?")))
}

/// A record as a line, with what only segments show.
fn line(record: &FlowRecord) -> String {
    let side = |side: &netring_flow::export::SideRecord| {
        format!(
            "{} {:?} {:?}",
            side.packets, side.ip_bytes, side.stream_bytes
        )
    };
    let (first, second) = (side(&record.initiator), side(&record.responder));
    let reason = record.reason.map_or("-", |reason| reason.as_str());
    let (state, history) = (record.state, record.history);
    format!("{state} {history} {reason}: {first}, {second}").replace("Some", "")
}

/// The first half of a connection, which misses three bytes of the server.
fn first_half() -> [Step; 2] {
    [
        at(1, handshake(5000)),
        at(2, [client(5000, ACK, 1, 1, b"how are ")]),
    ]
}

fn second_half() -> [Step; 2] {
    [
        at(3, [server(5000, ACK, 4, 9, b"ne ")]),
        at(4, close(5000, 8, 6)),
    ]
}

const WHOLE: &str = "SF ShADdFgf finished: 5 (208) (8), 3 (123) (6)";

async fn rest(mut stream: Stream) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(item) = soon(stream.next()).await {
        lines.push(match item {
            Ok(record) => line(&record),
            Err(error) => error.to_string(),
        });
    }
    assert!(stream.is_terminated());
    assert!(soon(stream.next()).await.is_none());
    lines
}

#[tokio::test]
async fn a_record_has_what_only_segments_show() {
    let (script, stream) = records();
    script.push_all(first_half());
    script.push_all(second_half());
    script.push(at(5, [udp4(4000, 53, b"name")]));
    script.push(Step::End);
    let lines = rest(stream).await;
    assert_eq!(lines, [WHOLE, "S0 D source-ended: 1 (32) None, 0 (0) None"]);
}

#[tokio::test]
async fn an_error_of_the_source_comes_after_the_records_of_all_flows() {
    let (script, stream) = records();
    script.push_all(first_half());
    script.push(Step::Removed);
    let lines = rest(stream).await;
    let open = "S1 ShAD source-ended: 3 (128) (8), 1 (40) (0)";
    assert_eq!(lines[..1], [open]);
    assert!(lines[1].contains("x0"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

/// A wait that is dropped loses nothing, and the parts of a stream make one that goes on.
#[tokio::test]
async fn nothing_is_lost_by_a_dropped_wait_or_by_taking_a_stream_apart() {
    let (script, mut stream) = records();
    script.push_all(first_half());
    while script.left() > 0 {
        let wait = timeout(Duration::from_millis(1), stream.next()).await;
        assert!(wait.is_err(), "{wait:?}");
    }
    assert_eq!((stream.active_flows(), stream.queued()), (1, 0));
    let (source, tracker, recorder, queued) = stream.into_parts();
    assert!(queued.is_empty());
    let mut stream = source.record_stream_with(tracker, recorder);
    script.push_all(second_half());
    script.push(flows([1, 2, 3]));
    while script.left() > 0 {
        let wait = timeout(Duration::from_millis(1), stream.next()).await;
        assert!(wait.is_err(), "{wait:?}");
    }
    assert_eq!(stream.tracker_stats().flows_started, 4);
    let stats = stream.stats().unwrap();
    assert_eq!(stats.delivered, Count::Exact(4 + 4 + 3));
    let items = soon(stream.shutdown()).await;
    let lines: Vec<_> = items.iter().flatten().map(line).collect();
    assert_eq!((items.len(), lines.len()), (4, 4));
    assert!(lines.contains(&WHOLE.to_owned()), "{lines:?}");
    assert!(script.is_alone(), "the source is closed");
}

/// The stream yields what a recorder over the same packets has.
#[tokio::test]
async fn active_flows_report_with_what_they_have_so_far() {
    let timeouts = Timeouts::default().active(Duration::from_secs(10));
    let config = TrackerConfig::new().timeouts(timeouts);
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    let (script, source) = scripted();
    let source = AsyncSource::new(source.replayed()).unwrap();
    let recorder = FlowRecorder::new().community_id(0);
    let mut stream = source.record_stream_with(tracker, recorder);
    for second in 0..25 {
        script.push(at(second, [udp4(4000, 53, b"tick")]));
    }
    script.push(Step::End);
    let mut reported = Vec::new();
    while let Some(record) = soon(stream.next()).await {
        reported.push(record.unwrap());
    }
    let kinds: Vec<_> = reported.iter().map(|record| record.kind).collect();
    assert_eq!(
        kinds,
        [RecordKind::Active, RecordKind::Active, RecordKind::End]
    );
    assert!(reported.iter().all(|record| record.community_id.is_some()));
    let [first, second, whole] = &reported[..] else {
        unreachable!()
    };
    let parts = [
        first.clone(),
        second.clone().since(first),
        whole.clone().since(second),
    ];
    let sum = |of: fn(&FlowRecord) -> u64| parts.iter().map(of).sum::<u64>();
    assert_eq!(sum(|part| part.initiator.packets), 25);
    assert_eq!(sum(|part| part.initiator.ip_bytes.unwrap()), 25 * 32);
}

/// Ports of the records, and the losses.
async fn received(mut subscriber: Subscriber<FlowRecord>) -> (Vec<u16>, u64) {
    let (mut ports, mut lost) = (Vec::new(), 0);
    while let Some(record) = soon(subscriber.next()).await {
        match record {
            Ok(record) => ports.push(record.initiator.port.unwrap()),
            Err(BroadcastRecvError::Lagged(count)) => lost += count,
            Err(other) => panic!("{other}"),
        }
    }
    (ports, lost)
}

#[tokio::test]
async fn a_broadcast_loses_records_only_of_those_that_may_lose_and_counts_them() {
    let (script, mut stream) = records();
    script.push(at(1, handshake(5000)));
    script.push(at(2, close(5000, 0, 0)));
    script.push(flows(1000..1200));
    // The flows go on in the broadcast.
    let early = timeout(Duration::from_millis(1), stream.next()).await;
    assert!(early.is_err());
    let broadcast = stream.broadcast(1);
    let (lossy, lossless) = (broadcast.subscribe(), broadcast.subscribe_lossless());
    script.push(Step::End);
    let (ports, lost) = received(lossless).await;
    assert_eq!(lost, 0);
    let ports: BTreeSet<_> = ports.into_iter().collect();
    assert_eq!(ports.len(), 201);
    // It reads only now: one batch is kept for it, the last.
    let (ports, lost) = received(lossy).await;
    assert_eq!((ports.len(), lost), (201 % 64, 201 - 201 % 64));
    assert_eq!(broadcast.published().events, 201);
    assert!(script.is_alone());
}

#[tokio::test]
async fn a_broadcast_that_is_stopped_ends_all_flows_with_a_record() {
    let (script, stream) = records();
    script.push(flows(1000..1100));
    let broadcast = stream.broadcast(16);
    let (a, b) = (broadcast.subscribe(), broadcast.subscribe_lossless());
    while script.left() > 0 {
        tokio::task::yield_now().await;
    }
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!((stats.active_flows, stats.events), (100, 0));
    let largest = soon(broadcast.flows(3)).await.unwrap();
    assert_eq!(largest.len(), 3);
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert!(script.is_alone(), "the source is closed");
    assert_eq!(stats.capture.delivered, Count::Exact(100));
    assert_eq!((stats.tracker.flows_started, stats.events), (100, 100));
    assert_eq!((stats.active_flows, stats.waits), (0, 0));
    // The final figures stay.
    assert_eq!(soon(broadcast.stats()).await.unwrap(), stats);
    assert!(soon(broadcast.flows(3)).await.unwrap().is_empty());
    for subscriber in [a, b] {
        let (ports, lost) = received(subscriber).await;
        assert_eq!((ports.len(), lost), (100, 0));
    }
}

/// The figures come from the source and count the waits; those of a source that failed stay.
#[tokio::test]
async fn the_figures_of_a_broadcast_are_those_of_its_source_and_its_waits() {
    let (script, stream) = records();
    script.push(flows(1000..1200));
    let broadcast = stream.broadcast(1);
    let slow = broadcast.subscribe_lossless();
    script.push(Step::End);
    soon(async {
        while broadcast.published().waits == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // While it waits, it answers.
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!(
        (stats.waits, stats.capture.delivered.exact()),
        (1, Some(200))
    );
    assert_eq!(received(slow).await.0.len(), 200);
    let stats = soon(broadcast.shutdown()).await.unwrap();
    assert_eq!((stats.events, stats.active_flows), (200, 0));
    assert_eq!(stats.waits, broadcast.published().waits);

    let (script, stream) = records();
    script.push(flows([1, 2]));
    script.push(Step::Removed);
    let broadcast = stream.broadcast(4);
    let mut records = broadcast.subscribe();
    for _ in 0..2 {
        soon(records.next()).await.unwrap().unwrap();
    }
    let error = soon(records.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, BroadcastRecvError::Source(_)), "{error}");
    let stats = soon(broadcast.stats()).await.unwrap();
    assert_eq!(
        (stats.capture.delivered.exact(), stats.events),
        (Some(2), 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_all_workers_are_in_one_sequence() {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..3).map(|_| records()).unzip();
    let workers = RecordWorkers::spawn(streams, 2);
    let mut records = workers.subscribe_lossless();
    for (number, script) in (0..).zip(&scripts) {
        script.push(flows((0..100).map(|port| 1000 * (number + 1) + port)));
        script.push(Step::End);
    }
    let (mut seen, mut uids, log) = (BTreeSet::new(), BTreeSet::new(), ConnLog::new());
    while let Some(record) = soon(records.next()).await {
        let record = record.unwrap();
        let port = record.initiator.port.unwrap();
        assert_eq!(record.worker, Some(port / 1000 - 1));
        assert_eq!(record.initiator.ip_bytes, Some(29));
        seen.insert(port);
        // Flows of different workers have the same number and the same start.
        let mut text = Vec::new();
        log.record(&record, &mut text);
        let text = String::from_utf8(text).unwrap();
        uids.insert(text.split('\t').nth(1).unwrap().to_owned());
    }
    assert_eq!((seen.len(), uids.len()), (300, 300));
    let stats = soon(workers.stats()).await.unwrap();
    for stats in &stats {
        assert_eq!(stats.capture.delivered, Count::Exact(100));
        assert_eq!((stats.events, stats.active_flows), (100, 0));
    }
    assert_eq!((stats.len(), workers.published().events), (3, 300));
    assert!(scripts.iter().all(Script::is_alone));
}

#[tokio::test]
async fn one_worker_that_fails_stops_the_others_and_no_record_is_lost() {
    let (scripts, streams): (Vec<_>, Vec<_>) = (0..2).map(|_| records()).unzip();
    let workers = RecordWorkers::spawn(streams, 16);
    let mut records = workers.subscribe();
    for script in &scripts {
        script.push(flows(1000..1010));
    }
    soon(async {
        while scripts.iter().any(|script| script.left() > 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    scripts[1].push(Step::Removed);
    let mut found = [0; 2];
    let error = loop {
        match soon(records.next()).await.unwrap() {
            Ok(record) => found[usize::from(record.worker.unwrap())] += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BroadcastRecvError::Source(_)), "{error}");
    assert!(soon(records.next()).await.is_none());
    assert_eq!(found, [10, 10]);
    assert!(scripts.iter().all(Script::is_alone));
}

/// What an event alone lacks is there for the same packets in a stream of records.
#[tokio::test]
async fn a_record_of_an_event_lacks_what_the_stream_has() {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let mut events: FlowStream<_, _> = source.flow_stream(FiveTuple::bidirectional());
    script.push_all(first_half());
    script.push_all(second_half());
    script.push(Step::End);
    let mut lines = Vec::new();
    while let Some(event) = soon(events.next()).await {
        let event = event.unwrap();
        if matches!(event, FlowEvent::Ended { .. }) {
            lines.extend(FlowRecord::from_event(&event).as_ref().map(line));
        }
    }
    assert_eq!(lines, ["SF ShADdFf finished: 5 None None, 3 None None"]);
}

/// From a stream to a broadcast and to workers, and back: each flow has one record at the end.
#[tokio::test]
async fn no_form_loses_a_flow_to_the_next() {
    let (script, stream) = records();
    let [first, second] = first_half();
    script.push(first);
    script.push(flows([1, 2]));
    let broadcast = stream.broadcast(16);
    let none = broadcast.subscribe_lossless();
    while script.left() > 0 {
        tokio::task::yield_now().await;
    }
    // Another extractor than it was made of.
    let other = broadcast.into_record_stream::<Scripted, Other>();
    let broadcast = soon(other).await.unwrap_err();
    let back = broadcast.into_record_stream::<Scripted, FiveTuple>();
    let stream = soon(back).await.unwrap();
    assert_eq!(received(none).await, (Vec::new(), 0));
    assert_eq!(stream.active_flows(), 3);

    script.push(second);
    let workers = RecordWorkers::spawn([stream], 16);
    let none = workers.subscribe();
    while script.left() > 0 {
        tokio::task::yield_now().await;
    }
    let other = workers.into_record_streams::<Scripted, Other>();
    let workers = soon(other).await.unwrap_err();
    let back = workers.into_record_streams::<Scripted, FiveTuple>();
    let mut streams = soon(back).await.unwrap();
    assert_eq!(received(none).await, (Vec::new(), 0));
    let mut stream = streams.remove(0).unwrap();
    script.push_all(second_half());
    script.push(flows([1, 3]));
    while script.left() > 0 {
        let wait = timeout(Duration::from_millis(1), stream.next()).await;
        assert!(wait.is_err(), "{wait:?}");
    }
    let items = soon(stream.shutdown()).await;
    let records: Vec<_> = items.into_iter().map(Result::unwrap).collect();
    assert!(records.iter().all(|record| record.worker == Some(0)));
    let lines: Vec<_> = records.iter().map(line).collect();
    assert_eq!(lines.iter().filter(|line| *line == WHOLE).count(), 1);
    assert_eq!(lines.len(), 4);
    let packets: u64 = records.iter().map(|it| it.initiator.packets).sum();
    assert_eq!(packets, 5 + 4);
}

/// An extractor that no stream here has.
struct Other;

impl Extract for Other {
    type Key = FiveTupleKey;

    fn extract(&self, _: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        Err(Skip::NoKey)
    }
}
