//! Conversations next to a plain `tokio::io::duplex`: segments of random connections, each read by
//! a task, on one thread with the task that feeds them.
//!
//! The peer is given the payload of the same segments, so it neither parses nor tracks nor
//! reassembles anything: its cost is the minimum for passing bytes from task to task. Ours has one
//! row with the defaults, where the source never waits, and one in which it waits for its readers,
//! as the peer does.

use std::hint::black_box;
use std::time::Duration;

use futures::StreamExt;
use netring_async::{AsyncSource, Chunk, ConversationConfig, ConversationHalf};
use netring_flow::extract::FiveTuple;
use netring_flow::reassembly::Subscription;
use netring_flow::{FlowTracker, TrackerConfig};
use netring_sys::{PacketBatch, PacketSource, Readiness};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};

use super::sessions::{Frames, HEADERS};
use super::{Options, Row, Table, measure};
use crate::Result;

/// Bytes of a segment.
const SEGMENT: usize = 1460;
/// Bytes that wait for a reader.
const BUFFER: usize = 1 << 20;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let time = Duration::from_millis(if options.quick { 20 } else { 100 });
    for count in [1, 1000] {
        let ours = |lossless| {
            move || {
                let runtime = Builder::new_current_thread().enable_time().build()?;
                runtime.block_on(converse(count, time, lossless))
            }
        };
        let [cost, waiting, peer] = measure::in_turn(
            options,
            [&mut ours(false), &mut ours(true), &mut || {
                let runtime = Builder::new_current_thread().build()?;
                runtime.block_on(pipe(count, time))
            }],
        )?;
        let what = format!("conversations, {count} of segments of {SEGMENT} bytes");
        for (name, cost) in [(what.clone(), cost), (what + ", lossless", waiting)] {
            table.add(Row::new(name, "ns/segment", cost).peer("tokio's duplex", peer));
        }
    }
    Ok(())
}

/// Nanoseconds of this thread for each segment that was read.
async fn converse(count: u32, time: Duration, lossless: bool) -> Result<f64> {
    let mut frames = Frames::new(count, SEGMENT);
    frames.end_after(time);
    let start = measure::cpu_time();
    let config = TrackerConfig::new().max_flows(2 * count as usize);
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    let config = ConversationConfig::new().buffer(BUFFER).lossless(lossless);
    let source = AsyncSource::replay(frames);
    let mut stream = source.conversations_with(tracker, Subscription::all(), &config)?;
    let mut readers = Vec::new();
    while let Some(conversation) = stream.next().await {
        readers.push(tokio::spawn(read(conversation?.initiator)));
    }
    let read = sum(readers).await?;
    let cost = measure::cpu_time() - start;
    let stats = stream.stats().await?;
    if read + stats.overrun != stats.reassembly.received || stats.refused != 0 {
        return Err(format!("{read} bytes read, {stats:?}").into());
    }
    if stats.overrun > read / 100 {
        return Err(format!(
            "{} of {read} bytes lost: nothing is compared",
            stats.overrun
        )
        .into());
    }
    Ok(cost.as_nanos() as f64 / (read / SEGMENT as u64) as f64)
}

async fn read(mut half: ConversationHalf) -> u64 {
    let mut read = 0;
    loop {
        match half.next_chunk().await {
            Chunk::Data { bytes, .. } => read += black_box(bytes).len() as u64,
            Chunk::Gap { .. } => {}
            Chunk::End(_) => return read,
        }
    }
}

/// The same segments, each written into the pipe of its connection.
async fn pipe(count: u32, time: Duration) -> Result<f64> {
    let mut frames = Frames::new(count, SEGMENT);
    frames.end_after(time);
    let start = measure::cpu_time();
    let (mut pipes, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (near, far) = tokio::io::duplex(BUFFER);
        pipes.push(near);
        readers.push(tokio::spawn(read_pipe(far)));
    }
    let mut written = 0;
    while frames.ready()? == Readiness::Ready {
        for packet in PacketSource::batch(&mut frames).packets() {
            let payload = &packet.data()[HEADERS..];
            let pipe = &mut pipes[Frames::flow(packet.data())];
            pipe.write_all(payload).await?;
            written += payload.len() as u64;
        }
        yield_now().await;
    }
    drop(pipes);
    let read = sum(readers).await?;
    let cost = measure::cpu_time() - start;
    if read != written {
        return Err(format!("{read} bytes read of {written}").into());
    }
    Ok(cost.as_nanos() as f64 / (read / SEGMENT as u64) as f64)
}

async fn read_pipe(mut pipe: DuplexStream) -> u64 {
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    // It fails only if the writer does.
    while let Ok(more @ 1..) = pipe.read(&mut buffer).await {
        black_box(&buffer[..more]);
        read += more as u64;
    }
    read
}

async fn sum(readers: Vec<JoinHandle<u64>>) -> Result<u64> {
    let mut sum = 0;
    for reader in readers {
        sum += reader.await?;
    }
    Ok(sum)
}
