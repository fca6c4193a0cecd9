//! Fanout: the throughput of two workers next to one, with a consumer that needs the processor.
//!
//! The consumer computes for a fixed number of rounds per packet, 5 µs on an idle processor. The
//! load is offered at a fixed rate, a tenth more than two such workers could take, so all are
//! saturated, and their throughput within the same window is compared. On two processors the
//! generator shares one with the second worker, and the note says how much it takes, so a factor of
//! 2 is out of reach there. The generator sends in bursts, because between single frames it would
//! wait actively.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Fanout, FanoutGroup, FanoutHandle};
use netring_sys::{Count, PacketBatch, PacketSource, Stats};

use super::ends::NEAR;
use super::generator::{Amount, Generator};
use super::live::{QUIET, Usage, Wire};
use super::measure::{self, cpu_time, median};
use super::receive::traffic;
use super::{Options, Row, Table, Target, chain};
use crate::Result;

/// The cost of a packet for its consumer.
const COST: Duration = Duration::from_micros(5);
/// Time from one burst to the next.
const PERIOD: Duration = Duration::from_millis(50);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    compare("fanout", 1.6, options, table, round)
}

/// Adds rows for the throughput of two workers next to one, which should be at least `factor` times
/// as high. `round` offers the load for a window to this many workers.
pub(super) fn compare(
    name: &str,
    factor: f64,
    options: &Options,
    table: &mut Table,
    round: impl Fn(&Generator, Consumer, usize, Duration) -> Result<Round>,
) -> Result<()> {
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
    let spread = |rounds: &[Round]| {
        let figures = rounds.iter().map(|round| round.wall);
        let most = figures.clone().fold(0.0, f64::max);
        (figures.fold(f64::INFINITY, f64::min), most)
    };
    let (alone, both) = (of(&one, |round| round.wall), of(&two, |round| round.wall));
    let row = Row::new(format!("{name}: two workers"), "ns/packet", both).peer("one worker", alone);
    let row = row.spread(spread(&two)).peers_spread(spread(&one));
    table.add(row.target(Target::OfPeer(1.0 / factor)));
    let (alone_cpu, both_cpu) = (of(&one, |round| round.cost), of(&two, |round| round.cost));
    let row = Row::new(
        format!("{name}: two workers, processor time"),
        "ns/packet",
        both_cpu,
    );
    table.add(row.peer("one worker", alone_cpu));
    let rate = of(&two, |round| round.rate);
    table.add(Row::new(format!("{name}: offered"), "Mpps", rate));
    let share = of(&two, |round| round.generator);
    table.note(format!(
        "{name}: two workers deliver {:.2} times as much as one; the generator takes {:.0} % of the processor of the second",
        alone / both,
        100.0 * share
    ));
    Ok(())
}

/// The results of a number of workers within a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Nanoseconds of the window for each packet delivered in it.
    wall: f64,
    /// Nanoseconds of processor time of all workers for each packet.
    cost: f64,
    /// Millions of packets offered per second.
    rate: f64,
    /// The part of a processor that the generator took.
    generator: f64,
}

/// The results while the load was offered.
pub(super) struct Load {
    sent: Offered,
    /// Packets delivered within the window.
    delivered: u64,
    window: Duration,
}

impl Load {
    /// Offers the load, and measures a window in which all workers are saturated. Returns once
    /// nothing more arrives; `stop` is called before anything can fail.
    pub(super) fn offer(
        generator: &Generator,
        handle: &FanoutHandle,
        window: Duration,
        stop: impl FnOnce(),
    ) -> Result<Self> {
        let (sent, before, after, window) = thread::scope(|scope| {
            let sending =
                scope.spawn(|| send(generator, 2 * window).map_err(|why| chain(why.as_ref())));
            // Until all are saturated.
            thread::sleep(window / 2);
            let (before, start) = (handle.stats(), Instant::now());
            thread::sleep(window);
            let (after, time) = (handle.stats(), start.elapsed());
            (sending.join(), before, after, time)
        });
        thread::sleep(QUIET);
        stop();
        Ok(Self {
            sent: sent.map_err(|_| "the generator panicked")??,
            delivered: delivered(&after?)? - delivered(&before?)?,
            window,
        })
    }

