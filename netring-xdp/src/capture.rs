//! A capture over all queues of an interface, and the batches that it lends.

mod builder;
mod metadata;
mod open;
mod room;
mod waiting;

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use netring_sys::syscall::xdp_statistics_of;
use netring_sys::wait::{StopHandle, Waiter};
use netring_sys::{
    Clock, Count, Error, Interface, LinkType, Open, Packet, PacketBatch, PacketSource, Promiscuous,
    Readiness, Stats, SyscallError, Timestamp, XdpMode,
};

use crate::memory::accounting::Census;
use crate::options::Mode;
use crate::program::{Attachment, Counters, Metadata, SocketMap};
use crate::socket::SocketStats;
use crate::socket::rx::{RxBatch, RxHalf};
use crate::waiting::moderation::Moderation;

pub use builder::CaptureBuilder;

/// Receives the packets of all queues of one interface, or of those that were chosen, by AF_XDP
/// sockets and a program that feeds them.
///
/// What is redirected to it the host's own stack does not see: a capture takes packets, it does not
/// copy them. Batches are lent as with every source ([`PacketSource`]), each of one queue; queues
/// take turns. [`into_workers`](Self::into_workers) makes one source for each queue.
///
/// It receives from the moment it is opened until it is dropped; then the program is taken off the
/// interface, also where the process was killed.
#[derive(Debug)]
pub struct XdpCapture {
    // Dropped in this order: nobody waits for a socket that is closed, and the program is off
    // before the sockets are closed with their queues.
    waiter: Waiter,
    feed: Arc<Feed>,
    queues: Vec<RxHalf>,
    /// The queue that is looked at first.
    at: usize,
    moderation: Moderation,
    /// System calls made to wait.
    waits: u64,
}

/// What feeds the sockets, for as long as one of the captures over it lives.
#[derive(Debug)]
struct Feed {
    attachment: Option<Attachment>,
    /// The user's own map, which has the sockets.
    sockets: Option<SocketMap>,
    promiscuous: Option<Promiscuous>,
    interface: Interface,
    link_type: LinkType,
    why_no_metadata: Option<Error>,
    /// Packets have the card's time where there is one.
    card_time: bool,
}

/// Packets of one queue, up to 256 at once: an eighth of the receive ring, of smaller ones, but no
/// fewer than 64.
///
/// Dropping it gives their chunks back to the kernel. Until then the kernel has the others.
#[derive(Debug)]
pub struct Batch<'a> {
    lent: RxBatch<'a>,
    timestamp: Timestamp,
    link_type: LinkType,
    interface: u32,
    queue: u32,
    card_time: bool,
}

