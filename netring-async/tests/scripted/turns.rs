//! A task that is always ready lets timers and other tasks run, and publishes events within a time
//! slice.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use super::script as scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netring_async::AsyncSource;
use netring_sys::{
    Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};
use tokio::time::sleep;
use xtask::wire::udp4;

/// The time that a batch takes: the work of a full block.
const WORK: Duration = Duration::from_micros(300);

/// Always has a batch of one packet of the same flow.
#[derive(Default)]
struct Busy {
    frame: Vec<u8>,
    batches: Arc<AtomicU64>,
}

struct Slow<'a>(&'a [u8]);

impl PacketBatch for Slow<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let start = Instant::now();
        while start.elapsed() < WORK {}
        std::iter::once(Packet::new(self.0, Timestamp::EPOCH, LinkType::ETHERNET))
    }
}

impl PacketSource for Busy {
    type Batch<'a> = Slow<'a>;
    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(Readiness::Ready)
    }
    fn batch(&mut self) -> Slow<'_> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.frame = udp4(1000, 53, b"?");
        Slow(&self.frame)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.batches.load(Ordering::Relaxed)))
    }
    fn is_live(&self) -> bool {
        false
    }
}

/// Asserts that a timer of a millisecond fires before the busy task has taken many more batches.
async fn timers_have_their_turn(batches: &AtomicU64) {
    let mut between = Vec::new();
    for _ in 0..40 {
        let before = batches.load(Ordering::Relaxed);
        sleep(Duration::from_millis(1)).await;
        between.push(batches.load(Ordering::Relaxed) - before);
    }
    between.sort();
    assert!(between[20] > 0, "the task is not busy: {between:?}");
    // A time slice is a millisecond, which is four batches, and the timer is due within the second.
    // The runtime's own budget is 128.
    assert!(between[20] <= 16, "{between:?}");
}

#[tokio::test]
async fn s3_a_source_that_is_always_ready_leaves_the_timers_their_turn() {
    let busy = Busy::default();
    let batches = busy.batches.clone();
    let mut source = AsyncSource::replay(busy);
    let reader = tokio::spawn(async move {
        loop {
            let batch = source.next_batch().await.unwrap().unwrap();
            assert_eq!(batch.packets().count(), 1);
        }
    });
    timers_have_their_turn(&batches).await;
    reader.abort();
}

#[cfg(feature = "flow")]
mod broadcast {
    use futures::{FutureExt, StreamExt};
    use netring_async::FlowSubscriber;
    use netring_flow::extract::{FiveTuple, FiveTupleKey};
    use tokio::time::timeout;

    use super::scripted::{Step, scripted};
    use super::*;

    async fn next(subscriber: &mut FlowSubscriber<FiveTupleKey>) {
        let event = timeout(Duration::from_secs(10), subscriber.next()).await;
        assert!(event.expect("no event is published").unwrap().is_ok());
    }

    #[tokio::test]
    async fn s3_a_busy_broadcast_leaves_the_timers_their_turn() {
        let busy = Busy::default();
        let batches = busy.batches.clone();
        let flows = AsyncSource::replay(busy).flow_stream(FiveTuple::bidirectional());
        let broadcast = flows.broadcast(16);
        let mut subscriber = broadcast.subscribe();
        let reader = tokio::spawn(async move { while subscriber.next().await.is_some() {} });
        timers_have_their_turn(&batches).await;
        drop(broadcast);
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn s16_dropping_the_broadcast_stops_a_task_that_is_busy_and_whose_queue_is_full() {
        let flows = AsyncSource::replay(Busy::default()).flow_stream(FiveTuple::bidirectional());
        let broadcast = flows.broadcast(1);
        let mut subscriber = broadcast.subscribe();
        let _full = broadcast.subscribe();
        next(&mut subscriber).await;
        drop(broadcast);
        let drained = async { while subscriber.next().await.is_some() {} };
        let soon = Duration::from_secs(10);
        timeout(soon, drained)
            .await
            .expect("the broadcast does not end");
    }

    #[tokio::test]
    async fn an_event_is_published_within_a_time_slice_even_if_the_source_never_rests() {
        let busy = Busy::default();
        let batches = busy.batches.clone();
        let flows = AsyncSource::replay(busy).flow_stream(FiveTuple::bidirectional());
        let broadcast = flows.broadcast(16);
        let mut subscriber = broadcast.subscribe();
        next(&mut subscriber).await;
        let batches = batches.load(Ordering::Relaxed);
        assert!(batches <= 10, "published after {batches} batches");
    }

    #[tokio::test]
    async fn an_event_is_published_as_soon_as_the_source_has_nothing_more() {
        let (script, source) = scripted();
        let flows = AsyncSource::new(source)
            .unwrap()
            .flow_stream(FiveTuple::bidirectional());
        let broadcast = flows.broadcast(16);
        let mut subscriber = broadcast.subscribe();
        assert!(subscriber.next().now_or_never().is_none());
        for port in 1000..1100 {
            script.push(Step::Batch(vec![(0, udp4(port, 53, b"?"))]));
            let looks = script.looks();
            next(&mut subscriber).await;
            // It was found, taken and published: no timer is in the way.
            assert!(script.looks() - looks <= 3);
        }
    }

    #[tokio::test]
    async fn p12_an_idle_broadcast_does_not_wake_up() {
        let (script, source) = scripted();
        let flows = AsyncSource::new(source)
            .unwrap()
            .flow_stream(FiveTuple::bidirectional());
        let broadcast = flows.broadcast(16);
        let mut subscriber = broadcast.subscribe();
        broadcast.stats().await.unwrap();
        let looks = script.looks();
        let idle = timeout(Duration::from_secs(1), subscriber.next()).await;
        assert!(idle.is_err());
        let looks = script.looks() - looks;
        assert!(looks <= 1, "{looks} looks in a second");
    }
}
