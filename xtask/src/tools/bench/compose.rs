//! Everything composed, for the requested time: a capture, a tee into rotated files, flows, and a
//! broadcast with three kinds of subscribers. Does nothing without `--soak`.
//!
//! It fails unless every packet is in a file and in a flow, every event reached each subscriber or
//! was reported to it as lost, and the memory of the process stayed what it was.

mod books;
mod reader;

use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring::adapters::Tee;
use netring::pcap::RotatingWriter;
use netring_afpacket::Capture;
use netring_async::{AsyncSource, FlowBroadcast, FlowStream};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowTracker, Timeouts, TrackerConfig};
use tokio::runtime::Builder;
use tokio::time::sleep;

use super::ends::NEAR;
use super::files::Folder;
use super::generator::{Amount, Generator, Sent, Traffic};
use super::live::Wire;
use super::receive::resident;
use super::{Options, Table, chain, measure};
use crate::Result;
use books::{Books, Files, KEEP};
use reader::{Read, read};

/// Nanoseconds between two frames, without `--rate`: 500,000 a second.
const GAP: u32 = 2000;

/// Flows of the generator: each has a frame every 131 ms on average at that rate.
const FLOWS: u32 = 1 << 16;

/// A flow that is silent for this long ends: of a flow's gaps one in seven is longer, so flows
/// start and end all the time.
const SILENCE: Duration = Duration::from_millis(250);

/// Bytes of a file, of which a few are kept.
const FILE: u64 = 16 << 20;

/// Batches in the queue of the broadcast.
const QUEUE: usize = 256;

/// How long the slow subscriber pauses after each batch.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the last packets may take after the generator has ended.
const LAST: Duration = Duration::from_secs(60);

type Source = Tee<Capture, RotatingWriter>;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let Some(time) = options.soak else {
        return Ok(());
    };
    let _wire = Wire::new()?;
    let folder = Folder::new()?;
    let generator = Generator::new(Traffic {
        frame: 64,
        flows: FLOWS,
        gap: if options.gap == 0 { GAP } else { options.gap },
    })?;
    table.note(generator.about());
    measure::pin(measure::MEASURED_CORE);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Before the generator starts: the capture must see all frames.
    let mut soak = runtime.block_on(Soak::start(&folder))?;
    let sent = thread::scope(|scope| -> Result<Sent> {
        let sending = || generator.send(Amount::Time(time));
        let sending = scope.spawn(move || sending().map_err(|why| chain(why.as_ref())));
        runtime.block_on(soak.watch(time, || sending.is_finished()))?;
        let sent = sending.join().map_err(|_| "the generator panicked")?;
        Ok(sent?)
    })?;
    let books = runtime.block_on(async {
        soak.settle(sent).await?;
        soak.end(sent).await
    })?;
    books.check(&folder)?;
    books.report(table);
    Ok(())
}

/// The running parts.
struct Soak {
    broadcast: FlowBroadcast<FiveTupleKey>,
    readers: Vec<(&'static str, tokio::task::JoinHandle<reader::End>)>,
    files: Files,
    memory: [u64; 2],
}

impl Soak {
    async fn start(folder: &Folder) -> Result<Self> {
        let files = Files::default();
        let (pattern, record) = (folder.file("soak-{}.pcapng"), files.clone());
        let writer = RotatingWriter::builder(pattern.to_string_lossy())
            .max_bytes(FILE)
            .keep(KEEP)
            .on_finished(move |file| record.add(file))
            .create()?;
        let timeouts = Timeouts::default().udp(SILENCE);
        let config = TrackerConfig::new().timeouts(timeouts);
        let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
        let source = AsyncSource::new(Tee::new(Capture::open(NEAR)?, writer))?;
        let broadcast = source.flow_stream_with(tracker).broadcast(QUEUE);
        let fast = tokio::spawn(read(broadcast.subscribe(), Duration::ZERO));
        let slow = tokio::spawn(read(broadcast.subscribe(), PAUSE));
        let lossless = tokio::spawn(read(broadcast.subscribe_lossless(), Duration::ZERO));
        Ok(Self {
            broadcast,
            readers: vec![("fast", fast), ("slow", slow), ("lossless", lossless)],
            files,
            memory: [0; 2],
        })
    }

    /// Watches the memory until the generator is done.
    async fn watch(&mut self, time: Duration, over: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        let mut first = None;
        while !over() {
            sleep(Duration::from_millis(20)).await;
            // Until then tables, queues and buffers have their sizes.
            if first.is_none() && start.elapsed() >= time / 4 {
                first = Some(resident()?);
            }
        }
        let last = resident()?;
        self.memory = [first.unwrap_or(last), last];
        Ok(())
    }

    /// Waits until nothing is in the ring.
    async fn settle(&mut self, sent: Sent) -> Result<()> {
        let start = Instant::now();
        loop {
            let stats = self.broadcast.stats().await?;
            if stats.capture.offered.exact() == Some(sent.frames)
                && stats.capture.pending() == Some(0)
            {
                return Ok(());
            }
            if start.elapsed() > LAST {
                return Err(
                    format!("{} sent, but the capture reports {stats}", sent.frames).into(),
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops all parts, and collects the figures of each.
    async fn end(self, sent: Sent) -> Result<Books> {
        let published = self.broadcast.published();
        let stream = self.broadcast.into_flow_stream::<Source, FiveTuple>();
        let mut stream = stream.await.map_err(|_| "the broadcast has ended before")?;
        let mut readers = Vec::new();
        for (name, task) in self.readers {
            readers.push((name, task.await??));
        }
        let drained = drain(&mut stream).await?;
        let tracker = stream.tracker_stats();
        let (source, ..) = stream.into_parts();
        let mut tee = source.into_inner();
        let capture = netring_sys::PacketSource::stats(&mut tee)?;
        let (written, missed) = (tee.written(), tee.missed());
        let (_, writer) = tee.finish()?;
        let (taken, unwritten) = (writer.packets(), writer.unwritten());
        writer.finish()?;
        Ok(Books {
            sent,
            capture,
            written,
            missed,
            taken,
            unwritten,
            files: self.files,
            tracker,
            readers,
            drained,
            waits: published.waits,
            memory: self.memory,
        })
    }
}

/// Ends the flows that remain.
async fn drain(stream: &mut FlowStream<Source, FiveTuple>) -> Result<Read> {
    let mut drained = Read::default();
    stream.stop();
    while let Some(event) = stream.next().await {
        drained.take(&event?);
    }
    Ok(drained)
}
