//! A capture from all queues of an interface.

mod attach;
mod batch;
mod builder;
mod log;
mod metadata;
mod open;
mod queues;
mod room;
mod source;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use netring_sys::wait::{LinkMonitor, LinkState, StopHandle, Waiter};
use netring_sys::{
    Error, Interface, LinkType, Membership, Memberships, Packet, PacketBatch, PacketSource,
    SyscallError, XdpMode,
};

use crate::memory::accounting::Census;
use crate::options::Mode;
use crate::program::{Attachment, Counters, SocketMap};
use crate::socket::SocketStats;
use crate::socket::rx::RxHalf;
use crate::waiting::Waiting;
use queues::Queues;

pub use batch::Batch;
pub use builder::CaptureBuilder;

/// Receives the packets of all queues of one interface, or of some of them, through AF_XDP sockets
/// and a program that feeds them.
///
/// The host stack does not see packets redirected to a capture: a capture takes packets, it does
/// not copy them. It lends batches like every source ([`PacketSource`]), each from one queue;
/// queues take turns. [`into_workers`](Self::into_workers) makes one source for each queue.
///
/// It receives from the moment it is opened until it is dropped. Then the program is detached from
/// the interface, even if the process was killed.
///
/// ```no_run
/// use netring_xdp::XdpCapture;
///
/// // One source for each receive queue, for as many threads.
/// for worker in XdpCapture::open("eth0")?.into_workers()? {
///     println!("{} on {:?}", worker.mode(), worker.queues().collect::<Vec<_>>());
/// }
/// # Ok::<(), netring_xdp::Error>(())
/// ```
#[derive(Debug)]
pub struct XdpCapture {
    // Dropped first: the program is detached before the sockets are closed with their queues.
    feed: Arc<Feed>,
    queues: Queues,
    waiting: Waiting,
    /// Packets lost when the statistics were last read.
    lost: u64,
}

/// The feed of the sockets, for the lifetime of the captures over it.
#[derive(Debug)]
struct Feed {
    attachment: Option<Attachment>,
    /// The user's own map, which holds the sockets.
    sockets: Option<SocketMap>,
    memberships: Memberships,
    interface: Interface,
    link_type: LinkType,
    why_no_metadata: Option<Error>,
    /// Packets carry the hardware timestamp, if there is one.
    card_time: bool,
}

