//! Drives a bridge: step by step, on a thread, or in a task.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netring_sys::__event;

use super::frame::{Frame, Side, Verdict, Way};
use super::lane::{Failed, Turn};
use super::{Bridge, Port};
use crate::wait::{self, Step, StopHandle, Work};
use crate::{Error, PacketSink, PacketSource};

/// The pauses before a sink without room is tried again, of which each is longer than the one
/// before; and while its interface is down.
const SHORTEST: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_millis(1);
const DOWN: Duration = Duration::from_millis(100);

/// The state of a loop over steps.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) const fn new() -> Self {
        Self(SHORTEST)
    }

    /// What follows the turns of both directions.
    pub(super) fn next(&mut self, turns: [Turn; 2], are_down: [bool; 2]) -> Step {
        if turns.iter().any(|turn| turn.has_worked) {
            self.0 = SHORTEST;
            return Step::Busy;
        }
        if turns.iter().all(|turn| turn.is_done) {
            return Step::Done;
        }
        let mut at_most = None;
        if turns.iter().any(|turn| turn.retries) {
            // A sink that may have room soon is looked at more often than one that is down.
            let all_down = turns
                .iter()
                .zip(are_down)
                .all(|(turn, is_down)| !turn.retries || is_down);
            let longest = if all_down { DOWN } else { LONGEST };
            at_most = Some(self.0);
            self.0 = (self.0 * 2).min(longest);
        }
        Step::Wait {
            on: turns.map(|turn| turn.reads),
            at_most,
        }
    }
}

impl<S, K, T, L> Bridge<Port<S, K>, Port<T, L>>
where
    S: PacketSource,
    K: PacketSink,
    T: PacketSource,
    L: PacketSink,
{
    /// Forwards up to one batch in each direction, without blocking: for a loop of your own.
    /// Returns whether there may be more to do now ([`Step::Busy`]), for what to wait, or that both
    /// sources have ended or the bridge was stopped ([`Step::Done`]).
    ///
    /// # Errors
    /// The errors of [`run`](Self::run). [`Error::LinkDown`] once for each time that an interface
    /// goes down: call again.
    pub fn step(
        &mut self,
        mut decide: impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Step, Error> {
        if self.stop.is_stopped() {
            return Ok(Step::Done);
        }
        if self.lost.is_some() {
            return Err(Error::Closed);
        }
        let (a, b) = (&mut self.a, &mut self.b);
        let there = self
            .a_to_b
            .turn(&mut a.source, &mut b.sink, &mut decide)
            .map_err(|failed| fail(&mut self.lost, Way::AToB, failed))?;
        let back = self
            .b_to_a
            .turn(&mut b.source, &mut a.sink, &mut decide)
            .map_err(|failed| fail(&mut self.lost, Way::BToA, failed))?;
        let are_down = [self.a_to_b.carrier.is_down, self.b_to_a.carrier.is_down];
        Ok(self.pause.next([there, back], are_down))
    }
}

impl<S, K, T, L> Bridge<Port<S, K>, Port<T, L>>
where
    S: PacketSource + AsFd,
    K: PacketSink,
    T: PacketSource + AsFd,
    L: PacketSink,
{
    /// Forwards frames, as `decide` says of each, until the bridge is [stopped](Self::stop_handle)
    /// or both sources have ended. Blocks this thread; see also `run_async`.
    ///
    /// # Errors
    /// What ends one side for good, such as [`Error::InterfaceRemoved`], in an [`Error::Source`]
    /// whose text names the side; [`lost`](Self::lost) tells which it is. [`Error::Closed`] after
    /// that.
    pub fn run(&mut self, decide: impl FnMut(&mut Frame<'_>) -> Verdict) -> Result<(), Error> {
        self.run_until(None, decide)
    }

    /// Like [`run`](Self::run), for this long at most. Another run continues where it ended.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run).
    pub fn run_for(
        &mut self,
        time: Duration,
        decide: impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<(), Error> {
        self.run_until(Instant::now().checked_add(time), decide)
    }

    fn run_until(
        &mut self,
        until: Option<Instant>,
        decide: impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<(), Error> {
        wait::work(&mut self.running(until, decide))
    }

    fn running<'a>(
        &'a mut self,
        until: Option<Instant>,
        mut decide: impl FnMut(&mut Frame<'_>) -> Verdict + 'a,
    ) -> Run<'a, Self, impl FnMut(&mut Self) -> Result<Step, Error>> {
        let stop = self.stop.clone();
        Run::new(self, stop, until, move |bridge| bridge.step(&mut decide))
    }

    /// Like [`run`](Self::run), in a task: a future that forwards frames while it is polled. If it
    /// is dropped, the bridge keeps every frame, and another run continues.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run), and [`Error::Config`] outside a tokio runtime.
    #[cfg(feature = "async")]
    pub fn run_async<'a>(
        &'a mut self,
        decide: impl FnMut(&mut Frame<'_>) -> Verdict + 'a,
    ) -> impl Future<Output = Result<(), Error>> {
        netring_async::work(self.running(None, decide))
    }
}

/// What a bridge waits for: one descriptor for each side.
pub(super) trait Descriptors {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2];
}

impl<S: AsFd, K, T: AsFd, L> Bridge<Port<S, K>, Port<T, L>> {
    /// What becomes readable when there is something to do on side A or B, for a loop of your own:
    /// see [`Step::Wait`].
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.a.source.as_fd(), self.b.source.as_fd()]
    }
}

impl<S: AsFd, K, T: AsFd, L> Descriptors for Bridge<Port<S, K>, Port<T, L>> {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        self.descriptors()
    }
}

/// A bridge that runs, until a time if there is one.
pub(super) struct Run<'a, B, F> {
    bridge: &'a mut B,
    stop: StopHandle,
    until: Option<Instant>,
    step: F,
}

impl<'a, B, F: FnMut(&mut B) -> Result<Step, Error>> Run<'a, B, F> {
    pub(super) fn new(
        bridge: &'a mut B,
        stop: StopHandle,
        until: Option<Instant>,
        step: F,
    ) -> Self {
        __event!("bridge", INFO, "the bridge runs");
        Self {
            bridge,
            stop,
            until,
            step,
        }
    }
}

impl<B: Descriptors, F: FnMut(&mut B) -> Result<Step, Error>> Work for Run<'_, B, F> {
    fn step(&mut self) -> Result<Step, Error> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(Step::Done);
        }
        let step = (self.step)(self.bridge);
        if let Err(error) = &step
            && error.is_terminal()
        {
            __event!("bridge", WARN, why = %error, "the bridge has failed");
        }
        Ok(match step? {
            Step::Wait { on, at_most } => Step::Wait {
                on,
                at_most: at_most.into_iter().chain(left).min(),
            },
            other => other,
        })
    }

    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        self.bridge.descriptors()
    }

    fn stop_handle(&self) -> &StopHandle {
        &self.stop
    }
}

impl<B, F> Drop for Run<'_, B, F> {
    fn drop(&mut self) {
        __event!("bridge", INFO, "the bridge rests");
    }
}

/// The error of a bridge of which one end failed.
pub(super) fn fail(lost: &mut Option<Side>, way: Way, failed: Failed) -> Error {
    let (side, error) = match failed {
        Failed::Source(error) => (way.from(), error),
        Failed::Sink(error) => (way.to(), error),
    };
    if !error.is_terminal() {
        return error;
    }
    *lost = Some(side);
    Error::Source {
        what: side.to_string(),
        source: Box::new(error),
    }
}
