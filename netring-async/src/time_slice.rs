//! A fair share of the thread for a task that is always ready.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::{coop, yield_now};

/// How long a task runs while there are packets, before it yields to timers and other tasks.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(1);

/// Makes a task yield after [`TIME_SLICE`].
///
/// The runtime's own budget is 128 operations. That is right for sockets, but an operation here is
/// a whole batch, of thousands of packets if a ring is busy: 128 of them would delay a timer by a
/// tenth of a second.
#[derive(Debug, Default)]
pub(crate) struct TimeSlice {
    began: Option<Instant>,
}

impl TimeSlice {
    /// Ready while the time slice lasts. After it, the task runs again once timers and other tasks
    /// have run.
    pub(crate) fn poll_proceed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx)).made_progress();
        let now = Instant::now();
        if now.duration_since(*self.began.get_or_insert(now)) < TIME_SLICE {
            return Poll::Ready(());
        }
        self.rest();
        // The first poll leaves the waker with the runtime, which wakes it after its timers. Waking
        // it here would put the task before them.
        pin!(yield_now()).poll(cx)
    }

    /// The task is about to wait for something: its next time slice starts when that is available.
    pub(crate) const fn rest(&mut self) {
        self.began = None;
    }
}