    /// The figures, if the statistics at the end account for every packet. All workers together
    /// took this much processor time for `packets`.
    pub(super) fn round(&self, end: &Stats, cpu: Duration, packets: u64) -> Result<Round> {
        balance(end, self.sent.frames)?;
        Ok(Round {
            wall: self.window.as_nanos() as f64 / self.delivered as f64,
            cost: cpu.as_nanos() as f64 / packets as f64,
            rate: self.sent.frames as f64 / self.sent.time.as_micros() as f64,
            generator: self.sent.cpu.as_secs_f64() / self.sent.time.as_secs_f64(),
        })
    }
}

fn delivered(stats: &Stats) -> Result<u64> {
    Ok(stats.delivered.exact().ok_or("a count is not exact")?)
}

/// Work that needs the processor and no memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer {
    rounds: u32,
}

impl Consumer {
    /// As many rounds as take [`COST`] here.
    fn calibrate() -> Self {
        measure::pin(measure::MEASURED_CORE);
        let trial = Self { rounds: 200_000 };
        let times = (0..21).map(|n| {
            let start = cpu_time();
            trial.consume(n);
            (cpu_time() - start).as_nanos() as f64 / f64::from(trial.rounds)
        });
        let round = median(times.collect());
        let rounds = COST.as_nanos() as f64 / round;
        Self {
            rounds: rounds as u32,
        }
    }

    pub(super) fn consume(self, seed: u64) {
        let mut word = seed | 1;
        for _ in 0..self.rounds {
            // Each round needs the one before.
            word = black_box(word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(7);
        }
        black_box(word);
    }
}

/// Offers the load for a window to this many workers, and checks that every packet is accounted
/// for.
fn round(
    generator: &Generator,
    consumer: Consumer,
    workers: usize,
    window: Duration,
) -> Result<Round> {
    let builder = Capture::builder().interface(NEAR);
    let group = FanoutGroup::open(builder, Fanout::default().workers(workers))?;
    let handle = group.handle();
    thread::scope(|scope| {
        let reading: Vec<_> = group
            .into_workers()
            .into_iter()
            .enumerate()
            // The first has a core for itself.
            .map(|(n, worker)| scope.spawn(move || read(worker, consumer, (n + 1) % 2)))
            .collect();
        // The scope waits for the workers, so they are stopped before anything can fail.
        let load = Load::offer(generator, &handle, window, || handle.stop())?;
        let mut cpu = Duration::ZERO;
        for reading in reading {
            cpu += reading.join().map_err(|_| "a worker panicked")??;
        }
        let end = handle.stats()?;
        load.round(&end, cpu, delivered(&end)?)
    })
}

/// Reads until it is stopped. Returns the processor time that it took.
fn read(
    mut worker: Capture,
    consumer: Consumer,
    core: usize,
) -> std::result::Result<Duration, netring_sys::Error> {
    measure::pin(core);
    let before = cpu_time();
    while let Some(batch) = worker.next_batch()? {
        for packet in batch.packets() {
            consumer.consume(u64::from(packet.wire_len()));
        }
    }
    Ok(cpu_time() - before)
}

#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    frames: u64,
    time: Duration,
    cpu: Duration,
}

/// Sends bursts for this long.
fn send(generator: &Generator, window: Duration) -> Result<Offered> {
    let rate = 1.1 * 2.0 / COST.as_secs_f64();
    let burst = (rate * PERIOD.as_secs_f64()) as u32;
    let (start, before) = (Instant::now(), Usage::of_this_thread()?);
    let mut offered = Offered::default();
    let mut due = start;
    while start.elapsed() < window {
        offered.frames += generator.send(Amount::Frames(burst))?.frames;
        due += PERIOD;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    offered.time = start.elapsed();
    offered.cpu = Usage::of_this_thread()?.since(before).total();
    Ok(offered)
}

/// Checks that every packet sent is delivered, lost and counted, or left in a ring.
fn balance(stats: &Stats, sent: u64) -> Result<()> {
    if stats.offered == Count::Exact(sent) && stats.pending().is_some() {
        return Ok(());
    }
    Err(format!("{sent} packets were sent, but the group reports {stats}").into())
}
