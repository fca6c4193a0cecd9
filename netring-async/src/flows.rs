//! A source driven together with its flow tracker: the common part of flow streams and broadcasts.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, FlowTracker, FlowVisitor};
use netring_sys::{Error, PacketSource, Timestamp};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::AsyncSource;
use crate::drain::Drain;

/// How often the flows of an idle live source are checked, if there are any: none ends later than
/// this after its timeout.
pub(crate) const IDLE_TICK: Duration = Duration::from_millis(500);

/// How long packets in the ring keep flows alive. The kernel hands over a block after twice its
/// retire timeout at the latest, which is up to 65.5 s.
const HAND_OVER: Duration = Duration::from_secs(132);

/// A visitor that keeps the events it receives.
pub(crate) trait Collect<K>: FlowVisitor<K> {
    /// The number of events kept.
    fn collected(&self) -> usize;

    /// All packets until `now` were taken, and the source is silent. The tracker ends flows by it
    /// afterwards. Returns true if more is due than one call does.
    fn advance(&mut self, now: Timestamp) -> bool {
        let _ = now;
        false
    }
}

impl<K> Collect<K> for Vec<FlowEvent<K>> {
    fn collected(&self) -> usize {
        self.len()
    }
}

/// A visitor that keeps what it derives from the events.
pub(crate) trait Gather<K>: Collect<K> {
    type Item;

    /// The kept items, oldest first.
    fn gathered(&mut self) -> &mut Vec<Self::Item>;
}

impl<K> Gather<K> for Vec<FlowEvent<K>> {
    type Item = FlowEvent<K>;

    fn gathered(&mut self) -> &mut Self {
        self
    }
}

/// Reads batches and passes the resulting flow events on.
pub(crate) struct Flows<S, E: Extract> {
    pub(crate) source: AsyncSource<S>,
    pub(crate) tracker: FlowTracker<E>,
    phase: Phase,
    /// The host's time when the newest packet time was read. For a tracker that already has flows,
    /// the time of the first wait.
    latest_read: Option<Instant>,
    /// When the idle source was found to have packets that it has yet to lend.
    standing: Option<Instant>,
    /// The tracker has more flows to end than it ended in one call.
    due: bool,
    tick: Option<Interval>,
}

enum Phase {
    Running,
    /// Takes only the packets that had arrived when draining began.
    Draining(Drain),
    /// No more packets: the remaining flows end, then the error is reported.
    Finishing(Option<Error>),
    Done,
}

impl<S, E: Extract> Flows<S, E> {
    /// Stops reading: the flows end, as at the end of the source.
    pub(crate) fn stop(&mut self) {
        if matches!(self.phase, Phase::Running | Phase::Draining(_)) {
            self.phase = Phase::Finishing(None);
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }
}

impl<S: PacketSource, E: Extract> Flows<S, E> {
    pub(crate) const fn new(source: AsyncSource<S>, tracker: FlowTracker<E>) -> Self {
        Self {
            source,
            tracker,
            phase: Phase::Running,
            latest_read: None,
            standing: None,
            due: false,
            tick: None,
        }
    }

    /// Reads only what has arrived so far; then the flows end.
    pub(crate) fn drain(&mut self) {
        if matches!(self.phase, Phase::Running) {
            let drain = Drain::begin(&mut self.source);
            self.phase = drain.map_or(Phase::Finishing(None), Phase::Draining);
        }
    }

