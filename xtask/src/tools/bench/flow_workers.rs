//! Flows of two workers in one broadcast next to one, with an extractor that needs the processor.
//!
//! Load and window are those of the bench `fanout`: a packet costs its extractor 5 µs, and a tenth
//! more is offered than two such workers could take. Each worker is a task of a runtime with a
//! pinned thread for each; one lossless subscriber reads all events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Fanout, FanoutGroup};
use netring_async::{AsyncSource, FlowWorkers};
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_sys::{Packet, Stats};
use tokio::runtime::{Builder, Runtime};

use super::ends::NEAR;
use super::fanout::{Consumer, balance, send};
use super::generator::Generator;
use super::live::{QUIET, Wire};
use super::measure::{self, median};
use super::receive::traffic;
use super::{Options, Row, Table, Target, chain};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    let generator = Generator::new(traffic(options))?;
    let consumer = Consumer::calibrate();
    let window = Duration::from_millis(if options.quick { 600 } else { 2500 });
    let (mut one, mut two, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        one.push(round(&generator, consumer, 1, window)?.0);
        let (wall, generating) = round(&generator, consumer, 2, window)?;
        two.push(wall);
        share.push(generating);
    }
    let (alone, both) = (median(one), median(two));
    let row = Row::new("flows: two workers", "ns/packet", both).peer("one worker", alone);
    table.add(row.target(Target::OfPeer(1.0 / 1.7)));
    table.note(format!(
        "flows: two workers track {:.2} times as much as one; the generator takes {:.0} % of the processor of the second",
        alone / both,
        100.0 * median(share)
    ));
    Ok(())
}

/// An extractor that takes its time.
struct Costly(Consumer);

impl Extract for Costly {
    type Key = FiveTupleKey;

    fn extract(&self, packet: &Packet<'_>) -> std::result::Result<Extracted<FiveTupleKey>, Skip> {
        self.0.consume(u64::from(packet.wire_len()));
        FiveTuple::bidirectional().extract(packet)
    }
}

/// Nanoseconds of the window for each packet delivered in it, and the part of a processor that the
/// generator took.
fn round(
    generator: &Generator,
    consumer: Consumer,
    workers: usize,
    window: Duration,
) -> Result<(f64, f64)> {
    let builder = Capture::builder().interface(NEAR);
    let group = FanoutGroup::open(builder, Fanout::default().workers(workers))?;
    let handle = group.handle();
    let runtime = runtime(workers)?;
    let flows = runtime.block_on(async {
        let mut streams = Vec::new();
        for worker in group.into_workers() {
            streams.push(AsyncSource::new(worker)?.flow_stream(Costly(consumer)));
        }
        Result::Ok(FlowWorkers::spawn(streams, 64))
    })?;
    let mut events = flows.subscribe_lossless();
    let reading = runtime.spawn(async move {
        let mut received = 0;
        while let Some(batch) = events.next_batch().await {
            received += batch.map_or(0, |batch| batch.len() as u64);
        }
        received
    });
    let (sent, before, after, time) = thread::scope(|scope| {
        let sending =
            scope.spawn(|| send(generator, 2 * window).map_err(|why| chain(why.as_ref())));
        // Until all are saturated.
        thread::sleep(window / 2);
        let (before, start) = (handle.stats(), Instant::now());
        thread::sleep(window);
        let (after, time) = (handle.stats(), start.elapsed());
        (sending.join(), before, after, time)
    });
    let sent = sent.map_err(|_| "the generator panicked")??;
    thread::sleep(QUIET);
    let stats = runtime.block_on(flows.shutdown())?;
    balance(
        &stats
            .iter()
            .map(|worker| worker.capture)
            .fold(Stats::counted(0), |sum, one| sum + one),
        sent.frames,
    )?;
    let (received, published) = (runtime.block_on(reading)?, flows.published().events);
    if received != published {
        return Err(format!("{published} events published, {received} received").into());
    }
    let packets = |stats: &Stats| stats.delivered.exact().ok_or("a count is not exact");
    let delivered = packets(&after?)? - packets(&before?)?;
    let generating = sent.cpu.as_secs_f64() / sent.time.as_secs_f64();
    Ok((time.as_nanos() as f64 / delivered as f64, generating))
}

/// A thread for each worker; the first has a core for itself.
fn runtime(workers: usize) -> Result<Runtime> {
    let started = AtomicUsize::new(1);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        // Relaxed: a number that publishes nothing.
        .on_thread_start(move || measure::pin(started.fetch_add(1, Ordering::Relaxed) % 2))
        .build()?;
    Ok(runtime)
}