impl XdpCapture {
    /// Captures from all queues of the interface of this name, in the best available mode.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW, CAP_BPF and
    /// CAP_NET_ADMIN of the host; [`Error::ProgramInTheWay`] if the interface has a foreign XDP
    /// program; [`Error::QueueBusy`] if a queue has a socket (reported after five seconds, because
    /// a queue that was closed can stay busy that long); [`Error::MemoryLimit`] if the packet
    /// memory may not be locked; or the call that failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder().interface(interface).build()
    }

    /// Returns the settings.
    pub fn builder() -> CaptureBuilder {
        CaptureBuilder::new()
    }

    /// Waits for packets, because there are none. Returns whether there are some, or the source was
    /// stopped.
    #[inline(never)]
    fn wait_for_packets(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        // Changes that were not reported because packets arrived meanwhile: nothing will wake the
        // reader for them again.
        self.queues.waiter_mut().report()?;
        self.waiting.wait(&mut self.queues, timeout)
    }

    /// Calls `f` with each packet until it breaks. Returns `Some` of the value that it breaks with,
    /// or `None` once the capture is stopped. For a loop that never breaks,
    /// [`for_each`](PacketSource::for_each) is shorter.
    ///
    /// A loop that breaks keeps its place: the next loop, or the next batch of that queue, begins
    /// with the packet after the one that broke. It waits as
    /// [`next_batch`](PacketSource::next_batch) does, so a link that goes down does not end it.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn try_for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        while let Some(batch) = self.next_batch()? {
            let (mut seen, mut broke) = (0, None);
            for packet in batch.packets() {
                seen += 1;
                if let ControlFlow::Break(value) = f(packet) {
                    broke = Some(value);
                    break;
                }
            }
            if let Some(value) = broke {
                batch.leave_after(seen);
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The current state of the interface: whether it is up and has a carrier. It is
    /// [`LinkState::Unknown`] if the interface is [not watched](Self::why_link_unwatched).
    ///
    /// # Errors
    /// The call that failed.
    pub fn link_state(&mut self) -> Result<LinkState, Error> {
        Ok(self.queues.waiter_mut().link_state()?)
    }

    /// Returns a monitor that reports each change of the interface to another thread or task, until
    /// the interface is removed or the capture stopped. It enters the given
    /// [namespace](CaptureBuilder::namespace); if none was given, call it in the namespace of the
    /// interface.
    ///
    /// # Errors
    /// The call that failed: a sandbox forbids netlink, or there are too many open files;
    /// [`Error::NotPermitted`] if a given namespace cannot be entered any more; [`Error::Config`]
    /// in another namespace, if none was given.
    pub fn link_monitor(&self) -> Result<LinkMonitor, Error> {
        self.queues.waiter().link_monitor(&self.feed.interface)
    }

    /// Why the state of the interface is not watched, if a sandbox forbids netlink sockets
    /// ([`Waiter::why_link_unwatched`](netring_sys::wait::Waiter::why_link_unwatched)).
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.queues.waiter().why_link_unwatched()
    }

    /// A handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.queues.waiter().stop_handle()
    }

    /// Splits the capture into one for each queue, for one thread each. If no
    /// [namespace](CaptureBuilder::namespace) was given, call it in the namespace of the interface.
    ///
    /// The program stays attached until the last of them is dropped. Stop handles taken before stop
    /// the capture of the first queue.
    ///
    /// # Errors
    /// [`Error::Config`] in another network namespace; or the call that failed, if there are too
    /// many open files or not enough memory.
    pub fn into_workers(self) -> Result<Vec<Self>, Error> {
        if let Some(first) = self.queues.halves().first() {
            let (device, interface) = (first.socket().device, &self.feed.interface);
            interface.inside(|| device.check_here(interface))??;
        }
        let Self {
            feed,
            queues,
            waiting,
            ..
        } = self;
        let (waiter, halves) = queues.into_parts();
        // The first worker keeps the existing waiter, which reports what it has seen so far.
        let mut first = Some(waiter);
        let mut workers = Vec::with_capacity(halves.len());
        for half in halves {
            let waiter = match first.take() {
                Some(waiter) => waiter,
                None => Waiter::new(half.socket().fd(), &feed.interface)?,
            };
            workers.push(Self {
                feed: feed.clone(),
                queues: Queues::new(waiter, vec![half]),
                waiting: Waiting::like(&waiting),
                lost: 0,
            });
        }
        Ok(workers)
    }

    /// The interface, as it was when the capture was opened.
    pub fn interface(&self) -> &Interface {
        &self.feed.interface
    }

    /// The numbers of the queues that it receives from.
    pub fn queues(&self) -> impl Iterator<Item = u32> {
        self.queues.halves().iter().map(|half| half.socket().queue)
    }

    /// How packets arrive: the mode of its worst queue.
    pub fn mode(&self) -> Mode {
        if self
            .queues
            .halves()
            .iter()
            .all(|half| half.socket().zero_copy)
        {
            return Mode::ZeroCopy;
        }
        match self.feed.attachment.as_ref().map(Attachment::mode) {
            Some(XdpMode::Native) => Mode::NativeCopy,
            Some(XdpMode::Generic) => Mode::GenericCopy,
            _ => Mode::Copy,
        }
    }

    /// Why packets are copied, if zero-copy mode was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.queues
            .halves()
            .iter()
            .find_map(|half| half.socket().why_not_zero_copy.as_ref())
    }

    /// Why the driver does not run the program, if that was tried.
    pub fn why_not_native(&self) -> Option<&Error> {
        self.feed.attachment.as_ref()?.why_not_native()
    }

    /// Whether the driver is asked for metadata of each packet ([`CaptureBuilder::metadata`]). Each
    /// packet has what the driver reported.
    pub fn has_metadata(&self) -> bool {
        let mut halves = self.queues.halves().iter();
        halves.all(RxHalf::has_metadata)
    }

    /// Why the driver is not asked, or not for everything, if that was tried. A VLAN tag that is
    /// not in the bytes of a packet may then be lost.
    pub fn why_no_metadata(&self) -> Option<&Error> {
        self.feed.why_no_metadata.as_ref()
    }

    /// The program's counters over all queues, including those that this capture does not have;
    /// `None` for the user's own program. `missed` counts packets of queues without a socket.
    ///
    /// # Errors
    /// The call that failed.
    pub fn program_counters(&self) -> Result<Option<Counters>, Error> {
        match &self.feed.attachment {
            Some(attachment) => attachment.counters_total(),
            None => Ok(None),
        }
    }

    /// The number of each queue, and the statistics of its socket.
    ///
    /// # Errors
    /// The call that failed.
    pub fn socket_stats(&self) -> Result<Vec<(u32, SocketStats)>, Error> {
        self.queues
            .halves()
            .iter()
            .map(|half| Ok((half.socket().queue, half.stats()?)))
            .collect()
    }

    /// Where all chunks of the packet memory of each queue are now.
    pub fn census(&self) -> Vec<Census> {
        self.queues
            .halves()
            .iter()
            .map(|half| half.shared().census())
            .collect()
    }

    /// Bytes of the longest packet that is received; longer ones are dropped, and counted
    /// ([`Stats::dropped`](netring_sys::Stats::dropped)). `None` if there is no limit
    /// ([`CaptureBuilder::multi_buffer`]).
    ///
    /// By default, every packet fits that the MTU allows at the time of opening. If the MTU is
    /// raised later, compare the two: a frame is 14 bytes longer than the MTU, and 4 more for each
    /// VLAN tag.
    pub fn longest(&self) -> Option<u32> {
        let half = self.queues.halves().first()?;
        let has_limit = !half.takes_several();
        has_limit.then(|| half.shared().geometry().payload())
    }

    /// The memberships that this capture holds on the interface: promiscuous mode, all multicast
    /// groups, single addresses.
    pub fn memberships(&self) -> &[Membership] {
        self.feed.memberships.list()
    }

    /// System calls made by [`wait`](PacketSource::wait) and functions built on it, to wait and to
    /// wake the kernel.
    pub fn system_calls(&self) -> u64 {
        let kicks = self.queues.halves().iter().map(RxHalf::kicks);
        self.waiting.calls() + kicks.sum::<u64>()
    }
}
