//! A capture from one interface, or from all.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use netring_sys::syscall::packet_statistics;
use netring_sys::wait::{self, LinkMonitor, LinkState, Stop, StopHandle, Waiter};
use netring_sys::{
    Build, Error, HardwareTimestamps, Interface, Memberships, Open, Packet, PacketSource,
    Readiness, Stats, SyscallError,
};

use super::batch::Batch;
use super::counters::KernelCounts;
use super::geometry::RingGeometry;
use super::loss::log_lost;
use super::pace::Change;
use super::reader::Reader;
use super::spin::spin;
use crate::builder::CaptureBuilder;
use crate::fanout::{Member, Membership};

/// How often a wait looks at the interface if a sandbox forbids watching it.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Receives the packets of one interface, or of [all](CaptureBuilder::all_interfaces), through a
/// ring of blocks that the kernel fills.
///
/// It is read like every source: [`next_batch`](PacketSource::next_batch) waits for a block and
/// lends it as a [batch](Batch), and [`for_each`](PacketSource::for_each) loops over single
/// packets. The descriptor ([`AsFd`]) is readable when [`ready`](PacketSource::ready) has something
/// to report: a block, a stop, or news of the interface.
///
/// The removal of its interface ends it. [`Captures`](crate::Captures) can
/// [reopen](crate::CapturesBuilder::reopen) an interface that comes back under the same name.
///
/// It receives from the moment it is opened until it is dropped. If nobody takes batches, the ring
/// fills up, and packets that do not fit are counted as dropped: [`CaptureBuilder::profile`] lists
/// the longest pause that each ring absorbs. The kernel counts in 32 bits, so if neither a batch is
/// taken nor [`stats`](PacketSource::stats) called while 2³² packets arrive (7 minutes at 10
/// million a second), the count is short by that many.
///
/// ```no_run
/// use netring_afpacket::Capture;
/// use netring_sys::{PacketSource, Profile};
///
/// let builder = Capture::builder().interface("eth0").promiscuous(true);
/// let mut capture = builder.profile(Profile::LowLatency).build()?;
/// println!("{} bytes of ring", capture.ring().bytes());
/// println!("{} packets offered", capture.stats()?.offered);
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[doc(alias = "TPACKET_V3")]
#[derive(Debug)]
pub struct Capture {
    // Dropped in this order: nothing waits for a closed socket, and the mapping is gone before the
    // kernel frees the ring with its socket.
    waiter: Waiter,
    reader: Reader,
    /// The place in a fanout group.
    membership: Option<Membership>,
    socket: OwnedFd,

    /// Shared by the members of a group.
    card: Option<Arc<HardwareTimestamps>>,
    /// The settings at opening, without the filter.
    settings: Box<CaptureBuilder>,
    memberships: Memberships,
    pub(super) why_ring_short: Option<Box<SyscallError>>,
    /// Boxed because a capture is moved about and this is rarely looked at.
    interface: Box<Interface>,
}

