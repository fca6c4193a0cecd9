//! `Capture`: a packet socket with its ring, as a packet source.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use netring_sys::kernel::packet::{ETH_P_ALL, TP_STATUS_LOSING, packet_mreq};
use netring_sys::wait::{self, StopHandle, Waiter};
use netring_sys::{
    Error, Interface, Mmap, Open, Packet, PacketBatch, PacketSource, Readiness, Stats, syscall,
};

use crate::config::{Builder, RingSize};
use crate::counters::Counters;
use crate::ring::Ring;
use crate::walk::{Context, Packets, Position, Tally};

/// Packets of one interface, by a TPACKET_V3 ring.
///
/// Every packet that passes the filter is delivered or counted ([`stats`](PacketSource::stats)). Packets are lent in batches,
/// a block of the ring each; the block goes back to the kernel when its batch is dropped. A reader that holds a batch while the ring fills up
/// loses packets, and is told how many.
///
/// A capture can be sent to another thread, and stays in the network namespace it was opened in.
#[derive(Debug)]
pub struct Capture {
    // Fields are dropped in this order: the mapping goes before the socket whose memory it is.
    ring: Ring,
    /// Where the reader is in the current block; `None` before it is looked into.
    at: Option<Position>,
    context: Context,
    counters: Counters,
    waiter: Waiter,
    socket: OwnedFd,
    interface: Interface,
    size: RingSize,
}

impl Capture {
    /// Captures from an interface with the default settings: 64 MiB of ring, whole packets, no filter.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder().interface(interface).build()
    }

    /// Settings other than the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn build(builder: Builder) -> Result<Self, Error> {
        builder.check()?;
        let interface = Interface::by_name(&builder.interface)?;
        let socket = syscall::packet_socket().map_err(|error| error.needs_net_raw())?;
        let fd = socket.as_fd();
        syscall::set_packet_version(fd)?;
        syscall::set_packet_timestamp(fd, builder.timestamps.bits())?;
        if builder
            .ignore_outgoing
            .unwrap_or_else(|| interface.is_loopback())
        {
            syscall::set_packet_ignore_outgoing(fd, true)?;
        }
        // Bound to the interface, but hooked to no protocol: no packet enters while the filter and the ring are made.
        syscall::bind_packet(fd, interface.index, 0)?;
        if let Some(program) = builder.program() {
            syscall::attach_filter(fd, &program)?;
        }
        let size = builder.make_ring(fd)?;
        let ring = Ring::new(
            Mmap::shared(fd, size.bytes())?,
            size.block_size,
            size.block_count,
        );
        let waiter = Waiter::new(fd, &interface)?;
        if builder.promiscuous {
            let mr_ifindex = interface.index as i32;
            let promiscuous = packet_mreq {
                mr_ifindex,
                mr_type: 1,
                ..packet_mreq::default()
            };
            syscall::add_packet_membership(fd, &promiscuous)?;
        }
        // Go: from here on packets of this interface that pass the filter, and no others, come in.
        syscall::bind_packet(fd, interface.index, ETH_P_ALL)?;
        let context = Context {
            link_type: interface.link_type(),
            snap_len: builder.kept_bytes(),
            features: builder.features(),
        };
        let (at, counters) = (None, Counters::default());
        Ok(Self {
            ring,
            at,
            context,
            counters,
            waiter,
            socket,
            interface,
            size,
        })
    }

    /// Waits for packets and lends them; `Ok(None)` where the time was over first. `None` waits for ever.
    ///
    /// The time is a true time-out, whatever the ring does, to the microsecond.
    ///
    /// # Errors
    /// [`Error::LinkDown`] once each time the interface goes down, after which the next call waits on;
    /// [`Error::InterfaceRemoved`]; [`Error::Closed`] once a [`StopHandle`] was used.
    pub fn next_batch(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Batch<'_>>, Error> {
        wait::next_batch(self, timeout.into())
    }

    /// Calls `each` with packet after packet, waiting for them, until it breaks (`Ok(Some(value))`) or the capture is stopped
    /// (`Ok(None)`).
    ///
    /// A break keeps the place: the next call, or the next batch, starts with the packet after it. A link that goes down does not end the
    /// loop; [`Stats::link_downs`] counts it.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn for_each<B>(
        &mut self,
        mut each: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        loop {
            match self.ready() {
                Ok(Readiness::Ready) => {
                    if let ControlFlow::Break(value) = self.for_each_in_block(&mut each) {
                        return Ok(Some(value));
                    }
                }
                Ok(Readiness::Empty) => drop(syscall::poll_readable(self.as_fd(), None)?),
                Ok(Readiness::Ended) => return Ok(None),
                Err(error) if !error.is_terminal() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn for_each_in_block<B>(
        &mut self,
        each: &mut impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let (Some(mut at), Some(block)) = (self.at, self.ring.block()) else {
            return ControlFlow::Continue(());
        };
        let mut delivered = 0;
        while let Some(packet) = at.step(block, &self.context) {
            delivered += 1;
            let flow = each(packet);
            if flow.is_break() {
                self.at = Some(at);
                self.counters.add_block(Tally {
                    delivered,
                    invalid: 0,
                });
                return flow;
            }
        }
        let invalid = at.plausible(block);
        self.give_back(Tally { delivered, invalid });
        ControlFlow::Continue(())
    }

    /// A handle that stops the capture from any thread: whoever waits for it wakes up at once.
    pub fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }

    /// The interface, as it was when the capture was opened.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The size of the ring, and what was asked for.
    pub const fn ring(&self) -> RingSize {
        self.size
    }

    /// Looks into the next block that has packets; false where the kernel has handed over none.
    #[inline]
    fn enter_block(&mut self) -> bool {
        if self.at.is_some() {
            return true;
        }
        // A block without packets is passed over. One round is enough: the kernel cannot fill blocks faster than this for ever.
        for _ in 0..self.ring.block_count() {
            let Some(block) = self.ring.block() else {
                return false;
            };
            self.at = Position::first(block);
            if self.at.is_some() {
                return true;
            }
            self.ring.release();
        }
        false
    }

    /// Gives the current block back, and counts what was in it.
    fn give_back(&mut self, tally: Tally) {
        let losing = self
            .ring
            .status()
            .is_some_and(|status| status & TP_STATUS_LOSING != 0);
        self.at = None;
        self.ring.release();
        self.counters.add_block(tally);
        if losing || self.counters.is_due() {
            // A failure here is not lost: the next `stats` asks again, and reports it.
            let _ = self.read_kernel_counters();
        }
    }

    fn read_kernel_counters(&mut self) -> Result<(), Error> {
        self.counters
            .add_kernel(syscall::packet_statistics(self.socket.as_fd())?);
        Ok(())
    }
}

