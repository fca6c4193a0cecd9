//! Flows of two workers in one broadcast next to one, with an extractor that needs the processor.
//!
//! Load and window are those of the bench `fanout`: a packet costs its extractor 5 µs, and a tenth
//! more is offered than two such workers could take. Each worker is a task of a runtime with a
//! pinned thread for each; one lossless subscriber reads all events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use netring_afpacket::{Capture, Fanout, FanoutGroup};
use netring_async::{AsyncSource, FlowWorkers};
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_sys::{Packet, Stats};
use tokio::runtime::{Builder, Runtime};

use super::ends::NEAR;
use super::fanout::{Consumer, Load, Round, compare};
use super::generator::Generator;
use super::measure::{self, cpu_time};
use super::{Options, Table};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    compare("flows", 1.7, options, table, round)
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

/// Offers the load for a window to this many workers, and checks that every packet and event is
/// accounted for.
fn round(
    generator: &Generator,
    consumer: Consumer,
    workers: usize,
    window: Duration,
) -> Result<Round> {
    let builder = Capture::builder().interface(NEAR);
    let group = FanoutGroup::open(builder, Fanout::default().workers(workers))?;
    let handle = group.handle();
    let spent = Arc::<AtomicU64>::default();
    let runtime = runtime(workers, &spent)?;
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
    let load = Load::offer(generator, &handle, window, || {})?;
    let stats = runtime.block_on(flows.shutdown())?;
    let (received, published) = (runtime.block_on(reading)?, flows.published().events);
    if received != published {
        return Err(format!("{published} events published, {received} received").into());
    }
    // Its threads end, and report their processor time.
    drop(runtime);
    // Relaxed: dropping the runtime has joined its threads.
    let cpu = Duration::from_nanos(spent.load(Ordering::Relaxed));
    let captures = stats.iter().map(|worker| worker.capture);
    let end = captures.fold(Stats::counted(0), |sum, one| sum + one);
    let packets = stats.iter().map(|worker| worker.tracker.packets).sum();
    load.round(&end, cpu, packets)
}

/// A thread for each worker; the first has a core for itself.
fn runtime(workers: usize, spent: &Arc<AtomicU64>) -> Result<Runtime> {
    let (started, spent) = (AtomicUsize::new(1), spent.clone());
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        // Relaxed: a number that publishes nothing.
        .on_thread_start(move || measure::pin(started.fetch_add(1, Ordering::Relaxed) % 2))
        // Relaxed: read when the threads are joined.
        .on_thread_stop(move || {
            spent.fetch_add(cpu_time().as_nanos() as u64, Ordering::Relaxed);
        })
        .build()?;
    Ok(runtime)
}
