//! A fair share of the thread for a task that always has something to do.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::{coop, yield_now};

/// How long a task goes on while there are packets, before timers and other tasks have theirs.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(1);

/// Ends a task's turn after [`TIME_SLICE`].
///
/// The runtime's own budget counts operations, 128 to a turn. That is right for sockets; an
/// operation here is a whole batch, of thousands of packets where a ring is busy, and 128 of them
/// would hold up a timer for a tenth of a second.
#[derive(Debug, Default)]
pub(crate) struct TimeSlice {
    began: Option<Instant>,
}

impl TimeSlice {
    /// Ready while the turn lasts. Where it is over, the task runs again once timers and other
    /// tasks had theirs.
    pub(crate) fn poll_proceed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx)).made_progress();
        let now = Instant::now();
        if now.duration_since(*self.began.get_or_insert(now)) < TIME_SLICE {
            return Poll::Ready(());
        }
        self.rest();
        // The first poll leaves the waker with the runtime, which wakes it behind its timers. To
        // wake it here would put the task in front of them.
        pin!(yield_now()).poll(cx)
    }

    /// The task is about to wait for something: its next turn begins when that is there.
    pub(crate) const fn rest(&mut self) {
        self.began = None;
    }
}