impl Open for Capture {
    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

impl PacketSource for Capture {
    type Batch<'a> = Batch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        if self.waiter.is_stopped() {
            return Ok(Readiness::Ended);
        }
        if self.enter_block() {
            return Ok(Readiness::Ready);
        }
        self.waiter.check(self.socket.as_fd())?;
        Ok(if self.waiter.is_stopped() {
            Readiness::Ended
        } else {
            Readiness::Empty
        })
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        self.enter_block();
        Batch {
            capture: self,
            tally: Cell::new(None),
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.read_kernel_counters()?;
        Ok(self.counters.stats(self.waiter.link_downs()))
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// One descriptor for everything a capture waits for: packets, a stop, and news of its interface.
impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }
}

/// The packets of one block, or what is left of it. Dropping it gives the block back to the kernel.
#[derive(Debug)]
pub struct Batch<'a> {
    capture: &'a mut Capture,
    /// What the block holds, once somebody walked it to its end.
    tally: Cell<Option<Tally>>,
}

impl Batch<'_> {
    /// The block's running number, from 1: a gap means that the ring and its reader lost each other.
    #[doc(alias = "seq_num")]
    pub fn sequence(&self) -> Option<u64> {
        crate::walk::sequence(self.capture.ring.block()?)
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let at = self.capture.at;
        // Without a position there is no block of ours to look into.
        let block = at
            .and_then(|_| self.capture.ring.block())
            .unwrap_or_default();
        Packets::new(block, &self.capture.context, at, &self.tally)
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        let (Some(at), Some(block)) = (self.capture.at, self.capture.ring.block()) else {
            return;
        };
        // A walk that was left early, or never begun, is finished here: the packets were lent all the same.
        let tally = self
            .tally
            .get()
            .unwrap_or_else(|| at.tally(block, &self.capture.context));
        self.capture.give_back(tally);
    }
}
