//! One publisher and many subscribers: batches of events, compared with single events through
//! `tokio::sync::broadcast`.
//!
//! Both queues hold the same number of events. The publisher never runs so far ahead that one is
//! lost, so both do the same work: every subscriber reads every event. A separate check covers the
//! exact count of lost events.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring_async::internal::Broadcast;
use netring_async::{BroadcastRecvError, Subscriber};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, unconstrained, yield_now};

use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// An event as large as a flow's.
#[derive(Clone, Copy)]
struct Event([u64; 12]);

/// Events in a batch of ours.
const BATCH: usize = 64;
/// Events that a queue holds.
const QUEUE: usize = 512 * BATCH;
/// Events published before the subscribers get their turn, and the most that a subscriber is
/// behind.
const AHEAD: u64 = 64 * BATCH as u64;

/// How events reach a subscriber.
#[derive(Clone, Copy)]
enum Form {
    /// Ours, batch by batch.
    Batches,
    /// Ours, one by one.
    Events,
    /// Ours, batch by batch, to subscribers that the publisher would wait for.
    Lossless,
    /// Ours, one by one, of which a filter wants one in 16.
    Filtered,
    /// `tokio::sync::broadcast` of an `Arc` for each event.
    Tokio,
}

/// Where the subscribers run.
#[derive(Clone, Copy, PartialEq)]
enum Threads {
    One,
    Two,
}

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    losses_are_told_exactly()?;
    for (threads, name) in [(Threads::One, "one thread"), (Threads::Two, "two threads")] {
        for subscribers in [1, 2, 4, 8, 64] {
            let cost = |form| move || cost(options, threads, subscribers, form);
            let [batches, events, lossless, filtered, tokio] = measure::in_turn(
                options,
                [
                    &mut cost(Form::Batches),
                    &mut cost(Form::Events),
                    &mut cost(Form::Lossless),
                    &mut cost(Form::Filtered),
                    &mut cost(Form::Tokio),
                ],
            )?;
            let what = |form| format!("broadcast, {name}, {subscribers} subscribers, {form}");
            let peer = "tokio, Arc<event>";
            let mut row = Row::new(what("by batch"), "ns/event", batches).peer(peer, tokio);
            if subscribers == 4 {
                row = row.target(Target::OfPeer(0.25));
            }
            table.add(row);
            table.add(Row::new(what("by event"), "ns/event", events).peer(peer, tokio));
            if [4, 64].contains(&subscribers) {
                let row = Row::new(what("lossless by batch"), "ns/event", lossless);
                table.add(row.peer(peer, tokio));
                let row = Row::new(what("one event in 16"), "ns/event", filtered);
                table.add(row.peer(peer, tokio));
            }
        }
    }
    Ok(())
}

/// Nanoseconds for each event that reached all subscribers.
fn cost(options: &Options, threads: Threads, subscribers: usize, form: Form) -> Result<f64> {
    let time = Duration::from_millis(if options.quick { 20 } else { 100 });
    let runtime = runtime()?;
    match threads {
        Threads::One => runtime.block_on(one_thread(time, subscribers, form)),
        Threads::Two => two_threads(&runtime, time, subscribers, form),
    }
}

/// Publisher and subscribers are tasks of one runtime, and take turns.
async fn one_thread(time: Duration, subscribers: usize, form: Form) -> Result<f64> {
    let publisher = Publisher::new(form);
    let tasks: Vec<_> = (0..subscribers)
        .map(|_| tokio::spawn(reading(publisher.subscribe(), None)))
        .collect();
    yield_now().await;
    let (start, mut published) = (Instant::now(), 0);
    let mut pending = Vec::with_capacity(BATCH);
    while start.elapsed() < time {
        publisher.publish(&mut pending, &mut published, AHEAD);
        yield_now().await;
    }
    publisher.end();
    check_totals(tasks, published).await?;
    Ok(start.elapsed().as_nanos() as f64 / published as f64)
}

/// The subscribers are tasks of a runtime on another thread.
fn two_threads(runtime: &Runtime, time: Duration, subscribers: usize, form: Form) -> Result<f64> {
    let publisher = Publisher::new(form);
    let places: Vec<_> = (0..subscribers)
        .map(|_| Arc::<AtomicU64>::default())
        .collect();
    let tasks: Vec<_> = places
        .iter()
        .map(|place| runtime.spawn(reading(publisher.subscribe(), Some(place.clone()))))
        .collect();
    let publishing = thread::spawn(move || {
        measure::pin(measure::GENERATOR_CORE);
        let (start, mut published) = (Instant::now(), 0);
        let mut pending = Vec::with_capacity(BATCH);
        while start.elapsed() < time {
            publisher.publish(&mut pending, &mut published, BATCH as u64);
            // Relaxed: a place publishes no other memory; partner: the store in `Reader::went_on`.
            let behind = |place: &Arc<AtomicU64>| published - place.load(Ordering::Relaxed) > AHEAD;
            while places.iter().any(behind) {
                thread::yield_now();
            }
        }
        publisher.end();
        (start, published)
    });
    measure::pin(measure::MEASURED_CORE);
    let waiting =
        runtime.block_on(async { tokio::task::spawn_blocking(|| publishing.join()).await });
    let (start, published) = waiting?.map_err(|_| "the publisher panicked")?;
    runtime.block_on(check_totals(tasks, published))?;
    Ok(start.elapsed().as_nanos() as f64 / published as f64)
}

