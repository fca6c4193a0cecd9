//! Packets of one source for several subscribers: shared copies in batches, compared with a copy
//! of each packet through `tokio::sync::broadcast`.
//!
//! Everything runs on one thread. Ours are lossless subscribers, for which the source waits; the
//! peer's publisher gives its subscribers a turn before its queue is full.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netring_async::AsyncSource;
use netring_sys::{
    Error, LinkType, Packet, PacketBatch, PacketBuf, PacketSource, Readiness, Stats, Timestamp,
};
use tokio::runtime::Builder;
use tokio::sync::broadcast;
use tokio::task::{unconstrained, yield_now};

use super::{Options, Row, Table, measure};
use crate::Result;

/// Packets in a batch of the source.
const LENT: usize = 1024;
/// Packets that a queue holds.
const QUEUE: usize = 16 * LENT;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let time = Duration::from_millis(if options.quick { 20 } else { 100 });
    for (subscribers, len) in [(1, 64), (4, 64), (4, 1500), (64, 64)] {
        let [ours, tokio] = measure::in_turn(
            options,
            [
                &mut || run_on_one_thread(shared(time, subscribers, len)),
                &mut || run_on_one_thread(copied(time, subscribers, len)),
            ],
        )?;
        let what = format!("packet broadcast, {subscribers} subscribers, {len} bytes");
        table.add(Row::new(what, "ns/packet", ours).peer("tokio, Arc<PacketBuf>", tokio));
    }
    Ok(())
}

fn run_on_one_thread(work: impl Future<Output = Result<f64>>) -> Result<f64> {
    Builder::new_current_thread().build()?.block_on(work)
}

/// Nanoseconds for each packet that reached all subscribers of ours.
async fn shared(time: Duration, subscribers: usize, len: usize) -> Result<f64> {
    let start = Instant::now();
    let source = Frames::new(len, start + time);
    let broadcast = AsyncSource::replay(source).broadcast(QUEUE / 64);
    let readers: Vec<_> = (0..subscribers)
        .map(|_| {
            let mut packets = broadcast.subscribe_lossless();
            tokio::spawn(unconstrained(async move {
                let mut received = 0;
                while let Some(Ok(batch)) = packets.next_batch().await {
                    for packet in batch.packets() {
                        black_box(packet.data()[20]);
                    }
                    received += batch.len() as u64;
                }
                received
            }))
        })
        .collect();
    check(readers, || broadcast.published().events, start).await
}

/// Nanoseconds for each packet that reached all subscribers of the peer.
async fn copied(time: Duration, subscribers: usize, len: usize) -> Result<f64> {
    let start = Instant::now();
    let mut source = Frames::new(len, start + time);
    let sender = broadcast::channel::<Arc<PacketBuf>>(QUEUE).0;
    let readers: Vec<_> = (0..subscribers)
        .map(|_| {
            let mut packets = sender.subscribe();
            tokio::spawn(unconstrained(async move {
                let mut received = 0;
                while let Ok(packet) = packets.recv().await {
                    black_box(packet.data()[20]);
                    received += 1;
                }
                received
            }))
        })
        .collect();
    let mut published = 0;
    yield_now().await;
    while matches!(source.ready()?, Readiness::Ready) {
        for packet in source.batch().packets() {
            // This fails without a subscriber, and there is one.
            let _ = sender.send(Arc::new(packet.to_buf()));
            published += 1;
        }
        yield_now().await;
    }
    drop(sender);
    check(readers, || published, start).await
}

/// Checks that every subscriber received every packet.
async fn check(
    readers: Vec<tokio::task::JoinHandle<u64>>,
    published: impl Fn() -> u64,
    start: Instant,
) -> Result<f64> {
    for reader in readers {
        let received = reader.await?;
        if received != published() {
            return Err(format!("{} packets published, {received} received", published()).into());
        }
    }
    Ok(start.elapsed().as_nanos() as f64 / published() as f64)
}

/// Lends the same frame until a time.
struct Frames {
    frame: Vec<u8>,
    end: Instant,
    lent: u64,
}

struct Batch<'a>(&'a [u8]);

impl Frames {
    fn new(len: usize, end: Instant) -> Self {
        let frame = vec![7; len];
        Self {
            frame,
            end,
            lent: 0,
        }
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packet = Packet::new(self.0, Timestamp::EPOCH, LinkType::ETHERNET);
        std::iter::repeat_n(packet, LENT)
    }
}

impl PacketSource for Frames {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> std::result::Result<Readiness, Error> {
        Ok(match Instant::now() < self.end {
            true => Readiness::Ready,
            false => Readiness::Ended,
        })
    }

    fn batch(&mut self) -> Batch<'_> {
        self.lent += LENT as u64;
        Batch(&self.frame)
    }

    fn stats(&mut self) -> std::result::Result<Stats, Error> {
        Ok(Stats::counted(self.lent))
    }

    fn is_live(&self) -> bool {
        false
    }
}
