//! A wire with a generator at its end, and what a reader of it cost.

use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use netring_sys::syscall::poll_readable;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use xtask::netns::{Netns, veth};

use super::ends::{FAR, NEAR};
use super::generator::{Amount, Generator, Sent};
use super::measure::cpu_time;
use super::{chain, measure};
use crate::Result;

/// Longer than any pause of the generator, and than the time after which the kernel hands over a
/// block that is not full.
pub(crate) const QUIET: Duration = Duration::from_millis(60);

/// A wire of our own, that nobody else sends on.
#[derive(Debug)]
pub(crate) struct Wire {
    _netns: Netns,
}

/// What became of the frames, as the reader tells it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Books {
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) invalid: u64,
}

/// What one reader did in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    pub(crate) sent: Sent,
    pub(crate) books: Books,
    pub(crate) usage: Usage,
    /// CPU time between two waits: that of the reader's own code. (The kernel's split into user
    /// and system is made by a tick, which meets a thread that works for a hundredth of the
    /// time by chance; the sum of the two is exact.)
    pub(crate) awake: Duration,
    /// How often it waited.
    pub(crate) waits: u64,
}

/// CPU time of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Wire {
    /// The wire, with this thread at its near end.
    pub(crate) fn new() -> Result<Self> {
        let netns = Netns::enter()?;
        veth(NEAR, FAR)?;
        Ok(Self { _netns: netns })
    }

    /// Sends, and lets this thread read on a core of its own until everything is read. `read` reads
    /// what there is, without waiting, and `fd` is readable when there is more.
    pub(crate) fn round<R>(
        &self,
        generator: &Generator,
        amount: Amount,
        reader: &mut R,
        fd: impl Fn(&R) -> BorrowedFd<'_>,
        mut read: impl FnMut(&mut R) -> Result<()>,
    ) -> Result<Round> {
        measure::pin(measure::MEASURED_CORE);
        thread::scope(|scope| {
            let sending = scope.spawn(|| generator.send(amount).map_err(|why| chain(why.as_ref())));
            let mut round = Round::default();
            let before = Usage::of_this_thread()?;
            loop {
                let start = cpu_time();
                read(reader)?;
                round.awake += cpu_time() - start;
                round.waits += 1;
                let finished = sending.is_finished();
                if !poll_readable(fd(reader), Some(QUIET))? && finished {
                    break;
                }
            }
            round.usage = Usage::of_this_thread()?.since(before);
            let sent = sending.join().map_err(|_| "the generator panicked")?;
            round.sent = sent?;
            Ok(round)
        })
    }
}

impl Round {
    /// Every frame that was sent is delivered or counted.
    pub(crate) fn balance(&self, who: &str) -> Result<()> {
        let Books {
            delivered,
            dropped,
            invalid,
        } = self.books;
        let sent = self.sent.frames;
        if sent == delivered + dropped + invalid {
            return Ok(());
        }
        Err(format!(
            "the books of {who} do not balance: {sent} sent, {delivered} delivered, {dropped} dropped, {invalid} invalid"
        )
        .into())
    }

    /// Nanoseconds for each packet that was delivered.
    pub(crate) fn per_packet(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.books.delivered as f64
    }

    /// Millions of frames a second, as they were sent.
    pub(crate) fn rate(&self) -> f64 {
        self.sent.frames as f64 / self.sent.time.as_micros() as f64
    }
}

impl Usage {
    pub(crate) fn of_this_thread() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
        let time =
            |value: nix::sys::time::TimeVal| Duration::from_micros(value.num_microseconds() as u64);
        Ok(Self {
            user: time(usage.user_time()),
            system: time(usage.system_time()),
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}
