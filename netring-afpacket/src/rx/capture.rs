//! A capture, and the batches that it lends.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use netring_sys::kernel::packet::TP_STATUS_LOSING;
use netring_sys::syscall::packet_statistics;
use netring_sys::wait::{self, StopHandle, Waiter};
use netring_sys::{
    Count, Error, Interface, Open, Packet, PacketBatch, PacketSource, Promiscuous, Readiness,
    Stats, SyscallError,
};

use super::counters::Counters;
use super::pace::{Change, Pace};
use super::parse::{Context, Packets, Position, Tally, sequence};
use super::ring::Ring;
use crate::builder::{CaptureBuilder, RingGeometry};

/// Receives the packets of one interface out of a ring of blocks that the kernel fills.
///
/// Blocks are lent as [batches](Batch): [`next_batch`](Self::next_batch) waits for one,
/// [`for_each`](Self::for_each) is the loop over single packets, and [`PacketSource`] is what
/// everything above takes. As a descriptor ([`AsFd`]) it is readable when
/// [`ready`](PacketSource::ready) has something to say: a block, a stop, or news of the interface.
///
/// It receives from the moment it is opened until it is dropped. While nobody takes batches the
/// ring fills up, and what does not fit is counted as dropped: [`Profile`](crate::Profile) says how
/// long a pause each ring outlasts. (The kernel counts in 32 bits: of a reader that neither takes a
/// batch nor asks for [`stats`](PacketSource::stats) while 2³² packets come, 7 minutes at 10
/// million a second, so many are forgotten.)
#[doc(alias = "TPACKET_V3")]
#[derive(Debug)]
pub struct Capture {
    // Dropped in this order: nobody waits for a socket that is closed, and the mapping is gone
    // when the kernel frees the ring with its socket.
    pub(super) waiter: Waiter,
    pub(super) ring: Ring,
    pub(super) socket: OwnedFd,

    pub(super) _promiscuous: Option<Promiscuous>,
    // Boxed, as the pace is: both are looked at seldom, and a capture is moved about.
    pub(super) interface: Box<Interface>,
    pub(super) context: Context,
    pub(super) size: RingGeometry,
    pub(super) pace: Box<Pace>,
    pub(super) counters: Counters,
    /// The next packet of the current block, once the block was looked at.
    pub(super) at: Option<Position>,
}

/// The packets of one block (with [`Profile::Immediate`](crate::Profile::Immediate) one packet), or
/// what is left of it after [`Capture::for_each`] was left in its middle.
///
/// Dropping it gives the block back to the kernel. Until then the kernel fills the other blocks,
/// and stops when it has come round to this one. (A batch that is leaked is lent once more.)
#[derive(Debug)]
pub struct Batch<'a> {
    capture: &'a mut Capture,
    /// What a pass over all the packets found.
    tally: Cell<Option<Tally>>,
}