impl Capture {
    /// Captures from the interface of this name, with the settings of
    /// [`Profile::Default`](crate::Profile::Default).
    ///
    /// # Errors
    /// Returns [`Error::NoSuchInterface`], [`Error::NotPermitted`] without CAP_NET_RAW, or the call
    /// that failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder().interface(interface).build()
    }

    /// Returns the default settings.
    pub fn builder() -> CaptureBuilder {
        CaptureBuilder::new()
    }

    pub(crate) fn new(
        socket: OwnedFd,
        waiter: Waiter,
        reader: Reader,
        interface: Interface,
        memberships: Memberships,
        settings: CaptureBuilder,
    ) -> Self {
        Self {
            waiter,
            reader,
            membership: None,
            socket,
            card: None,
            settings: Box::new(settings.without_filter()),
            memberships,
            why_ring_short: None,
            interface: Box::new(interface),
        }
    }

    /// Calls `f` with each packet until it breaks. Returns `Some` of the value that it breaks with,
    /// or `None` once the capture is stopped. For a loop that never breaks,
    /// [`for_each`](PacketSource::for_each) is shorter.
    ///
    /// A loop that breaks in the middle of a block keeps its place: the next loop, or the next
    /// batch, begins with the packet after the one that broke. It waits as
    /// [`next_batch`](PacketSource::next_batch) does, so a link that goes down does not end it.
    ///
    /// ```no_run
    /// # fn example(capture: &mut netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
    /// use std::ops::ControlFlow;
    ///
    /// let first_long = capture.try_for_each(|packet| match packet.wire_len() {
    ///     1000.. => ControlFlow::Break(packet.to_buf()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::InterfaceRemoved`], or the call that failed.
    pub fn try_for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        loop {
            match self.wait(None) {
                Ok(Readiness::Ready) => {
                    if let Some(value) = self.reader.each(&mut f) {
                        return Ok(Some(value));
                    }
                }
                Ok(Readiness::Ended) => return Ok(None),
                Err(error) if error.is_terminal() => return Err(error),
                Ok(Readiness::Empty) | Err(_) => {}
            }
        }
    }

    /// Returns a handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }

    /// The current state of the interface: whether it is up and has a carrier. It is
    /// [`LinkState::Unknown`] if the interface is [not watched](Self::why_link_unwatched), and for
    /// a capture of [all interfaces](CaptureBuilder::all_interfaces).
    ///
    /// # Errors
    /// The call that failed.
    pub fn link_state(&mut self) -> Result<LinkState, Error> {
        Ok(self.waiter.link_state()?)
    }

    /// Returns a monitor that reports each change of the interface to another thread or task, until
    /// the interface is removed or the capture stopped. It enters the given
    /// [namespace](CaptureBuilder::namespace); if none was given, call it in the namespace of the
    /// interface.
    ///
    /// # Errors
    /// The call that failed: a sandbox forbids netlink, or there are too many open files;
    /// [`Error::NotPermitted`] if a given namespace cannot be entered any more, because the process
    /// dropped CAP_SYS_ADMIN; [`Error::Config`] in another namespace, if none was given, and for a
    /// capture of [all interfaces](CaptureBuilder::all_interfaces).
    pub fn link_monitor(&self) -> Result<LinkMonitor, Error> {
        if self.interface.index == 0 {
            return Err(Error::Config {
                setting: "link_monitor",
                why:
                    "the capture is of all interfaces; create one with `LinkMonitor::new` for each"
                        .into(),
            });
        }
        self.waiter.link_monitor(&self.interface)
    }

    /// Why the state of the interface is not watched, if a sandbox forbids netlink sockets; `None`
    /// if it is watched.
    ///
    /// In that case the capture still receives, and reports what its own socket learns: that the
    /// interface was set down or removed. It does not report a lost carrier, and an async reader
    /// does not learn of the removal of an interface that is down.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.waiter.why_link_unwatched()
    }

    /// The interface, as it was when the capture was opened; [`Interface::any`] for a capture of
    /// [all interfaces](CaptureBuilder::all_interfaces).
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The memberships that this capture holds on the interface: promiscuous mode, all multicast
    /// groups, single addresses.
    pub fn memberships(&self) -> &[netring_sys::Membership] {
        self.memberships.list()
    }

    /// The requested ring, and the one that was allocated.
    pub const fn ring(&self) -> RingGeometry {
        self.reader.geometry()
    }

    /// Keeps the card stamping packets for the lifetime of the capture.
    pub(crate) fn hold_card(&mut self, card: Option<Arc<HardwareTimestamps>>) {
        self.card = card;
    }

    /// The settings that it was opened with, without a filter.
    pub(crate) const fn settings(&self) -> &CaptureBuilder {
        &self.settings
    }

    /// Why the ring has fewer blocks than requested: the last refused call, with advice in its
    /// text. `None` if the ring has the requested size.
    ///
    /// The memory of a ring needs no locking: see [`CaptureBuilder::block_count`].
    pub fn why_ring_short(&self) -> Option<&SyscallError> {
        self.why_ring_short.as_deref()
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Makes it a member of a group, whose handle reads its figures.
    pub(crate) fn enter(&mut self, group: Membership) {
        group.note_link_downs(self.waiter.link_downs());
        self.reader.publish(group.published());
        self.membership = Some(group);
    }

    /// Makes `stop`, the handle of another capture, that of this one too.
    pub(crate) fn share_stop(&mut self, stop: StopHandle) -> Result<(), Error> {
        self.waiter.share_stop(stop)
    }

    /// The part of it that its group keeps.
    pub(crate) fn member(&self) -> Option<Arc<Member>> {
        self.membership.as_ref().map(Membership::member)
    }

    #[inline]
    fn look(&mut self) -> Result<bool, SyscallError> {
        let (socket, group, interface) = (&self.socket, self.membership.as_ref(), &self.interface);
        self.reader
            .look(|dropped| kernel_counts(socket.as_fd(), group, interface, dropped))
    }

    /// Looks for a stop and at the ring, without a system call.
    #[inline]
    fn look_at_the_ring(&mut self) -> Result<Readiness, Error> {
        if self.waiter.is_stopped() {
            return Ok(Readiness::Ended);
        }
        Ok(match self.look()? {
            true => Readiness::Ready,
            false => Readiness::Empty,
        })
    }

    /// No block is ready: checks whether something else happened.
    #[cold]
    fn look_further(&mut self) -> Result<Readiness, Error> {
        self.waiter.take_news(self.socket.as_fd())?;
        if let Some(group) = &self.membership {
            group.note_link_downs(self.waiter.link_downs());
        }
        self.keep_pace();
        // Once more: a block may have come since, and packets are lent before the link that went
        // down after them is reported.
        if self.look()? {
            return Ok(Readiness::Ready);
        }
        // The last packets are in a block that the kernel hands over when its timeout expires,
        // which wakes the reader again.
        if self.waiter.is_removed() && self.stats()?.pending() != Some(0) {
            return Ok(Readiness::Empty);
        }
        self.waiter.report()?;
        Ok(Readiness::Empty)
    }

    /// The ring is empty: arranges for the next block or the clock to wake the reader.
    fn keep_pace(&mut self) {
        let ticked = self.waiter.take_tick();
        let Some(change) = self.reader.idle(ticked) else {
            return;
        };
        let period = match change {
            Change::Clock(period) => Some(period),
            Change::Blocks => None,
        };
        // The clock is optional: if no descriptor is left for one, each block keeps waking the
        // reader.
        if self.waiter.set_pace(self.socket.as_fd(), period).is_err() {
            self.reader.give_up_pace();
        }
    }
}

