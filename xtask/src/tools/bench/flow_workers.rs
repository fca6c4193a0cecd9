//! Flows of two workers in one broadcast next to one, with an extractor that needs the processor.
//!
//! Load and window are those of the bench `fanout`: a packet costs its extractor 5 µs, and a tenth
//! more is offered than two such workers could take. Each worker is a task of a runtime with a
//! pinned thread for each; one lossless subscriber reads all events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
use super::measure::{self, cpu_time, median};
use super::receive::traffic;
use super::{Options, Row, Table, Target, chain};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    let generator = Generator::new(traffic(options))?;
    let consumer = Consumer::calibrate();
    let window = Duration::from_millis(if options.quick { 600 } else { 2500 });
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        one.push(round(&generator, consumer, 1, window)?);
        two.push(round(&generator, consumer, 2, window)?);
    }
    let of =
        |rounds: &[Round], figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let (alone, both) = (of(&one, |round| round.wall), of(&two, |round| round.wall));
    let row = Row::new("flows: two workers", "ns/packet", both).peer("one worker", alone);
    table.add(row.target(Target::OfPeer(1.0 / 1.7)));
    let (alone_cpu, both_cpu) = (of(&one, |round| round.cost), of(&two, |round| round.cost));
    let row = Row::new("flows: two workers, processor time", "ns/packet", both_cpu);
    table.add(row.peer("one worker", alone_cpu));
    table.note(format!(
        "flows: two workers track {:.2} times as much as one; the generator takes {:.0} % of the processor of the second",
        alone / both,
        100.0 * of(&two, |round| round.generator)
    ));
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Round {
    /// Nanoseconds of the window for each packet delivered in it.
    wall: f64,
    /// Nanoseconds of processor time of the runtime's threads for each packet.
    cost: f64,
    /// The part of a processor that the generator took.
    generator: f64,
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
    // Its threads end, and say what they took.
    drop(runtime);
    let packets = |stats: &Stats| stats.delivered.exact().ok_or("a count is not exact");
    let delivered = packets(&after?)? - packets(&before?)?;
    let all: u64 = stats.iter().map(|worker| worker.tracker.packets).sum();
    Ok(Round {
        wall: time.as_nanos() as f64 / delivered as f64,
        // Relaxed: dropping the runtime has joined its threads.
        cost: spent.load(Ordering::Relaxed) as f64 / all as f64,
        generator: sent.cpu.as_secs_f64() / sent.time.as_secs_f64(),
    })
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
