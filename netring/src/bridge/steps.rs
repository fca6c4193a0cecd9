//! Drives a bridge: step by step, on a thread, or in a task.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netring_sys::__event;

use super::frame::{Frame, Verdict, Way};
use super::{Bridge, Port};
use crate::wait::{self, Step, StopHandle, Work};
use crate::{Error, PacketSink, PacketSource};

impl<S, K, T, L> Bridge<Port<S, K>, Port<T, L>>
where
    S: PacketSource,
    K: PacketSink,
    T: PacketSource,
    L: PacketSink,
{
    /// Forwards up to one batch in each direction, without blocking: for custom loops. Returns
    /// whether there may be more to do now ([`Step::Busy`]), what to wait for, or that both sources
    /// have ended or the bridge was stopped ([`Step::Done`]).
    ///
    /// # Errors
    /// The errors of [`run`](Self::run). [`Error::LinkDown`] once for each time that an interface
    /// goes down: call again.
    pub fn step(
        &mut self,
        mut decide: impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Step, Error> {
        let (a, b) = (&mut self.a, &mut self.b);
        self.control.step(|way| {
            let (lane, turn) = match way {
                Way::AToB => {
                    let turn = self.a_to_b.turn(&mut a.source, &mut b.sink, &mut decide)?;
                    (&self.a_to_b, turn)
                }
                Way::BToA => {
                    let turn = self.b_to_a.turn(&mut b.source, &mut a.sink, &mut decide)?;
                    (&self.b_to_a, turn)
                }
            };
            Ok((turn, lane.carrier.is_down))
        })
    }
}

impl<S, K, T, L> Bridge<Port<S, K>, Port<T, L>>
where
    S: PacketSource + AsFd,
    K: PacketSink,
    T: PacketSource + AsFd,
    L: PacketSink,
{
    /// Forwards frames, subject to `decide`, until the bridge is [stopped](Self::stop_handle) or
    /// both sources have ended. Blocks this thread; see also `run_async`.
    ///
    /// # Errors
    /// What ends one side for good, such as [`Error::InterfaceRemoved`], in an [`Error::Source`]
    /// whose text names the side; [`lost`](Self::lost) returns it. [`Error::Closed`] after that.
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
        let stop = self.control.stop.clone();
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

/// The descriptors that a bridge waits for, one for each side.
pub(super) trait Descriptors {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2];
}

impl<S: AsFd, K, T: AsFd, L> Bridge<Port<S, K>, Port<T, L>> {
    /// The descriptors that become readable when side A or B has work, for custom loops: see
    /// [`Step::Wait`].
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