impl PacketSource for Capture {
    type Batch<'a> = Batch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        match self.look_at_the_ring()? {
            Readiness::Empty => self.look_further(),
            found => Ok(found),
        }
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        Batch::new(&mut self.reader)
    }

    #[inline]
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        let mut timeout = timeout;
        let longest = self.settings.spin;
        if !longest.is_zero() {
            let time = timeout.map_or(longest, |timeout| timeout.min(longest));
            let found = spin(self, time, Self::look_at_the_ring)?;
            if found != Readiness::Empty {
                return Ok(found);
            }
            timeout = timeout.map(|timeout| timeout - time);
        }
        if timeout.is_some() || self.why_link_unwatched().is_none() {
            return wait::ready(self, timeout);
        }
        // Nothing wakes the reader if the interface is removed while it is down.
        loop {
            let found = wait::ready(self, Some(UNWATCHED))?;
            if found != Readiness::Empty {
                return Ok(found);
            }
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let (socket, group) = (self.socket.as_fd(), self.membership.as_ref());
        let delta = kernel_counts(socket, group, &self.interface, self.reader.dropped())?;
        self.reader.add_kernel(delta);
        Ok(self.reader.stats(self.waiter.link_downs()))
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// The kernel's counts since the last call. The counters of a member of a group have another reader
/// too. `dropped` packets were counted before.
fn kernel_counts(
    socket: BorrowedFd<'_>,
    group: Option<&Membership>,
    interface: &Interface,
    dropped: u64,
) -> Result<KernelCounts, SyscallError> {
    let counts = match group {
        Some(group) => group.take_kernel()?,
        None => packet_statistics(socket)?.into(),
    };
    log_lost(interface, dropped, dropped + counts.dropped);
    Ok(counts)
}

impl Open for Capture {
    type Builder = CaptureBuilder;

    fn builder() -> CaptureBuilder {
        Self::builder()
    }

    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

impl Build for CaptureBuilder {
    type Source = Capture;

    fn build(self) -> Result<Capture, Error> {
        self.build()
    }
}

impl Stop for Capture {
    fn stop_handle(&self) -> StopHandle {
        self.stop_handle()
    }
}

/// Readable when [`ready`](PacketSource::ready) has something to report. Works with `poll`, `epoll`
/// (level or edge triggered) and async runtimes.
impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }
}

#[cfg(test)]
mod tests;
