//! Waiting for packets: the one loop of every blocking call.

pub(crate) mod moderation;

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::Error;
use netring_sys::syscall::poll_readable;

use moderation::Moderation;

/// How a reader waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    moderation: Moderation,
    /// System calls made to wait.
    calls: u64,
}

/// The condition that a reader waits for.
pub(crate) trait Waited {
    /// Readable when the wait may be over.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Whether the wait is over: there are packets, or there never will be.
    fn is_over(&mut self) -> bool;

    /// How many packets there have been, and how many more fit into the rings.
    fn progress(&self) -> (u64, u32);

    /// Lets packets gather for this long.
    fn sleep(&self, time: Duration) -> Result<(), Error>;

    /// The descriptor was readable, and the wait is not over: looks for another reason. Returns
    /// whether the wait is over after all.
    fn woken(&mut self) -> Result<bool, Error>;
}

impl Waiting {
    pub(crate) const fn new(moderation: Moderation) -> Self {
        Self {
            moderation,
            calls: 0,
        }
    }

    /// The same with fresh counts, for another reader.
    pub(crate) const fn like(other: &Self) -> Self {
        Self::new(Moderation::new(other.moderation.interval()))
    }

    pub(crate) const fn calls(&self) -> u64 {
        self.calls
    }

    /// Waits, because there is no packet. Returns false if the timeout expires first; `None` waits
    /// forever.
    #[inline(never)]
    pub(crate) fn wait(
        &mut self,
        source: &mut impl Waited,
        timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        let now = Instant::now();
        // A deadline that no clock can hold means forever.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut time = timeout;
        let (seen, room) = source.progress();
        if let Some(sleep) = self.moderation.sleep(now, seen, room) {
            self.calls += 1;
            source.sleep(timeout.map_or(sleep, |timeout| sleep.min(timeout)))?;
            if source.is_over() {
                return Ok(true);
            }
            time = left();
        }
        loop {
            self.calls += 1;
            let readable = poll_readable(source.fd(), time)?;
            if source.is_over() {
                return Ok(true);
            }
            // Only now, because what wakes a reader is mostly a packet.
            if readable {
                self.calls += 1;
                if source.woken()? {
                    return Ok(true);
                }
            }
            if time == Some(Duration::ZERO) {
                return Ok(false);
            }
            time = left();
        }
    }
}