impl XdpCapture {
    /// Captures from all queues of the interface of this name, in the best mode that there is.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW, CAP_BPF and
    /// CAP_NET_ADMIN of the host; [`Error::ProgramInTheWay`] where the interface has an XDP
    /// program of somebody else's; [`Error::Config`] for more packet memory than may be locked;
    /// or the call that failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder().interface(interface).build()
    }

    /// Settings to open a capture with.
    pub fn builder() -> CaptureBuilder {
        CaptureBuilder::new()
    }

    /// Waits for a batch; `Ok(None)` where the time was over first. `None` for a time waits for
    /// ever.
    ///
    /// While packets come fast, one by one, it lets them gather first
    /// ([`CaptureBuilder::moderation`]).
    ///
    /// # Errors
    /// [`Error::LinkDown`] once each time the interface goes down, after which the capture goes on;
    /// [`Error::InterfaceRemoved`] when it is gone and its last packets were lent;
    /// [`Error::Closed`] once a [`StopHandle`] stopped the capture.
    pub fn next_batch(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Batch<'_>>, Error> {
        let found = self.look() || self.wait(timeout.into())?;
        // Also where there are packets: a source that was stopped has ended.
        if self.waiter.is_stopped() {
            return Err(Error::Closed);
        }
        Ok(found.then(|| self.batch()))
    }

    /// Calls `f` with each packet, until it breaks (`Some` of what it broke with) or the capture is
    /// stopped (`None`).
    ///
    /// A loop that is left keeps its place: the next loop, or the next batch of that queue, begins
    /// with the packet behind the one that broke. A link that goes down does not end the loop;
    /// [`Stats::link_downs`] counts it.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        loop {
            let batch = match self.next_batch(None) {
                Ok(Some(batch)) => batch,
                Ok(None) | Err(Error::LinkDown { .. }) => continue,
                Err(Error::Closed) => return Ok(None),
                Err(error) => return Err(error),
            };
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
    }

    /// Why the state of the interface is not watched
    /// ([`Waiter::why_link_unwatched`](netring_sys::wait::Waiter::why_link_unwatched)): a sandbox
    /// forbids netlink sockets.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.waiter.why_link_unwatched()
    }

    /// A handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }

    /// One capture for each queue, for a thread each. Call it from the network namespace of the
    /// interface.
    ///
    /// The program stays on the interface until the last of them is dropped. Stop handles taken
    /// before stop the one of the first queue.
    ///
    /// # Errors
    /// [`Error::Config`] in another network namespace; there are too many open files, or not enough
    /// memory.
    pub fn into_workers(self) -> Result<Vec<Self>, Error> {
        if let Some(first) = self.queues.first() {
            first.socket.device.check_here(&self.feed.interface)?;
        }
        let Self {
            waiter,
            feed,
            queues,
            at: _,
            moderation,
            waits: _,
        } = self;
        // The first goes on with the waiter that there is: what it has heard and not told is told
        // by that one.
        let mut first = Some(waiter);
        let mut workers = Vec::with_capacity(queues.len());
        for half in queues {
            let waiter = match first.take() {
                Some(waiter) => waiter,
                None => Waiter::new(half.socket.fd(), &feed.interface)?,
            };
            workers.push(Self {
                waiter,
                feed: feed.clone(),
                queues: vec![half],
                at: 0,
                moderation: Moderation::new(moderation.interval()),
                waits: 0,
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
        self.queues.iter().map(|half| half.socket.queue)
    }

    /// How packets come, really: the worst of its queues.
    pub fn mode(&self) -> Mode {
        if self.queues.iter().all(|half| half.socket.zero_copy) {
            return Mode::ZeroCopy;
        }
        match self.feed.attachment.as_ref().map(Attachment::mode) {
            Some(XdpMode::Native) => Mode::NativeCopy,
            Some(XdpMode::Generic) => Mode::GenericCopy,
            _ => Mode::Copy,
        }
    }

    /// Why they do not come without a copy, where that was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.queues
            .iter()
            .find_map(|half| half.socket.why_not_zero_copy.as_ref())
    }

    /// Why the driver does not run the program, where that was tried.
    pub fn why_not_native(&self) -> Option<&Error> {
        self.feed.attachment.as_ref()?.why_not_native()
    }

    /// Whether the driver is asked what it knows of each packet ([`CaptureBuilder::metadata`]).
    /// Each packet tells what there was to know.
    pub fn has_metadata(&self) -> bool {
        let mut queues = self.queues.iter();
        queues.all(|half| half.metadata.is_some())
    }

    /// Why the driver is not asked, or not for all of it, where that was tried: a VLAN tag that is
    /// not in the bytes of a packet may then be lost.
    pub fn why_no_metadata(&self) -> Option<&Error> {
        self.feed.why_no_metadata.as_ref()
    }

    /// What the program counted, of all queues, those too that this capture does not have; `None`
    /// for the user's own program. `missed` are packets of queues without a socket.
    ///
    /// # Errors
    /// The call that failed.
    pub fn program_counters(&self) -> Result<Option<Counters>, Error> {
        match &self.feed.attachment {
            Some(attachment) => attachment.counters_total(),
            None => Ok(None),
        }
    }

    /// What the kernel counts of the socket of each queue.
    ///
    /// # Errors
    /// The call that failed.
    pub fn socket_stats(&self) -> Result<Vec<(u32, SocketStats)>, Error> {
        self.queues
            .iter()
            .map(|half| Ok((half.socket.queue, half.stats()?)))
            .collect()
    }

    /// Where all chunks of the packet memory of each queue are now.
    pub fn census(&self) -> Vec<Census> {
        self.queues
            .iter()
            .map(|half| half.shared.census())
            .collect()
    }

    /// Bytes of the longest packet that is received; longer ones are lost, and counted as dropped
    /// ([`Stats::dropped`]). `None` without a limit ([`CaptureBuilder::multi_buffer`]).
    ///
    /// By default every packet fits that the interface brings, by the MTU it has when it is opened.
    /// If that is raised later, compare this with it: a frame is 14 bytes longer, and 4 more
    /// for each VLAN tag.
    pub fn longest(&self) -> Option<u32> {
        let half = self.queues.first()?;
        half.assembly
            .is_none()
            .then(|| half.shared.geometry().payload())
    }

    /// Whether the interface is in promiscuous mode for this capture.
    pub fn is_promiscuous(&self) -> bool {
        self.feed.promiscuous.is_some()
    }

    /// System calls made by [`next_batch`](Self::next_batch) and [`for_each`](Self::for_each) to
    /// wait, and to wake the kernel.
    pub fn system_calls(&self) -> u64 {
        let kicks = self.queues.iter().map(|half| half.kicks);
        self.waits + kicks.sum::<u64>()
    }
}

impl PacketSource for XdpCapture {
    type Batch<'a> = Batch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        if self.waiter.is_stopped() {
            return Ok(Readiness::Ended);
        }
        if self.look() {
            return Ok(Readiness::Ready);
        }
        self.look_further()
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        let at = self.at;
        // The next look begins with the queue behind this one.
        self.at = if at + 1 < self.queues.len() {
            at + 1
        } else {
            0
        };
        // There is one at the least.
        let half = &mut self.queues[at];
        Batch {
            queue: half.socket.queue,
            lent: half.lend(),
            timestamp: Timestamp::now().with_clock(Clock::Process),
            link_type: self.feed.link_type,
            interface: self.feed.interface.index,
            card_time: self.feed.card_time,
        }
    }

    /// `offered` is what the program redirected to the sockets, by its own count. `dropped` is
    /// exact in copy mode; in zero-copy mode the card drops by itself, and its counters have
    /// that.
    fn stats(&mut self) -> Result<Stats, Error> {
        let (mut delivered, mut dropped, mut invalid, mut pending) = (0, 0, 0, 0);
        let mut redirected = Some(0);
        let mut zero_copy = false;
        for half in &mut self.queues {
            let (kernel, _) = xdp_statistics_of(half.socket.fd())?;
            delivered += half.delivered;
            invalid += half.invalid;
            dropped += kernel.rx_dropped + kernel.rx_ring_full;
            pending += u64::from(half.rx.available(u32::MAX));
            zero_copy |= half.socket.zero_copy;
            // The program last: it counts a packet first, so that beside traffic no more are lent
            // and lost than were offered.
            redirected = redirected
                .zip(self.feed.redirected(half.socket.queue)?)
                .map(|(a, b)| a + b);
        }
        let mut stats = Stats::counted(delivered);
        stats.offered = match redirected {
            Some(redirected) => Count::Exact(redirected),
            None => Count::AtLeast(delivered + dropped + invalid + pending),
        };
        stats.dropped = if zero_copy {
            Count::AtLeast(dropped)
        } else {
            Count::Exact(dropped)
        };
        stats.invalid = Count::Exact(invalid);
        stats.freezes = Count::Unavailable;
        stats.link_downs = self.waiter.link_downs();
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Open for XdpCapture {
    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

/// Readable when [`ready`](PacketSource::ready) has something to say; fit for `poll`, `epoll`
/// (level or edge triggered) and runtimes.
impl AsFd for XdpCapture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }
}

impl Feed {
    fn redirected(&self, queue: u32) -> Result<Option<u64>, Error> {
        let Some(attachment) = &self.attachment else {
            return Ok(None);
        };
        let counters = attachment.counters(queue)?;
        Ok(counters.map(|counters| counters.redirected))
    }
}

impl Batch<'_> {
    /// The queue that its packets came through.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    fn leave_after(self, packets: u64) {
        self.lent.leave_after(packets);
    }
}

impl Batch<'_> {
    #[inline]
    fn packet<'a>(&self, bytes: &'a [u8], before: Option<&[u8; Metadata::LEN]>) -> Packet<'a> {
        let metadata = before.and_then(Metadata::read).unwrap_or_default();
        let timestamp = metadata.timestamp.filter(|_| self.card_time);
        let timestamp = timestamp.unwrap_or(self.timestamp);
        Packet::new(bytes, timestamp, self.link_type)
            .with_interface(self.interface)
            .with_queue(Some(self.queue))
            .with_rx_hash(metadata.hash)
            .with_vlan(metadata.vlan)
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let unread = self.lent.unread();
        unread.map(|(bytes, before)| self.packet(bytes, before))
    }
}