    /// Passes at least one event on. An error comes last, after the ends of all flows.
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut impl Collect<E::Key>,
    ) -> Poll<Option<Result<(), Error>>> {
        let before = events.collected();
        while events.collected() == before {
            match &mut self.phase {
                Phase::Running | Phase::Draining(_) => match self.source.poll_readable(cx) {
                    Poll::Ready(Ok(true)) => self.take_batch(events),
                    Poll::Ready(Ok(false)) => self.phase = Phase::Finishing(None),
                    Poll::Ready(Err(error)) => self.phase = Phase::Finishing(Some(error)),
                    // Only if the source is empty, not at the end of a time slice: pending packets
                    // are a better clock.
                    Poll::Pending if self.source.is_empty() => ready!(self.poll_empty(cx, events)),
                    Poll::Pending => return Poll::Pending,
                },
                Phase::Finishing(error) => {
                    ready!(self.source.time_slice().poll_proceed(cx));
                    if !self.tracker.finish(events) && events.collected() == before {
                        let error = error.take();
                        self.phase = Phase::Done;
                        return Poll::Ready(error.map(Err));
                    }
                }
                Phase::Done => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(())))
    }

    /// Appends at least one item that the visitor gathers. An error comes last, after the ends of
    /// all flows.
    pub(crate) fn poll_into<V: Gather<E::Key>>(
        &mut self,
        cx: &mut Context<'_>,
        visitor: &mut V,
        items: &mut Vec<V::Item>,
    ) -> Poll<Option<Result<(), Error>>> {
        // They are gathered in the place from which they are published.
        std::mem::swap(items, visitor.gathered());
        let polled = self.poll_events(cx, visitor);
        std::mem::swap(items, visitor.gathered());
        polled
    }

    /// Whether it neither stops nor fails.
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn take_batch(&mut self, events: &mut impl Collect<E::Key>) {
        let batch = self.source.get_mut().batch();
        self.tracker.track_batch(&batch, events);
        drop(batch);
        self.latest_read = Some(Instant::now());
        self.standing = None;
        if let Some(now) = self.tracker.latest() {
            // A wait for bytes is timed by the packets of their sender: another of several sources
            // may have older ones.
            self.due = self.tracker.expire(now, events);
        }
        if let Phase::Draining(drain) = &mut self.phase
            && drain.is_done(&mut self.source)
        {
            self.phase = Phase::Finishing(None);
        }
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>, events: &mut impl Collect<E::Key>) -> Poll<()> {
        let Phase::Draining(drain) = &mut self.phase else {
            return self.poll_idle(cx, events);
        };
        ready!(drain.poll_silence(cx));
        self.phase = Phase::Finishing(None);
        Poll::Ready(())
    }

    /// The source is idle. If it is live, flows expire by the host's clock.
    fn poll_idle(&mut self, cx: &mut Context<'_>, events: &mut impl Collect<E::Key>) -> Poll<()> {
        let Some(now) = self.idle_time() else {
            return Poll::Pending;
        };
        if !self.due {
            let tick = self.tick.get_or_insert_with(|| {
                let mut tick = interval_at(Instant::now() + IDLE_TICK, IDLE_TICK);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                tick
            });
            ready!(tick.poll_tick(cx));
        }
        if self.is_behind() {
            self.due = false;
            return Poll::Ready(());
        }
        self.due = events.advance(now) || self.tracker.expire(now, events);
        Poll::Ready(())
    }

    /// Whether packets have come that the source does not lend yet, as in a block that is not full:
    /// they are older than the host's time, and may belong to the flows that it would end.
    fn is_behind(&mut self) -> bool {
        let stats = self.source.stats().ok();
        let pending = stats.and_then(|stats| stats.pending()).unwrap_or(0);
        if pending == 0 {
            self.standing = None;
            return false;
        }
        let since = self.standing.get_or_insert_with(Instant::now);
        since.elapsed() < HAND_OVER
    }

    /// The newest packet time plus the host's time since then, so two clocks are never mixed.
    /// `None` if nothing can expire.
    fn idle_time(&mut self) -> Option<Timestamp> {
        if !self.source.get_ref().is_live() || self.tracker.active_flows() == 0 {
            return None;
        }
        let latest = self.tracker.latest()?;
        let read = *self.latest_read.get_or_insert_with(Instant::now);
        Some(latest.saturating_add(read.elapsed()))
    }
}
