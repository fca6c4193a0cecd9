//! The whole path, live: capture, flows, a broadcast, and four subscribers, on one thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use netring::flow::FlowEvent;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::{AsyncCapture, BroadcastRecvError, Count, FlowSubscriber};

use super::ends::NEAR;
use super::generator::{Amount, Generator, Traffic};
use super::live::{QUIET, Round, Totals, Usage, Wire};
use super::measure::{self, cpu_time, median};
use super::receive::{capture, traffic};
use super::{Options, Row, Table, Target, chain};
use crate::Result;

const SUBSCRIBERS: usize = 4;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let wire = Wire::new()?;
    let generator = Generator::new(traffic(options))?;
    let amount = Amount::Frames(if options.quick { 400_000 } else { 3_000_000 });
    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        alone.push(capture(&wire, &generator, amount)?);
        shared.push(share(&generator, traffic(options), amount)?);
    }
    let of = |rounds: &[Round], figure: &dyn Fn(&Round) -> f64| {
        median(rounds.iter().map(figure).collect())
    };
    let mut more = |what, figure: &dyn Fn(&Round) -> f64| {
        let (shared, alone) = (of(&shared, figure), of(&alone, figure));
        table.add(Row::new(what, "ns/packet", shared).peer("receive alone", alone));
        shared - alone
    };
    let user = more("flows, 4 subscribers: user time", &|round| {
        round.per_packet(round.awake)
    });
    let total = more("flows, 4 subscribers: user + system time", &|round| {
        round.per_packet(round.usage.total())
    });
    let row = Row::new(
        "flows, 4 subscribers: user time above receive",
        "ns/packet",
        user,
    );
    table.add(row.target(Target::AtMost(45.0)));
    let what = "flows, 4 subscribers: user + system above receive";
    table.add(Row::new(what, "ns/packet", total));
    let lost = of(&shared, &|round| round.totals.dropped as f64);
    let row = Row::new("flows, 4 subscribers: lost", "packets", lost);
    table.add(row.target(Target::AtMost(0.0)));
    let rate = of(&shared, &Round::rate);
    table.add(Row::new("flows, 4 subscribers: offered", "Mpps", rate));
    Ok(())
}

/// The CPU time of the runtime's thread between its waits.
#[derive(Debug, Default)]
struct Clock(Mutex<Ticks>);

#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    since: Duration,
    awake: Duration,
    waits: u64,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Ticks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn park(&self) {
        *self.lock() = self.read();
        self.lock().waits += 1;
    }

    fn unpark(&self) {
        self.lock().since = cpu_time();
    }

    /// The figures up to now, read by the running thread.
    fn read(&self) -> Ticks {
        let (mut ticks, now) = (*self.lock(), cpu_time());
        ticks.awake += now - ticks.since;
        ticks
    }
}

/// The events that a subscriber received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    started: u64,
    ended: u64,
    /// Packets of the flows that ended.
    packets: u64,
    lost: u64,
}

/// Runs a round of the whole path, and checks the totals at both ends: the packets, and what each
/// subscriber received of them.
fn share(generator: &Generator, traffic: Traffic, amount: Amount) -> Result<Round> {
    measure::pin(measure::MEASURED_CORE);
    let clock = Arc::new(Clock::default());
    let (parking, unparking) = (clock.clone(), clock.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parking.park())
        .on_thread_unpark(move || unparking.unpark())
        .build()?;
    let mut round = Round::default();
    let (figures, seen) = thread::scope(|scope| -> Result<_> {
        runtime.block_on(async {
            let source = AsyncCapture::open(NEAR)?;
            let flows = source.flow_stream(FiveTuple::bidirectional());
            let broadcast = flows.broadcast(1024);
            let subscribe = |_| tokio::spawn(watch(broadcast.subscribe()));
            let subscribers: Vec<_> = (0..SUBSCRIBERS).map(subscribe).collect();

            clock.unpark();
            let (usage, before) = (Usage::of_this_thread()?, clock.read());
            let sending = || generator.send(amount).map_err(|why| chain(why.as_ref()));
            let sending = scope.spawn(sending);
            while !sending.is_finished() {
                tokio::time::sleep(QUIET).await;
            }
            round.sent = sending.join().map_err(|_| "the generator panicked")??;
            tokio::time::sleep(QUIET).await;
            round.usage = Usage::of_this_thread()?.since(usage);
            let after = clock.read();
            round.awake = after.awake - before.awake;
            round.waits = after.waits - before.waits;

            let figures = broadcast.stats().await?;
            drop(broadcast);
            let mut seen = Vec::new();
            for subscriber in subscribers {
                seen.push(subscriber.await??);
            }
            Ok((figures, seen))
        })
    })?;
    let exact = |count: Count| count.exact().ok_or("a count of ours is not exact");
    round.totals = Totals {
        delivered: exact(figures.capture.delivered)?,
        dropped: exact(figures.capture.dropped)?,
        invalid: exact(figures.capture.invalid)?,
    };
    round.balance("netring, with flows")?;
    let expected = Seen {
        started: u64::from(traffic.flows),
        ended: u64::from(traffic.flows),
        packets: round.totals.delivered,
        lost: 0,
    };
    if seen.iter().any(|seen| *seen != expected) {
        return Err(format!("the subscribers received {seen:?} instead of {expected:?}").into());
    }
    Ok(round)
}

async fn watch(
    mut events: FlowSubscriber<FiveTupleKey>,
) -> std::result::Result<Seen, BroadcastRecvError> {
    let mut seen = Seen::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => match &*event {
                FlowEvent::Started { .. } => seen.started += 1,
                FlowEvent::Ended { stats, .. } => {
                    seen.ended += 1;
                    seen.packets += stats.packets();
                }
                _ => {}
            },
            Err(BroadcastRecvError::Lagged(lost)) => seen.lost += lost,
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}
