//! Waiting for a sink that takes nothing now.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netring_sys::syscall::{
    epoll_add, epoll_add_writable, epoll_ready, timer, timer_clear, timer_start,
};
use netring_sys::{Error, PacketSink};
use tokio::io::unix::AsyncFd;

use crate::source::{lost_runtime, register_set};

const SINK: u64 = 0;
const TIMER: u64 = 1;

const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(250);

/// One descriptor for the sink and for a timer, which is finer than the runtime's own.
#[derive(Debug)]
pub(super) struct Pause {
    set: AsyncFd<OwnedFd>,
    timer: OwnedFd,
    next: Duration,
    /// Pending frames of the sink when the pause began.
    before: u64,
}

impl Pause {
    pub(super) fn new(sink: BorrowedFd<'_>) -> Result<Self, Error> {
        let timer = timer()?;
        let set = register_set("AsyncSink::new", |set| {
            epoll_add_writable(set, sink, SINK)?;
            epoll_add(set, timer.as_fd(), TIMER)
        })?;
        Ok(Self {
            set,
            timer,
            next: SHORTEST,
            before: 0,
        })
    }

    /// A new wait begins.
    pub(super) const fn start(&mut self) {
        self.next = SHORTEST;
    }

    /// Starts a pause, longer than the previous one but no longer than `limit`.
    pub(super) fn arm<S: PacketSink>(
        &mut self,
        sink: &mut S,
        limit: Option<Duration>,
    ) -> Result<(), Error> {
        self.before = sink.pending()?;
        self.sleep(limit.map_or(self.next, |limit| limit.min(self.next)))
    }

    /// Ends once frames of the sink were completed, or after the pause.
    pub(super) fn poll<S: PacketSink>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut S,
    ) -> Poll<Result<(), Error>> {
        loop {
            let (announced, expired) = ready!(self.poll_set(cx))?;
            // Each failed attempt to send announces room too, so an announcement without a
            // completed frame does not end the pause.
            if announced && sink.pending()? < self.before {
                self.next = SHORTEST;
                return Poll::Ready(Ok(()));
            }
            if expired {
                self.next = (self.next * 2).min(LONGEST);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Starts a sleep.
    pub(super) fn sleep(&mut self, time: Duration) -> Result<(), Error> {
        // A period of zero would stop the timer.
        Ok(timer_start(
            self.timer.as_fd(),
            time.max(Duration::from_nanos(1)),
        )?)
    }

    /// Ends after the sleep.
    pub(super) fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !ready!(self.poll_set(cx))?.1 {}
        Poll::Ready(Ok(()))
    }

    /// Whether the sink announced something, and whether the timer expired.
    fn poll_set(&mut self, cx: &mut Context<'_>) -> Poll<Result<(bool, bool), Error>> {
        // Cleared before the set is asked: an edge between the two wakes the task once more.
        ready!(self.set.poll_read_ready(cx))
            .map_err(lost_runtime)?
            .clear_ready();
        let (mut announced, mut expired) = (false, false);
        for token in epoll_ready(self.set.get_ref().as_fd())? {
            match token {
                TIMER => expired = timer_clear(self.timer.as_fd())? > 0,
                _ => announced = true,
            }
        }
        if expired {
            // It has periods, and one is enough.
            timer_start(self.timer.as_fd(), Duration::ZERO)?;
        }
        Poll::Ready(Ok((announced, expired)))
    }
}
