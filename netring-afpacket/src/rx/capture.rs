//! A capture from one interface.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use netring_sys::syscall::packet_statistics;
use netring_sys::wait::{self, Stop, StopHandle, Waiter};
use netring_sys::{
    Build, Error, Interface, Open, Packet, PacketSource, Promiscuous, Readiness, Stats,
    SyscallError,
};

use super::batch::Batch;
use super::geometry::RingGeometry;
use super::pace::Change;
use super::reader::Reader;
use crate::builder::CaptureBuilder;

/// Receives the packets of one interface through a ring of blocks that the kernel fills.
///
/// [`next_batch`](Self::next_batch) waits for a block and lends it as a [batch](Batch),
/// [`for_each`](Self::for_each) loops over single packets, and [`PacketSource`] is the interface
/// for all layers above. The descriptor ([`AsFd`]) is readable when
/// [`ready`](PacketSource::ready) has something to report: a block, a stop, or news of the
/// interface.
///
/// It receives from the moment it is opened until it is dropped. If nobody takes batches the ring
/// fills up, and packets that do not fit are counted as dropped:
/// [`CaptureBuilder::profile`] lists how long a pause each ring outlasts. The kernel counts in 32
/// bits, so if neither a batch is taken nor [`stats`](PacketSource::stats) called while 2³² packets
/// arrive (7 minutes at 10 million a second), the count is short by that many.
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
    socket: OwnedFd,

    _promiscuous: Option<Promiscuous>,
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
        promiscuous: Option<Promiscuous>,
    ) -> Self {
        Self {
            waiter,
            reader,
            socket,
            _promiscuous: promiscuous,
            interface: Box::new(interface),
        }
    }

    /// Waits for a batch. Returns `Ok(None)` if the timeout expires first; `None` waits forever.
    ///
    /// Signals that interrupt the wait do not prolong it, and a timeout below a millisecond is not
    /// rounded to zero.
    ///
    /// ```no_run
    /// # fn example(capture: &mut netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
    /// use netring_sys::{Error, PacketBatch};
    /// use std::time::Duration;
    ///
    /// loop {
    ///     match capture.next_batch(Duration::from_millis(100)) {
    ///         Ok(Some(batch)) => println!("{} packets", batch.packets().count()),
    ///         Ok(None) => println!("none for 100 ms"),
    ///         Err(down @ Error::LinkDown { .. }) => println!("{down}"),
    ///         Err(Error::Closed) => return Ok(()),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Error::LinkDown`] once each time the interface goes down; the capture continues.
    /// - [`Error::InterfaceRemoved`] once the interface is gone and its last packets were lent.
    /// - [`Error::Closed`] after a [`StopHandle`] stopped the capture.
    pub fn next_batch(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Batch<'_>>, Error> {
        wait::next_batch(self, timeout.into())
    }

    /// Calls `f` with each packet. Returns `Some` of the value that `f` breaks with, or `None` once
    /// the capture is stopped.
    ///
    /// A loop that breaks in the middle of a block keeps its place: the next loop, or the next
    /// batch, begins with the packet after the one that broke. A link that goes down does not end
    /// the loop; [`Stats::link_downs`] counts it.
    ///
    /// ```no_run
    /// # fn example(capture: &mut netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
    /// use std::ops::ControlFlow;
    ///
    /// let first_long = capture.for_each(|packet| match packet.wire_len() {
    ///     1000.. => ControlFlow::Break(packet.to_buf()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::InterfaceRemoved`], or the call that failed.
    pub fn for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        loop {
            // Dropping the batch would give the block back, and this loop keeps its place in it.
            match wait::next_batch(self, None).map(|batch| batch.map(std::mem::forget)) {
                Ok(_) | Err(Error::LinkDown { .. }) => {}
                Err(Error::Closed) => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(value) = self.reader.each(&mut f) {
                return Ok(Some(value));
            }
        }
    }

    /// Returns a handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }

    /// Why the state of the interface is not watched, if a sandbox forbids netlink sockets; `None`
    /// if it is watched.
    ///
    /// Without it the capture still receives, and reports what its own socket learns: that the
    /// interface was set down, and its removal if it was up. It does not report a lost carrier, and
    /// reports the removal of an interface that is down only to a reader that waits with a timeout.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.waiter.why_link_unwatched()
    }

    /// The interface, as it was when the capture was opened.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The requested ring, and the one that was allocated.
    pub const fn ring(&self) -> RingGeometry {
        self.reader.geometry()
    }

    #[inline]
    fn look(&mut self) -> Result<bool, SyscallError> {
        let socket = &self.socket;
        self.reader.look(|| packet_statistics(socket.as_fd()))
    }

    /// No block is ready: looks whether something else happened.
    #[cold]
    fn look_further(&mut self) -> Result<Readiness, Error> {
        self.waiter.take_news(self.socket.as_fd())?;
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

    /// The ring is empty: has the next block or the clock wake the reader.
    fn keep_pace(&mut self) {
        let ticked = self.waiter.take_tick();
        let Some(change) = self.reader.idle(ticked) else {
            return;
        };
        let period = match change {
            Change::Clock(period) => Some(period),
            Change::Blocks => None,
        };
        // The clock is optional: if no descriptor is left for one, each block goes on waking the
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
        if self.waiter.is_stopped() {
            return Ok(Readiness::Ended);
        }
        if self.look()? {
            return Ok(Readiness::Ready);
        }
        self.look_further()
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        Batch::new(&mut self.reader)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let delta = packet_statistics(self.socket.as_fd())?;
        self.reader.add_kernel(delta);
        Ok(self.reader.stats(self.waiter.link_downs()))
    }

    fn is_live(&self) -> bool {
        true
    }
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
