//! From the source to a subscriber's batch nothing is allocated per packet, as counted by the
//! allocator.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::future::Future;

use futures::StreamExt;
use netring_async::{AsyncSource, BroadcastRecvError, Chunk, ConversationConfig, FlowSubscriber};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::Subscription;
use netring_flow::{FlowEvent, FlowTracker};
use netring_sys::{
    Clock, Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};
use xtask::wire::{tcp4, udp4};

const FLOWS: usize = 640;
const BATCH: usize = 1000;
/// Rounds over all flows until the table, the queues and the runtime have allocated what they keep.
const WARM: usize = 10;

/// Lends packets of steady flows repeatedly from preallocated memory.
struct Steady {
    frames: Vec<Vec<u8>>,
    at: usize,
    end: usize,
}

struct Batch<'a>(&'a Steady, std::ops::Range<usize>);

fn steady(packets: usize) -> Steady {
    let frames = (0..FLOWS)
        .map(|n| udp4(10_000 + n as u16, 53, b"?"))
        .collect();
    Steady {
        frames,
        at: 0,
        end: packets,
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let frames = &self.0.frames;
        self.1.clone().map(move |n| {
            let time = Timestamp::from_nanos(1000 * n as i64, Clock::Software);
            Packet::new(&frames[n % frames.len()], time, LinkType::ETHERNET)
        })
    }
}

impl PacketSource for Steady {
    type Batch<'a> = Batch<'a>;
    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(if self.at < self.end {
            Readiness::Ready
        } else {
            Readiness::Ended
        })
    }
    fn batch(&mut self) -> Batch<'_> {
        let range = self.at..self.end.min(self.at + BATCH);
        self.at = range.end;
        Batch(self, range)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.at as u64))
    }
    fn is_live(&self) -> bool {
        false
    }
}

/// Counts the allocations of a program that runs on one thread.
fn allocations<F: Future>(program: impl FnOnce() -> F) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    allocation_counter::measure(|| {
        runtime.block_on(program());
    })
    .count_total
}

/// Reads everything, in batches or one by one; returns the number of flows that started.
async fn read(mut subscriber: FlowSubscriber<FiveTupleKey>, batches: bool) -> usize {
    let is_start = |event: &FlowEvent<_>| matches!(event, FlowEvent::Started { .. });
    let mut started = 0;
    if batches {
        while let Some(batch) = subscriber.next_batch().await {
            started += batch
                .unwrap()
                .iter()
                .filter(|event| is_start(event))
                .count();
        }
    } else {
        while let Some(event) = subscriber.next().await {
            started += usize::from(is_start(&event.unwrap()));
        }
    }
    started
}

async fn broadcast(packets: usize) {
    let source = AsyncSource::replay(steady(packets));
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(64);
    let (a, b) = (broadcast.subscribe(), broadcast.subscribe());
    let (a, b) = tokio::join!(read(a, true), read(b, false));
    assert_eq!((a, b), (FLOWS, FLOWS));
    assert_eq!(
        broadcast.stats().await.unwrap().tracker.packets,
        packets as u64
    );
}

async fn stream(packets: usize) {
    let mut flows = AsyncSource::replay(steady(packets)).flow_stream(FiveTuple::bidirectional());
    let mut events = 0;
    while let Some(event) = flows.next().await {
        events += usize::from(event.is_ok());
    }
    assert_eq!(events, 2 * FLOWS);
}

async fn batches(packets: usize) {
    let mut source = AsyncSource::replay(steady(packets));
    let mut got = 0;
    while let Some(batch) = source.next_batch().await.unwrap() {
        got += batch.packets().count();
    }
    assert_eq!(got, packets);
}

/// Ten times the packets cause at most one allocation more: the runtime's own depend on time, not
/// on packets.
#[test]
fn no_allocation_for_a_packet_from_the_source_to_the_subscribers() {
    let few = WARM * FLOWS;
    for (what, counts) in [
        (
            "batches",
            [few, 10 * few, 100 * few].map(|n| allocations(|| batches(n))),
        ),
        (
            "flow stream",
            [few, 10 * few, 100 * few].map(|n| allocations(|| stream(n))),
        ),
        (
            "broadcast",
            [few, 10 * few, 100 * few].map(|n| allocations(|| broadcast(n))),
        ),
    ] {
        eprintln!("{what}: {counts:?} allocations for 6400, 64000, 640000 packets");
        assert!(counts[2] <= counts[0] + 100, "{what}: {counts:?}");
    }
}

