//! The queues of a capture, and how a reader waits for them.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_sys::wait::Waiter;
use netring_sys::{Error, Readiness};

use crate::socket::rx::{RxBatch, RxHalf};
use crate::waiting::Waited;

/// The receiving halves of a capture, at least one, which take turns.
#[derive(Debug)]
pub(super) struct Queues {
    // Dropped first: nobody waits for a socket that is closed.
    waiter: Waiter,
    halves: Vec<RxHalf>,
    /// The queue that is looked at first.
    at: usize,
}

impl Queues {
    pub(super) const fn new(waiter: Waiter, halves: Vec<RxHalf>) -> Self {
        Self {
            waiter,
            halves,
            at: 0,
        }
    }

    pub(super) fn into_parts(self) -> (Waiter, Vec<RxHalf>) {
        (self.waiter, self.halves)
    }

    #[inline]
    pub(super) const fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    pub(super) const fn waiter_mut(&mut self) -> &mut Waiter {
        &mut self.waiter
    }

    #[inline]
    pub(super) fn halves(&self) -> &[RxHalf] {
        &self.halves
    }

    pub(super) fn halves_mut(&mut self) -> &mut [RxHalf] {
        &mut self.halves
    }

    /// Whether a queue has a packet; the next batch is of that queue.
    #[inline]
    pub(super) fn look(&mut self) -> bool {
        for n in 0..self.halves.len() {
            let mut at = self.at + n;
            if at >= self.halves.len() {
                at -= self.halves.len();
            }
            if self.halves[at].look() {
                self.at = at;
                return true;
            }
        }
        false
    }

    /// There is no packet: checks whether something else happened.
    #[cold]
    pub(super) fn look_further(&mut self) -> Result<Readiness, Error> {
        if let Some(first) = self.halves.first() {
            self.waiter.take_news(first.socket().fd())?;
        }
        // Once more: a packet may have arrived since, and is lent before the link that went down
        // behind it is reported.
        if self.look() {
            return Ok(Readiness::Ready);
        }
        self.waiter.report().map(|()| Readiness::Empty)
    }

    /// The packets of the queue that [`look`](Self::look) found, and the number of that queue.
    #[inline]
    pub(super) fn lend(&mut self) -> (u32, RxBatch<'_>) {
        let at = self.at;
        // The next look begins with the queue behind this one.
        self.at = if at + 1 < self.halves.len() {
            at + 1
        } else {
            0
        };
        // There is at least one.
        let half = &mut self.halves[at];
        (half.socket().queue, half.lend())
    }
}

impl Waited for Queues {
    fn fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }

    fn is_over(&mut self) -> bool {
        self.waiter.is_stopped() || self.look()
    }

    fn progress(&self) -> (u64, u32) {
        let seen = self.halves.iter().map(RxHalf::seen).sum();
        // The room of any one queue, because all packets may arrive through it.
        let room = self.halves.iter().map(RxHalf::capacity).min();
        (seen, room.unwrap_or_default())
    }

    fn sleep(&self, time: Duration) -> Result<(), Error> {
        // A stop ends it.
        Ok(self.waiter.sleep(time)?)
    }

    fn woken(&mut self) -> Result<bool, Error> {
        Ok(self.look_further()? == Readiness::Ready)
    }
}
