//! How a capture waits for packets.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring_sys::syscall::poll_readable;
use netring_sys::{Error, Readiness};

use super::XdpCapture;
use crate::socket::rx::RxHalf;
use crate::waiting::moderation::time_left;

impl XdpCapture {
    /// Waits for packets, as there is none: whether there are some, or the source was stopped.
    #[inline(never)]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        // What was heard before, and not told over the packets that came meanwhile: nothing wakes
        // the reader for it once more.
        self.waiter.report()?;
        let now = Instant::now();
        // A time so long that no clock holds it is for ever.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let mut left = timeout;
        if let Some(sleep) = self.moderate(now) {
            self.waits += 1;
            // A stop ends it.
            self.waiter
                .sleep(timeout.map_or(sleep, |timeout| sleep.min(timeout)))?;
            if self.look() {
                return Ok(true);
            }
            left = time_left(deadline);
        }
        loop {
            self.waits += 1;
            let woken = poll_readable(self.waiter.as_fd(), left)?;
            if self.waiter.is_stopped() || self.look() {
                return Ok(true);
            }
            // Asked only here: what wakes a reader mostly is a packet.
            if woken {
                self.waits += 1;
                if self.look_further()? == Readiness::Ready {
                    return Ok(true);
                }
            }
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            left = time_left(deadline);
        }
    }

    /// For how long packets are to gather before the next look.
    pub(super) fn moderate(&mut self, now: Instant) -> Option<Duration> {
        let seen = self.queues.iter().map(RxHalf::seen).sum();
        // Of any one queue: all packets may come by that one.
        let room = self.queues.iter().map(RxHalf::capacity).min();
        self.moderation.sleep(now, seen, room.unwrap_or_default())
    }

    /// Whether a queue has a packet; the next look begins with that queue.
    #[inline]
    pub(super) fn look(&mut self) -> bool {
        for n in 0..self.queues.len() {
            let mut at = self.at + n;
            if at >= self.queues.len() {
                at -= self.queues.len();
            }
            if self.queues[at].look() {
                self.at = at;
                return true;
            }
        }
        false
    }

    /// There is no packet: looks whether something else happened.
    #[cold]
    pub(super) fn look_further(&mut self) -> Result<Readiness, Error> {
        if let Some(first) = self.queues.first() {
            self.waiter.take_news(first.socket.fd())?;
        }
        // Once more: a packet may have come since, and is told before the link that went down
        // behind it.
        if self.look() {
            return Ok(Readiness::Ready);
        }
        self.waiter.report().map(|()| Readiness::Empty)
    }
}
