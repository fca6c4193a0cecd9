//! The figures and the controls of a group, from any thread.

use std::sync::Arc;

use netring_sys::wait::StopHandle;
use netring_sys::{Count, Error, Stats, SyscallError};

use super::member::Member;
use super::program::FanoutProgram;
use super::rollover::RolloverStats;

/// The figures and the controls of a [`FanoutGroup`](super::FanoutGroup), from any thread, while
/// its workers are on others and after they are gone.
///
/// ```no_run
/// use netring_afpacket::{Capture, Fanout, FanoutGroup};
///
/// let group = FanoutGroup::open(Capture::builder().interface("eth0"), Fanout::default())?;
/// let handle = group.handle();
/// std::thread::spawn(move || println!("{:?}", handle.stats()));
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FanoutHandle {
    id: u16,
    stop: StopHandle,
    members: Arc<[Arc<Member>]>,
}

impl FanoutHandle {
    pub(super) fn new(id: u16, stop: StopHandle, members: Vec<Arc<Member>>) -> Self {
        Self {
            id,
            stop,
            members: members.into(),
        }
    }

    /// The number of the group, with which [others can join it](super::Fanout::id).
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The fate of every packet of all workers together, those that were dropped included. Each
    /// figure is the exact sum over the workers, and does not reset theirs; but
    /// [`Stats::link_downs`] counts the interface once, as seen by the worker that checked last.
    ///
    /// A worker's packets count as delivered when it returns their batch. Packets still in the ring
    /// of a worker when it is dropped stay [pending](Stats::pending).
    ///
    /// # Errors
    /// The call that reads the kernel's counters failed.
    pub fn stats(&self) -> Result<Stats, Error> {
        let stats = self.worker_stats()?;
        let link_downs = stats.iter().map(|stats| stats.link_downs);
        let link_downs = link_downs.reduce(more_of).unwrap_or_default();
        let mut sum: Stats = stats.into_iter().sum();
        sum.link_downs = link_downs;
        Ok(sum)
    }

    /// The same for each worker, in their order, to see whether the load is even.
    ///
    /// # Errors
    /// The call that reads the kernel's counters failed.
    pub fn worker_stats(&self) -> Result<Vec<Stats>, Error> {
        let stats = self.members.iter().map(|member| member.stats());
        Ok(stats.collect::<Result<_, SyscallError>>()?)
    }

    /// How often packets went to another worker, for all workers together
    /// ([`Capture::rollover_stats`](crate::Capture::rollover_stats) for one); `None` in a group
    /// without [rollover](super::Fanout::rollover). Needs kernel 4.2.
    ///
    /// # Errors
    /// The call that reads the kernel's counters failed.
    #[doc(alias = "PACKET_ROLLOVER_STATS")]
    pub fn rollover_stats(&self) -> Result<Option<RolloverStats>, Error> {
        let members = self.members.iter().map(|member| member.rollover());
        let members = members.collect::<Result<Option<Vec<_>>, SyscallError>>()?;
        Ok(members.map(|members| members.into_iter().sum()))
    }

    /// Replaces the program of the group, in all processes that share it, while packets arrive: the
    /// worker of each packet is selected by the old program or by the new one.
    ///
    /// # Errors
    /// [`Error::Config`] if the program is invalid, or of another kind than that of the group;
    /// [`Error::Closed`] once all workers of this process are dropped.
    #[doc(alias = "PACKET_FANOUT_DATA")]
    pub fn set_program(&self, program: &FanoutProgram) -> Result<(), Error> {
        program.check()?;
        let mut members = self.members.iter();
        let set = members.find_map(|member| member.set_program(program));
        set.unwrap_or(Err(Error::Closed))
    }

    /// Stops all workers.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Returns the handle that stops all workers, which is also that of each of them.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}

/// The larger of two counts of the same thing, exact if both are.
fn more_of(one: Count, other: Count) -> Count {
    let more = one.value().max(other.value());
    match (one.exact(), other.exact()) {
        (Some(_), Some(_)) => more.into(),
        _ => more.map_or(Count::Unavailable, Count::AtLeast),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_goes_down_once_whoever_saw_it() {
        use Count::{AtLeast, Exact, Unavailable};
        assert_eq!(more_of(Exact(2), Exact(1)), Exact(2));
        assert_eq!(more_of(Exact(2), AtLeast(1)), AtLeast(2));
        assert_eq!(more_of(AtLeast(2), Unavailable), AtLeast(2));
        assert_eq!(more_of(Unavailable, Unavailable), Unavailable);
    }
}