impl Capture {
    /// Captures from the interface of this name, with the settings of
    /// [`Profile::Default`](crate::Profile::Default).
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], [`Error::NotPermitted`] without CAP_NET_RAW, or the call that
    /// failed.
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
    /// The time is kept however many signals interrupt the wait, and one below a millisecond is not
    /// rounded to nothing.
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
    /// [`Error::LinkDown`] once each time the interface goes down, after which the capture goes on;
    /// [`Error::InterfaceRemoved`] when it is gone and its last packets were lent;
    /// [`Error::Closed`] once a [`StopHandle`] stopped the capture.
    pub fn next_batch(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Batch<'_>>, Error> {
        wait::next_batch(self, timeout.into())
    }

    /// Calls `f` with each packet, until it breaks (`Some` of what it broke with) or the capture is
    /// stopped (`None`).
    ///
    /// A loop that is left in the middle of a block keeps its place: the next loop, or the next
    /// batch, begins with the packet behind the one that broke. A link that goes down does not
    /// end the loop; [`Stats::link_downs`] counts it.
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
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        loop {
            // Not the batch: this loop keeps its place when it is left.
            match wait::next_batch(self, None).map(|batch| batch.map(std::mem::forget)) {
                Ok(_) | Err(Error::LinkDown { .. }) => {}
                Err(Error::Closed) => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(value) = self.walk(&mut f) {
                return Ok(Some(value));
            }
        }
    }

    /// A handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }

    /// Why the state of the interface is not watched: a sandbox forbids netlink sockets. `None` if
    /// it is watched.
    ///
    /// The capture works all the same, and reports what its own socket says: that the interface was
    /// set down, and its removal if it was up. A lost carrier is not reported, and the removal
    /// of an interface that is down only to a reader that waits with a timeout.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.waiter.why_link_unwatched()
    }

    /// The interface, as it was when the capture was opened.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The ring that was asked for, and the one that was got.
    pub const fn ring(&self) -> RingGeometry {
        self.size
    }

    /// Calls `f` with the packets of the current block, and stays behind the one that broke.
    fn walk<B>(&mut self, f: &mut impl FnMut(Packet<'_>) -> ControlFlow<B>) -> Option<B> {
        let block = self.ring.block()?;
        let mut broke = None;
        // The place and the count are written before each call: they are right even where it
        // panics.
        while let Some(packet) = self.at.as_mut()?.step(block, &self.context) {
            self.counters.add(Tally {
                delivered: 1,
                invalid: 0,
            });
            if let ControlFlow::Break(value) = f(packet) {
                broke = Some(value);
                break;
            }
        }
        self.give_back_if_done();
        broke
    }

    /// Whether the current block has a packet to lend. Blocks that have none are given back.
    #[inline]
    fn look(&mut self) -> Result<bool, Error> {
        while self.at.is_none() {
            let Some(status) = self.ring.status() else {
                return Ok(false);
            };
            // While packets are lost, blocks say so until the counters are read; these do not wrap
            // in the time of one block.
            if status & TP_STATUS_LOSING != 0 || self.counters.is_due() {
                self.read_kernel_counters()?;
            }
            if self.size.slot_size.is_some() {
                self.ring.turn_header();
                self.at = Some(Position::in_a_slot());
            } else {
                self.at = self.ring.block().map(Position::first);
            }
            self.give_back_if_done();
        }
        Ok(true)
    }

    /// There is no block: looks whether something else happened.
    #[cold]
    fn look_further(&mut self) -> Result<Readiness, Error> {
        self.waiter.take_news(self.socket.as_fd())?;
        self.keep_pace();
        // Once more: a block may have come since, and a packet is told before the link that went
        // down behind it.
        if self.look()? {
            return Ok(Readiness::Ready);
        }
        // The last packets are in a block that the kernel hands over when its time is over, which
        // wakes the reader again.
        if self.waiter.is_removed() && self.stats()?.pending() != Some(0) {
            return Ok(Readiness::Empty);
        }
        self.waiter.report()?;
        Ok(Readiness::Empty)
    }

    /// Gives the current block back where no packet of it is left that can be read.
    fn give_back_if_done(&mut self) {
        if let (Some(at), Some(block)) = (self.at, self.ring.block())
            && !at.is_readable(block, &self.context)
        {
            self.give_back(at.tally(block, &self.context));
        }
    }

    /// Counts what was left of the current block, and gives it back.
    fn give_back(&mut self, rest: Tally) {
        self.counters.add(rest);
        self.at = None;
        self.ring.release();
        self.pace.block();
    }

    /// The ring is empty: decides whether the next block wakes the reader, or the clock.
    fn keep_pace(&mut self) {
        let ticked = self.waiter.take_tick();
        let Some(change) = self.pace.idle(ticked, Instant::now) else {
            return;
        };
        let period = match change {
            Change::Clock(period) => Some(period),
            Change::Blocks => None,
        };
        // It can do without: where there is no descriptor left for a clock, each block goes on
        // waking the reader.
        if self.waiter.set_pace(self.socket.as_fd(), period).is_err() {
            self.pace.give_up();
        }
    }

    fn read_kernel_counters(&mut self) -> Result<(), SyscallError> {
        let delta = packet_statistics(self.socket.as_fd())?;
        self.counters.add_kernel(delta);
        Ok(())
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
        Batch {
            capture: self,
            tally: Cell::new(None),
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.read_kernel_counters()?;
        let mut stats = self.counters.stats(self.waiter.link_downs());
        if self.size.slot_size.is_some() {
            // The kernel counts it for blocks only.
            stats.freezes = Count::Unavailable;
        }
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Open for Capture {
    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

/// Readable when [`ready`](PacketSource::ready) has something to say; fit for `poll`, `epoll`
/// (level or edge triggered) and runtimes.
impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }
}

impl Batch<'_> {
    /// The number of the block: 1 for the first that the kernel opened, and one more with each.
    /// With [`Profile::Immediate`](crate::Profile::Immediate) the number of the packet. 0 for a
    /// batch that lends nothing.
    #[doc(alias = "seq_num")]
    pub fn sequence(&self) -> u64 {
        match self.capture.size.slot_size {
            Some(_) => self.block().map_or(0, |_| self.capture.counters.read() + 1),
            None => self.block().map_or(0, sequence),
        }
    }

    /// The current block, where there is something in it to lend.
    #[inline]
    fn block(&self) -> Option<&[u8]> {
        self.capture.at.and_then(|_| self.capture.ring.block())
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let capture = &*self.capture;
        let at = capture.at.unwrap_or_default();
        Packets::new(
            self.block().unwrap_or_default(),
            &capture.context,
            at,
            &self.tally,
        )
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some((at, block)) = self.capture.at.zip(self.block()) else {
            return;
        };
        // Who did not walk to the end still had every packet: they are counted now.
        let tally = self.tally.get();
        let rest = tally.unwrap_or_else(|| at.tally(block, &self.capture.context));
        self.capture.give_back(rest);
    }
}

#[cfg(test)]
mod tests;
