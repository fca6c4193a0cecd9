//! A source and its flow tracker, driven together: what a flow stream and a broadcast have in
//! common.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, FlowTracker};
use netring_sys::{Error, PacketSource, Timestamp};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::AsyncSource;

/// How often a silent live source has its flows looked at: none ends later than this after it was
/// due. Only while there are flows.
pub(crate) const IDLE_TICK: Duration = Duration::from_millis(500);

/// Takes batches, and appends what happened to the flows in them.
pub(crate) struct Flows<S, E: Extract> {
    pub(crate) source: AsyncSource<S>,
    pub(crate) tracker: FlowTracker<E>,
    phase: Phase,
    /// When the newest packet time was read, by the host's clock.
    heard: Option<Instant>,
    /// The tracker has more flows to end than it did in one call.
    due: bool,
    tick: Option<Interval>,
}

enum Phase {
    Running,
    /// No packet will come: the flows that are left end, then the error is told.
    Finishing(Option<Error>),
    Done,
}

impl<S: PacketSource, E: Extract> Flows<S, E> {
    pub(crate) const fn new(source: AsyncSource<S>, tracker: FlowTracker<E>) -> Self {
        Self {
            source,
            tracker,
            phase: Phase::Running,
            heard: None,
            due: false,
            tick: None,
        }
    }

    /// Appends to `events` until there is at least one more. An error is the last, and comes behind
    /// the ends of all flows.
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut Vec<FlowEvent<E::Key>>,
    ) -> Poll<Option<Result<(), Error>>> {
        let before = events.len();
        while events.len() == before {
            match &mut self.phase {
                Phase::Running => match self.source.poll_readable(cx) {
                    Poll::Ready(Ok(true)) => self.take_batch(events),
                    Poll::Ready(Ok(false)) => self.phase = Phase::Finishing(None),
                    // A link that went down. The source counts it.
                    Poll::Ready(Err(report)) if !report.is_terminal() => {}
                    Poll::Ready(Err(error)) => self.phase = Phase::Finishing(Some(error)),
                    // Not at the end of a turn: there may be packets, which say better what time it
                    // is.
                    Poll::Pending if self.source.is_empty() => ready!(self.poll_idle(cx, events)),
                    Poll::Pending => return Poll::Pending,
                },
                Phase::Finishing(error) => {
                    ready!(self.source.time_slice().poll_proceed(cx));
                    if !self.tracker.finish(events) && events.len() == before {
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

    /// Takes no more packets: the flows end, as at the end of the source.
    pub(crate) fn stop(&mut self) {
        if matches!(self.phase, Phase::Running) {
            self.phase = Phase::Finishing(None);
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    fn take_batch(&mut self, events: &mut Vec<FlowEvent<E::Key>>) {
        let batch = self.source.get_mut().batch();
        self.tracker.track_batch(&batch, events);
        drop(batch);
        self.heard = Some(Instant::now());
        if let Some(now) = self.tracker.latest() {
            self.due = self.tracker.expire(now, events);
        }
    }

    /// The source is silent. Where time goes on all the same, flows end by it.
    fn poll_idle(&mut self, cx: &mut Context<'_>, events: &mut Vec<FlowEvent<E::Key>>) -> Poll<()> {
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
        self.due = self.tracker.expire(now, events);
        Poll::Ready(())
    }

    /// The newest packet time and what the host's clock counted since: two clocks are never mixed.
    /// `None` where nothing can be due.
    fn idle_time(&self) -> Option<Timestamp> {
        if !self.source.get_ref().is_live() || self.tracker.active_flows() == 0 {
            return None;
        }
        Some(self.tracker.latest()?.saturating_add(self.heard?.elapsed()))
    }
}