/// A subscriber that reads while events are available. The runtime's budget is off: it would end a
/// turn after 128 batches for one form and after 128 events for the other.
fn reading(
    reader: Reader,
    place: Option<Arc<AtomicU64>>,
) -> impl Future<Output = (u64, u64)> + Send {
    unconstrained(reader.count(place))
}

/// Checks that every subscriber received every event.
async fn check_totals(tasks: Vec<JoinHandle<(u64, u64)>>, published: u64) -> Result<()> {
    for task in tasks {
        let (got, lost) = task.await?;
        if (got, lost) != (published, 0) {
            return Err(
                format!("{published} events published, {got} received, {lost} lost").into(),
            );
        }
    }
    Ok(())
}

/// Checks a subscriber that reads nothing until the end: what it receives then and what it reports
/// as lost add up to what was published.
fn losses_are_told_exactly() -> Result<()> {
    runtime()?.block_on(async {
        for form in [Form::Batches, Form::Events, Form::Tokio] {
            let publisher = Publisher::new(form);
            let (slow, fast) = (
                publisher.subscribe(),
                tokio::spawn(reading(publisher.subscribe(), None)),
            );
            let mut published = 0;
            for _ in 0..100 {
                publisher.publish(&mut Vec::new(), &mut published, AHEAD);
                yield_now().await;
            }
            publisher.end();
            let (got, lost) = slow.count(None).await;
            if got + lost != published || got != QUEUE as u64 {
                return Err(format!(
                    "{published} published, {got} received, {lost} reported as lost"
                )
                .into());
            }
            check_totals(vec![fast], published).await?;
        }
        Ok(())
    })
}

enum Publisher {
    Ours(Form, Broadcast<Event>),
    Tokio(broadcast::Sender<Arc<Event>>),
}

enum Reader {
    Ours(Form, Subscriber<Event>),
    Tokio(broadcast::Receiver<Arc<Event>>),
}

impl Publisher {
    fn new(form: Form) -> Self {
        match form {
            Form::Tokio => Self::Tokio(broadcast::channel(QUEUE).0),
            _ => Self::Ours(form, Broadcast::new(QUEUE / BATCH)),
        }
    }

    fn subscribe(&self) -> Reader {
        match self {
            Self::Ours(Form::Lossless, broadcast) => {
                Reader::Ours(Form::Batches, broadcast.subscribe_lossless())
            }
            Self::Ours(Form::Filtered, broadcast) => {
                let wanted = |event: &Event| event.0[3].is_multiple_of(16);
                Reader::Ours(Form::Filtered, broadcast.subscribe().filtered(wanted))
            }
            Self::Ours(form, broadcast) => Reader::Ours(*form, broadcast.subscribe()),
            Self::Tokio(sender) => Reader::Tokio(sender.subscribe()),
        }
    }

    fn publish(&self, pending: &mut Vec<Event>, published: &mut u64, count: u64) {
        for number in *published..*published + count {
            let event = Event([number; 12]);
            match self {
                Self::Ours(_, broadcast) => {
                    pending.push(event);
                    if pending.len() == BATCH {
                        broadcast.publish(pending);
                    }
                }
                Self::Tokio(sender) => {
                    // This fails without a subscriber, and there is one.
                    let _ = sender.send(Arc::new(event));
                }
            }
        }
        *published += count;
    }

    fn end(self) {
        if let Self::Ours(_, broadcast) = self {
            broadcast.end();
        }
    }
}

impl Reader {
    /// Reads events until the end, and returns how many arrived and how many were reported as lost.
    async fn count(self, place: Option<Arc<AtomicU64>>) -> (u64, u64) {
        let (mut got, mut lost) = (0, 0);
        // Relaxed: see `two_threads`.
        let went_on = |got: u64| {
            if let Some(place) = &place {
                place.store(got, Ordering::Relaxed);
            }
        };
        match self {
            Self::Ours(Form::Batches, mut subscriber) => {
                while let Some(batch) = subscriber.next_batch().await {
                    match batch {
                        Ok(batch) => {
                            for event in &batch {
                                black_box(event.0[3]);
                            }
                            got += batch.len() as u64;
                            went_on(got);
                        }
                        Err(BroadcastRecvError::Lagged(more)) => lost += more,
                        Err(_) => break,
                    }
                }
            }
            // It counts up to the end of what it has seen; numbers start at 0, which is wanted, so
            // each wanted event stands for 16.
            Self::Ours(Form::Filtered, mut subscriber) => {
                while let Some(event) = subscriber.next().await {
                    match event {
                        Ok(event) => {
                            got = event.0[3] + 16;
                            went_on(got);
                        }
                        Err(BroadcastRecvError::Lagged(more)) => lost += more,
                        Err(_) => break,
                    }
                }
            }
            Self::Ours(_, mut subscriber) => {
                while let Some(event) = subscriber.next().await {
                    match event {
                        Ok(event) => {
                            black_box(event.0[3]);
                            got += 1;
                            went_on(got);
                        }
                        Err(BroadcastRecvError::Lagged(more)) => lost += more,
                        Err(_) => break,
                    }
                }
            }
            Self::Tokio(mut receiver) => loop {
                match receiver.recv().await {
                    Ok(event) => {
                        black_box(event.0[3]);
                        got += 1;
                        went_on(got);
                    }
                    Err(broadcast::error::RecvError::Lagged(more)) => lost += more,
                    Err(broadcast::error::RecvError::Closed) => break,
                }
            },
        }
        (got, lost)
    }
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().build()?)
}