/// A broadcast allocates per batch of up to 64 events, however many subscribers read it, and a
/// waiter for each subscriber that slept.
#[test]
fn a_batch_of_events_is_one_allocation_and_one_for_each_reader_that_waits() {
    const EVENTS: usize = 64 * 500;
    let measure = |subscribers: usize| {
        allocations(|| async move {
            let source = AsyncSource::replay(Fresh(0, udp4(0, 53, b"?")));
            let broadcast = source
                .flow_stream(FiveTuple::bidirectional())
                .broadcast(1 << 14);
            let readers: Vec<_> = (0..subscribers)
                .map(|_| {
                    let mut subscriber = broadcast.subscribe();
                    tokio::spawn(async move {
                        let mut events = 0;
                        while events < EVENTS {
                            match subscriber.next_batch().await.unwrap() {
                                Ok(batch) => events += batch.len(),
                                Err(BroadcastRecvError::Lagged(lost)) => panic!("{lost} lost"),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            for reader in readers {
                reader.await.unwrap();
            }
        })
    };
    let (one, four) = (measure(1), measure(4));
    eprintln!("{EVENTS} events: {one} allocations with one subscriber, {four} with four");
    // 500 batches; the flow table grows to 32 000; each reader waits at most once per yield.
    assert!(one < 1200, "{one}");
    assert!(four < one + 3 * 500, "{one}, {four}");
}

/// A packet broadcast copies into memory that its subscribers have dropped, so nothing is allocated
/// per packet or batch; only for a reader that waits, which is once per time slice or less.
#[test]
fn packets_are_copied_into_memory_that_was_used_before() {
    let measure = |subscribers: usize, packets: usize| {
        allocations(|| async move {
            let broadcast = AsyncSource::replay(steady(packets)).broadcast(24);
            let readers: Vec<_> = (0..subscribers)
                .map(|_| {
                    let mut subscriber = broadcast.subscribe_lossless();
                    tokio::spawn(async move {
                        let mut received = 0;
                        while let Some(batch) = subscriber.next_batch().await {
                            received += batch.unwrap().len();
                        }
                        assert_eq!(received, packets);
                    })
                })
                .collect();
            for reader in readers {
                reader.await.unwrap();
            }
        })
    };
    for subscribers in [1, 4] {
        let [few, many] = [64 * 100, 64 * 10_000].map(|packets| measure(subscribers, packets));
        eprintln!(
            "{subscribers} subscribers: {few} allocations for 6400 packets, {many} for 640000"
        );
        // Each reader waits at most once for each four batches that fill the queue.
        assert!(
            many < few + subscribers as u64 * 10_000 / 4 + 100,
            "{few}, {many}"
        );
    }
}

/// Each packet starts a flow: the maximum number of events.
struct Fresh(u32, Vec<u8>);

struct One<'a>(&'a [u8]);

impl PacketBatch for One<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        std::iter::once(Packet::new(self.0, Timestamp::EPOCH, LinkType::ETHERNET))
    }
}

impl PacketSource for Fresh {
    type Batch<'a> = One<'a>;
    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(Readiness::Ready)
    }
    fn batch(&mut self) -> One<'_> {
        self.0 += 1;
        // The source address.
        self.1[26..30].copy_from_slice(&self.0.to_be_bytes());
        One(&self.1)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(u64::from(self.0)))
    }
    fn is_live(&self) -> bool {
        false
    }
}

/// Segments of one connection in order, each of 100 bytes.
fn segments(count: u32) -> Steady {
    let frames = (0..count).map(|n| tcp4(5000, 80, 1 + 100 * n, 16, &[7; 100]));
    Steady {
        frames: frames.collect(),
        at: 0,
        end: count as usize,
    }
}

async fn conversation(segments: Steady) {
    let sent = 100 * segments.end;
    let tracker = FlowTracker::new(FiveTuple::bidirectional());
    let config = ConversationConfig::new().lossless(true);
    let source = AsyncSource::replay(segments);
    let stream = source.conversations_with(tracker, Subscription::all(), &config);
    let mut stream = stream.unwrap();
    let mut half = stream.next().await.unwrap().unwrap().initiator;
    let mut read = 0;
    loop {
        match half.next_chunk().await {
            Chunk::Data { bytes, .. } => read += bytes.len(),
            Chunk::Gap { .. } => panic!("a gap"),
            Chunk::End(_) => break,
        }
    }
    assert_eq!(read, sent);
}

/// The two memories of a buffer are exchanged, and grow to what a batch has for it.
#[test]
fn no_allocation_for_a_segment_from_the_source_to_the_reader_of_a_conversation() {
    let [few, many] = [5_000, 50_000].map(|count| {
        let segments = segments(count);
        allocations(|| conversation(segments))
    });
    // The runtime's own depend on time.
    assert!(
        many <= few + 100,
        "{few} allocations for few, {many} for many"
    );
}

/// A half that was not read in time frees its buffers once it was, also if it lives on.
#[test]
fn a_reader_that_has_caught_up_holds_little_memory() {
    const SENT: usize = 2_000_000;
    let segments = segments(SENT as u32 / 100);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut kept = None;
    let measured = allocation_counter::measure(|| {
        kept = Some(runtime.block_on(async {
            let tracker = FlowTracker::new(FiveTuple::bidirectional());
            let config = ConversationConfig::new().buffer(4 << 20);
            let source = AsyncSource::replay(segments);
            let stream = source.conversations_with(tracker, Subscription::all(), &config);
            let mut stream = stream.unwrap();
            let mut half = stream.next().await.unwrap().unwrap().initiator;
            // The whole source is in the buffer.
            assert!(stream.next().await.is_none());
            let mut read = 0;
            while let Chunk::Data { bytes, .. } = half.next_chunk().await {
                read += bytes.len();
            }
            assert_eq!(read, SENT);
            half
        }));
    });
    assert!(measured.bytes_max > SENT as u64, "{measured:?}");
    assert!(measured.bytes_current < 300_000, "{measured:?}");
    drop(kept);
}
