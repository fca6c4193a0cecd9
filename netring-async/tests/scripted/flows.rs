//! Flow streams over a scripted source: what is yielded, when flows end, and how the stream ends.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use super::script as scripted;

use std::future::poll_fn;
use std::time::Duration;

use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt};
use netring_async::{AsyncSource, FlowStream};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{EndReason, FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::{Count, Error};
use scripted::{Script, Scripted, Step, scripted};
use tokio::time::{Instant, advance, timeout};
use xtask::wire::udp4;

const SECOND: i64 = 1_000_000_000;
/// Packet time in these tests: long ago, unrelated to any clock of the host.
const THEN: i64 = 1_000_000_000 * SECOND;
const UDP: Duration = Duration::from_secs(60);

type Flows = FlowStream<Scripted, FiveTuple>;

fn flows() -> (Script, Flows) {
    let (script, source) = scripted();
    (script, tracked(source))
}

fn tracked(source: Scripted) -> Flows {
    let timeouts = Timeouts::never().udp(UDP).other(UDP);
    let config = TrackerConfig::new().timeouts(timeouts);
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    AsyncSource::new(source).unwrap().flow_stream_with(tracker)
}

/// A packet of the flow from this port, this many seconds after the first.
fn packet(port: u16, seconds: i64) -> (i64, Vec<u8>) {
    (THEN + seconds * SECOND, udp4(port, 53, b"?"))
}

fn started(event: Option<Result<FlowEvent<FiveTupleKey>, Error>>) -> u16 {
    match event.unwrap().unwrap() {
        FlowEvent::Started { key, .. } => port(&key),
        other => panic!("{other:?}"),
    }
}

fn ended(event: Option<Result<FlowEvent<FiveTupleKey>, Error>>) -> (u16, EndReason, i64) {
    match event.unwrap().unwrap() {
        FlowEvent::Ended {
            key, reason, time, ..
        } => (port(&key), reason, time.as_nanos()),
        other => panic!("{other:?}"),
    }
}

/// Whichever of the two ports is not 53.
fn port(key: &FiveTupleKey) -> u16 {
    key.a().port().max(key.b().port())
}

#[tokio::test]
async fn flows_start_and_the_end_of_the_source_ends_them_and_the_stream() {
    let (script, mut flows) = flows();
    script.push_all([
        Step::Batch(vec![packet(1000, 0), packet(1001, 0), packet(1000, 1)]),
        Step::Batch(vec![packet(1002, 2)]),
        Step::End,
    ]);
    for want in [1000, 1001, 1002] {
        assert_eq!(started(flows.next().await), want);
    }
    assert_eq!(flows.active_flows(), 3);
    let mut over: Vec<_> = [flows.next().await, flows.next().await, flows.next().await]
        .into_iter()
        .map(|event| {
            let (port, reason, _) = ended(event);
            assert_eq!(reason, EndReason::SourceEnded);
            port
        })
        .collect();
    over.sort();
    assert_eq!(over, [1000, 1001, 1002]);
    assert!(flows.next().await.is_none());
    assert!(flows.is_terminated());
    let (stats, tracker) = (flows.stats().unwrap(), flows.tracker_stats());
    assert_eq!(stats.delivered, Count::Exact(4));
    assert_eq!(
        (tracker.packets, tracker.tracked, tracker.flows_started),
        (4, 4, 3)
    );
    assert_eq!((tracker.ended.total(), flows.active_flows()), (3, 0));
}

#[tokio::test]
async fn s10_s21_an_error_comes_behind_the_ends_of_the_flows_and_is_the_last() {
    let (script, mut flows) = flows();
    script.push_all([
        Step::Batch(vec![packet(1000, 0)]),
        Step::LinkDown,
        Step::Batch(vec![packet(1001, 1)]),
        Step::Removed,
    ]);
    assert_eq!(started(flows.next().await), 1000);
    assert_eq!(started(flows.next().await), 1001);
    assert_eq!(flows.stats().unwrap().link_downs, Count::Exact(1));
    let mut over = [ended(flows.next().await).0, ended(flows.next().await).0];
    over.sort();
    assert_eq!(over, [1000, 1001]);
    assert!(!flows.is_terminated());
    let error = flows.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
    let looks = script.looks();
    for _ in 0..3 {
        assert!(flows.is_terminated());
        assert!(flows.next().await.is_none());
    }
    assert_eq!(script.looks(), looks, "a stream that is over asks no more");
}

#[tokio::test(start_paused = true)]
async fn s23_an_idle_live_capture_expires_flows_by_the_time_since_its_last_packet() {
    let (script, mut flows) = flows();
    script.push(Step::Batch(vec![packet(1000, 0), packet(1001, 30)]));
    assert_eq!(started(flows.next().await), 1000);
    assert_eq!(started(flows.next().await), 1001);
    let start = Instant::now();
    for (want, after) in [(1000, 30), (1001, 60)] {
        let (port, reason, time) = ended(flows.next().await);
        assert_eq!((port, reason), (want, EndReason::IdleTimeout));
        let late = start.elapsed() - Duration::from_secs(after);
        assert!(late <= Duration::from_millis(510), "{late:?}");
        // In packet time: 60 s after the last packet of the flow.
        let time = time - THEN - 30 * SECOND - after as i64 * SECOND;
        assert!((0..=SECOND).contains(&time), "{time}");
    }
}

#[tokio::test(start_paused = true)]
async fn s23_a_replay_never_expires_flows_by_the_host_clock() {
    let (script, source) = scripted();
    let mut flows = tracked(source.replayed());
    script.push(Step::Batch(vec![packet(1000, 0)]));
    assert_eq!(started(flows.next().await), 1000);
    let day = Duration::from_secs(86_400);
    assert!(timeout(day, flows.next()).await.is_err());
    assert_eq!(flows.active_flows(), 1);
    // Its own packets do end flows.
    script.push(Step::Batch(vec![packet(1001, 61)]));
    let mut got = [flows.next().await, flows.next().await].map(|event| event.unwrap().unwrap());
    got.sort_by_key(|event| matches!(event, FlowEvent::Ended { .. }));
    let [
        FlowEvent::Started { .. },
        FlowEvent::Ended { key, reason, .. },
    ] = got
    else {
        panic!("{got:?}");
    };
    assert_eq!((port(&key), reason), (1000, EndReason::IdleTimeout));
}

/// Packets waiting in the ring are a better clock than the host's, which continued while nobody
/// read them.
#[tokio::test(start_paused = true)]
async fn s23_the_host_clock_does_not_run_ahead_of_packets_that_wait() {
    let (script, mut flows) = flows();
    script.push(Step::Batch(vec![packet(1000, 0)]));
    assert_eq!(started(flows.next().await), 1000);
    assert!(flows.next().now_or_never().is_none());
    script.push(Step::Batch(vec![packet(1001, 1)]));
    assert_eq!(started(flows.next().await), 1001);
    script.push(Step::Batch(vec![packet(1000, 50)]));
    // The reader is busy with something else for a long time, and its time slice is over.
    std::thread::sleep(Duration::from_millis(3));
    advance(Duration::from_secs(100)).await;
    assert!(timeout(Duration::from_secs(5), flows.next()).await.is_err());
    assert_eq!(
        (flows.active_flows(), flows.tracker_stats().packets),
        (2, 3)
    );
}

/// A block that is not full is handed over late, at the latest after twice 65.5 s.
#[tokio::test(start_paused = true)]
async fn s23_packets_that_stand_in_a_block_keep_their_flows_alive() {
    let (script, mut flows) = flows();
    script.push(Step::Batch(vec![packet(1000, 0)]));
    assert_eq!(started(flows.next().await), 1000);
    assert!(flows.next().now_or_never().is_none());
    script.stand(1);
    let long = Duration::from_secs(100);
    assert!(timeout(long, flows.next()).await.is_err());
    script.stand(0);
    script.push(Step::Batch(vec![packet(1000, 59), packet(1000, 99)]));
    assert!(
        timeout(UDP - Duration::from_secs(1), flows.next())
            .await
            .is_err()
    );
    let (port, reason, time) = ended(flows.next().await);
    assert_eq!((port, reason), (1000, EndReason::IdleTimeout));
    assert!((0..=SECOND).contains(&(time - THEN - 159 * SECOND)));
    // A source that never lends what it counts stops no expiry.
    script.push(Step::Batch(vec![packet(1001, 200)]));
    assert_eq!(started(flows.next().await), 1001);
    script.stand(1);
    let start = Instant::now();
    assert_eq!(ended(flows.next().await).0, 1001);
    let after = start.elapsed().as_secs();
    assert!((132..134).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn flows_that_end_all_at_once_end_all() {
    let (script, mut flows) = flows();
    script.push(Step::Batch(
        (0..5000).map(|n| packet(10_000 + n, 0)).collect(),
    ));
    for n in 0..5000 {
        assert_eq!(started(flows.next().await), 10_000 + n);
    }
    let start = Instant::now();
    let mut over = Vec::new();
    for _ in 0..5000 {
        over.push(ended(flows.next().await).0);
    }
    over.sort();
    assert!(over.into_iter().eq(10_000..15_000));
    // However many there are: no tick passes between them.
    let late = start.elapsed() - UDP;
    assert!(late <= Duration::from_secs(1), "{late:?}");
    assert_eq!(flows.active_flows(), 0);
}

#[tokio::test(start_paused = true)]
async fn p12_an_idle_stream_wakes_up_twice_a_second_while_there_are_flows_and_not_at_all_without() {
    let (script, mut flows) = flows();
    assert!(
        timeout(Duration::from_secs(1000), flows.next())
            .await
            .is_err()
    );
    assert!(
        script.looks() <= 3,
        "{} looks without flows",
        script.looks()
    );
    script.push(Step::Batch(vec![packet(1000, 0)]));
    assert_eq!(started(flows.next().await), 1000);
    let mut polls = 0;
    let counted = poll_fn(|cx| {
        polls += 1;
        flows.poll_next_unpin(cx)
    });
    assert!(timeout(Duration::from_secs(50), counted).await.is_err());
    assert!((99..=102).contains(&polls), "{polls} polls in 50 s");
    // And none after they have ended.
    assert_eq!(ended(flows.next().await).0, 1000);
    let looks = script.looks();
    let idle = timeout(Duration::from_secs(1000), flows.next()).await;
    assert!(idle.is_err());
    let looks = script.looks() - looks;
    assert!(looks <= 4, "{looks} looks without flows");
}

#[tokio::test]
async fn a_dropped_next_loses_no_event_and_the_parts_are_whole() {
    let (script, mut flows) = flows();
    assert!(flows.next().now_or_never().is_none());
    script.push(Step::Batch((0..10).map(|n| packet(2000 + n, 0)).collect()));
    drop(flows.next());
    assert_eq!(started(flows.next().await), 2000);
    assert_eq!(flows.queued(), 9);
    let (source, tracker, rest) = flows.into_parts();
    let rest: Vec<_> = rest
        .iter()
        .map(|event| port(event.key().unwrap()))
        .collect();
    assert!(rest.into_iter().eq(2001..2010));
    assert_eq!(tracker.active_flows(), 10);
    // The same flows continue in another stream.
    let mut flows = source.flow_stream_with(tracker);
    script.push_all([
        Step::Batch(vec![packet(2000, 1), packet(3000, 1)]),
        Step::End,
    ]);
    assert_eq!(started(flows.next().await), 3000);
    assert_eq!(flows.tracker_stats().packets, 12);
}

#[test]
fn the_stream_is_send_and_unpin() {
    fn check<T: Send + Unpin + 'static>() {}
    check::<Flows>();
}
