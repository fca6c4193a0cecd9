//! A wire with a generator at one end, and the cost of its reader.

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

/// Longer than any pause of the generator, and longer than the kernel holds back a block that is
/// not full.
pub(crate) const QUIET: Duration = Duration::from_millis(60);

/// A wire that nobody else sends on.
#[derive(Debug)]
pub(crate) struct Wire {
    _netns: Netns,
}

/// The fate of the frames, as reported by the reader.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) invalid: u64,
}

/// The results of one reader in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    pub(crate) sent: Sent,
    pub(crate) totals: Totals,
    pub(crate) usage: Usage,
    /// CPU time between two waits, which is that of the reader's own code. (The kernel splits user
    /// and system time by sampling, which is inaccurate for a thread that works a hundredth of the
    /// time; their sum is exact.)
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
    /// Creates the wire, with this thread at its near end.
    pub(crate) fn new() -> Result<Self> {
        let netns = Netns::enter()?;
        veth(NEAR, FAR)?;
        Ok(Self { _netns: netns })
    }

    /// Sends, while this thread reads on a core of its own until it has everything. `read` reads
    /// what is available without waiting, and `fd` is readable if there is more.
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
    /// Checks that every frame sent is delivered or counted.
    pub(crate) fn balance(&self, who: &str) -> Result<()> {
        let Totals {
            delivered,
            dropped,
            invalid,
        } = self.totals;
        let sent = self.sent.frames;
        if sent == delivered + dropped + invalid {
            return Ok(());
        }
        Err(format!(
            "the totals of {who} do not add up: {sent} sent, {delivered} delivered, {dropped} dropped, {invalid} invalid"
        )
        .into())
    }

    /// Nanoseconds for each packet delivered.
    pub(crate) fn per_packet(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.totals.delivered as f64
    }

    /// Millions of frames sent per second.
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
