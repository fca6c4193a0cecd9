//! Work in bounded steps, in a task.

use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netring_sys::Error;
use netring_sys::syscall::{epoll_add, timer, timer_start};
use netring_sys::wait::{Step, Work};
use tokio::io::unix::AsyncFd;

use crate::source::{lost_runtime, register_set};
use crate::time_slice::TimeSlice;

/// Runs work such as a bridge in the current task, as [`wait::work`](netring_sys::wait::work) does
/// on a thread. It yields to timers and other tasks after a millisecond, and can be cancelled at
/// any moment: the work then stays in the state after its last step.
///
/// # Errors
/// The terminal errors of [`Work::step`]; [`Error::Config`] outside a tokio runtime; the failed
/// call: there are too many open files.
///
/// # Panics
/// Panics if the runtime was built without `enable_io`.
pub async fn work(mut work: impl Work) -> Result<(), Error> {
    let mut waits = Waits::new(&work)?;
    poll_fn(|cx| waits.poll(cx, &mut work)).await
}

/// One descriptor for everything that work waits for.
struct Waits {
    set: AsyncFd<OwnedFd>,
    timer: OwnedFd,
    is_timed: bool,
    time_slice: TimeSlice,
}

impl Waits {
    fn new(work: &impl Work) -> Result<Self, Error> {
        let timer = timer()?;
        let set = register_set("run_async", |set| {
            for (token, descriptor) in (0..).zip(work.descriptors()) {
                epoll_add(set, descriptor, token)?;
            }
            epoll_add(set, work.stop_handle().as_fd(), 2)?;
            epoll_add(set, timer.as_fd(), 3)
        })?;
        Ok(Self {
            set,
            timer,
            is_timed: false,
            time_slice: TimeSlice::default(),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>, work: &mut impl Work) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.time_slice.poll_proceed(cx));
            match work.step() {
                Ok(Step::Busy) => {}
                Ok(Step::Wait { at_most, .. }) => {
                    self.time_slice.rest();
                    self.set_timer(at_most)?;
                    // Cleared before the next step looks: an edge between the two causes a spurious
                    // step, never a missed one. The set announces edges only, so a source that is
                    // always readable does not keep the task awake.
                    ready!(self.set.poll_read_ready(cx))
                        .map_err(lost_runtime)?
                        .clear_ready();
                }
                Ok(Step::Done) => return Poll::Ready(Ok(())),
                Err(error) if error.is_terminal() => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }

    /// Starts the timer; setting it again also clears it.
    fn set_timer(&mut self, time: Option<Duration>) -> Result<(), Error> {
        if time.is_some() || self.is_timed {
            // A period of zero stops it.
            let period = time.map_or(Duration::ZERO, |time| time.max(Duration::from_nanos(1)));
            timer_start(self.timer.as_fd(), period)?;
        }
        self.is_timed = time.is_some();
        Ok(())
    }
}
