//! Fanout: several captures that share the packets of an interface, one for each worker thread.

mod handle;
mod member;
mod open;
mod program;
mod rollover;
mod settings;
mod worker;

use netring_sys::wait::StopHandle;
use netring_sys::{Error, Stats};

use crate::Capture;

pub use handle::FanoutHandle;
pub(crate) use member::{Member, Membership, Published};

pub use program::FanoutProgram;
pub use rollover::RolloverStats;
pub use settings::{Fanout, FanoutMode};

/// Captures that share the packets of an interface: each packet goes to one of them. Each is a
/// separate [`Capture`] with its own ring, for its own thread, or for a task
/// (`AsyncSource::new(worker)` of netring-async).
///
/// ```no_run
/// use std::thread;
///
/// use netring_afpacket::{Capture, Fanout, FanoutGroup};
/// use netring_sys::PacketSource;
///
/// let group = FanoutGroup::open(
///     Capture::builder().interface("eth0"),
///     Fanout::default().workers(4),
/// )?;
/// let handle = group.handle();
/// for mut worker in group.into_workers() {
///     thread::spawn(move || worker.for_each(|packet| println!("{} bytes", packet.wire_len())));
/// }
/// println!("{}", handle.stats()?);
/// handle.stop();
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// # What holds across workers
///
/// - No packet is captured twice. Each is in the [`Stats`] of the worker that the kernel selected
///   for it.
/// - All workers are in the group before the first of them captures, so with
///   [`FanoutMode::Hash`] no flow goes to one worker first and to another one later. They begin
///   within microseconds (2 for each worker, 25 with a filter), in their order. When
///   [`open`](Self::open) returns, all of them are capturing.
/// - The packets that one worker receives are in order. Packets of different workers have no order
///   but that of their [timestamps](crate::CaptureBuilder::timestamps).
/// - With [`FanoutMode::Hash`] and without [rollover](Fanout::rollover), all packets of a flow go
///   to one worker, both directions, so the flow is in order. A flow tracker for each worker then
///   sees whole flows, and needs no lock.
/// - With [`FanoutMode::Cpu`] and [`FanoutMode::QueueMapping`] that depends on the card, with
///   [`FanoutMode::Program`] on the program. In the other modes, and with rollover, packets of a
///   flow go to several workers, and only timestamps order them.
///
/// Three things move flows to other workers while the group runs: a worker that is dropped, a
/// process that [joins](Fanout::id) or leaves, and an interface that goes down and comes up,
/// because the kernel then takes the members out of the group and puts them back one by one.
/// Packets in the ring of a worker that is dropped are not delivered, and stay
/// [pending](Stats::pending).
///
/// # Settings with a different meaning in a group
///
/// [`CaptureBuilder::ignore_outgoing`](crate::CaptureBuilder::ignore_outgoing) of a single socket
/// has no effect in a group, so it becomes a flag of the group. That needs kernel 5.17. Older
/// kernels would accept the flag but ignore it, so there it is refused. *Each worker* has a ring of
/// the configured size: by default 64 MiB. All workers share one [`StopHandle`].
#[doc(alias = "PACKET_FANOUT")]
#[derive(Debug)]
pub struct FanoutGroup {
    workers: Vec<Capture>,
    handle: FanoutHandle,
}

impl FanoutGroup {
    fn new(workers: Vec<Capture>, id: u16) -> Self {
        let members = workers.iter().filter_map(Capture::member).collect();
        let stop = workers[0].stop_handle();
        Self {
            workers,
            handle: FanoutHandle::new(id, stop, members),
        }
    }

    /// The number of the group, with which [others can join it](Fanout::id).
    pub const fn id(&self) -> u16 {
        self.handle.id()
    }

    /// The workers, in the order in which the group selects them.
    pub fn workers(&self) -> &[Capture] {
        &self.workers
    }

    /// The workers, to read them on this thread.
    pub fn workers_mut(&mut self) -> &mut [Capture] {
        &mut self.workers
    }

    /// Returns the workers, each of which can move to its own thread or task. The group exists
    /// until the last of them is dropped.
    pub fn into_workers(self) -> Vec<Capture> {
        self.workers
    }

    /// Returns a handle with the figures and the controls of the group, for any thread.
    pub fn handle(&self) -> FanoutHandle {
        self.handle.clone()
    }

    /// The fate of every packet of all workers: [`FanoutHandle::stats`].
    ///
    /// # Errors
    /// The call that reads the kernel's counters failed.
    pub fn stats(&self) -> Result<Stats, Error> {
        self.handle.stats()
    }

    /// Returns a handle that stops all workers.
    pub fn stop_handle(&self) -> StopHandle {
        self.handle.stop_handle()
    }
}
