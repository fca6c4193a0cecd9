//! An injector sends frames out of one interface.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use netring_sys::kernel::packet::virtio_net_hdr;
use netring_sys::{Error, Interface, TimestampStats, TransmitTimestamps, wait};
#[cfg(doc)]
use netring_sys::{PacketSink, SinkStats};

use super::builder::InjectorBuilder;
use super::limits::{Fault, Limits};
use super::request::Request;
use super::ring::{Ring, Waiting};
use super::stamps::Stamps;
use super::stats::{Counts, RejectStats};
use crate::rx::RingGeometry;

/// Bytes of the longest frame that the kernel copies out of the ring: with the kernel's headroom
/// and bookkeeping its buffer has 8 KiB. A copy of a longer one would need more pages in a row.
const COPY_MOST: usize = 7168;

/// Sends frames out of an interface through a ring of slots that the kernel reads
/// (`PACKET_TX_RING`, `TPACKET_V2`).
///
/// ```no_run
/// use netring_afpacket::Injector;
/// use netring_sys::{PacketSink, PacketSlot};
/// use std::time::{Duration, Instant};
///
/// let mut injector = Injector::open("eth0")?;
/// if let Some(mut slot) = injector.slot(64)? {
///     slot.fill(0xff);
///     slot.commit();
/// }
/// let in_flight = injector.drain(Duration::from_secs(1))?;
/// println!("{}, {in_flight} in flight", injector.stats()?);
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// # The fate of a frame
///
/// Committed frames are handed to the kernel by [`flush`](PacketSink::flush), in the order of their
/// commits, with one call for all of them. `flush` never blocks: frames for which the interface's
/// queue, or the send buffer of the socket, has no room stay in the ring, and the next flush
/// continues with them. They are not counted as sent.
///
/// A frame is *sent* once the kernel is done with its slot: the interface took it. A queueing
/// discipline that drops frames which it accepted before (as `fq_codel` does) does not report that;
/// neither does a card. If a queue never accepts a frame, because traffic control drops it, the
/// frame and all behind it stay in the ring: [`discard`](Self::discard) takes them back.
///
/// A frame longer than the MTU allows is refused: by `slot` and `send` with [`Error::FrameLength`],
/// before anything is sent. An Ethernet frame may have four bytes more if it has a VLAN tag of type
/// 0x8100, which is only known once it is committed: a longer one without that tag counts as
/// rejected ([`rejected`](Self::rejected)). The same happens to frames in the ring that no longer
/// fit when the MTU is reduced. The others are sent.
///
/// The injector checks the state and the MTU of its interface when it flushes, at most once per
/// millisecond. While the interface is down or has no carrier, `flush` returns [`Error::LinkDown`],
/// and frames stay in the ring until a flush after it is up. Once the interface is removed, every
/// flush of waiting frames returns [`Error::InterfaceRemoved`].
///
/// # Dropping it
///
/// Frames that were committed and not flushed, or that the kernel has not taken, are lost when it
/// is dropped: [`drain`](Self::drain) it first. Frames that the kernel has taken are still sent.
#[doc(alias = "PACKET_TX_RING")]
#[doc(alias = "tpacket_snd")]
#[derive(Debug)]
pub struct Injector {
    // Dropped in this order: the mapping is gone before the kernel frees the ring with its socket.
    pub(super) ring: Ring,
    pub(super) socket: OwnedFd,
    pub(super) limits: Limits,
    /// The kernel copies frames out of the ring.
    copies: bool,
    offloads: bool,
    /// The requests for the slot being written.
    pub(super) request: Request,
    pub(super) stamps: Option<Box<Stamps>>,
    pub(super) counts: Counts,
    /// When the interface was last looked at, and was up.
    pub(super) looked: Option<Instant>,
    /// Its MTU became smaller, and the frames that wait were not compared with it.
    pub(super) shrank: bool,
    geometry: RingGeometry,
    /// Boxed because an injector is moved about and this is rarely looked at.
    pub(super) interface: Box<Interface>,
}

/// The parts of an injector.
pub(super) struct Parts {
    pub(super) ring: Ring,
    pub(super) geometry: RingGeometry,
    pub(super) socket: OwnedFd,
    pub(super) interface: Interface,
    pub(super) copies: bool,
    pub(super) offloads: bool,
    pub(super) stamps: Option<Stamps>,
}

impl Injector {
    /// Sends out of the interface of this name, with the default settings.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], [`Error::NotPermitted`] without CAP_NET_RAW, or the call that
    /// failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).build()
    }

    /// Returns the settings.
    pub fn builder(interface: &str) -> InjectorBuilder {
        InjectorBuilder::new(interface)
    }

    pub(super) fn new(parts: Parts) -> Self {
        Self {
            limits: Limits::new(&parts.interface, parts.ring.capacity()),
            ring: parts.ring,
            socket: parts.socket,
            copies: parts.copies,
            offloads: parts.offloads,
            request: Request::default(),
            stamps: parts.stamps.map(Box::new),
            counts: Counts::default(),
            looked: None,
            shrank: false,
            geometry: parts.geometry,
            interface: Box::new(parts.interface),
        }
    }

    /// Sends everything that was committed, and waits until the fate of each frame is known or the
    /// timeout expires. Returns how many frames are still in flight; `None` waits forever.
    ///
    /// # Errors
    /// Those of [`flush`](PacketSink::flush).
    pub fn drain(&mut self, timeout: impl Into<Option<Duration>>) -> Result<u64, Error> {
        wait::drain(self, timeout.into())
    }

    /// Takes back the committed frames that the kernel has not taken, which are then never sent.
    /// Returns how many; [`SinkStats::dropped`] counts them.
    pub fn discard(&mut self) -> u64 {
        self.reclaim();
        let waiting = self.ring.waiting();
        self.remove(waiting, |_, counts| {
            counts.discarded += 1;
            true
        }) as u64
    }

    /// The frames that were rejected, by reason.
    pub const fn rejected(&self) -> RejectStats {
        self.counts.rejected
    }

    /// Timestamps of frames that were sent and requested one
    /// ([`Slot::request_timestamp`](crate::Slot::request_timestamp)), as far as they are there now.
    ///
    /// Twice as many as the ring has slots wait to be read. Later ones are discarded, and counted
    /// in [`TimestampStats::lost`].
    pub fn transmit_timestamps(&mut self) -> TransmitTimestamps<'_> {
        self.receive_stamps();
        let stamps = self.stamps.as_deref_mut();
        TransmitTimestamps::new(stamps.map(Stamps::timestamps_mut))
    }

    /// The fate of the requested timestamps.
    pub fn timestamp_stats(&mut self) -> TimestampStats {
        self.receive_stamps();
        let stamps = self.stamps.as_deref();
        stamps.map_or_else(TimestampStats::default, |all| all.timestamps().stats())
    }

    /// The interface, as it was when the injector was opened.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The requested ring, and the one that was allocated.
    pub const fn ring(&self) -> RingGeometry {
        self.geometry
    }

    /// Whether the driver sends frames out of the ring, without a copy: see
    /// [`CopyMode`](crate::CopyMode).
    pub const fn is_zero_copy(&self) -> bool {
        !self.copies
    }

    /// System calls made to trigger the kernel to send.
    pub const fn kicks(&self) -> u64 {
        self.counts.kicks
    }

    /// Puts the frame of the lent slot into the ring.
    #[inline]
    pub(super) fn commit(&mut self, len: usize) {
        self.counts.committed += 1;
        let usual = len <= self.limits.plain && len >= self.limits.shortest;
        if !usual || self.offloads || self.stamps.is_some() {
            return self.commit_unusual(len);
        }
        let header = virtio_net_hdr {
            hdr_len: self.copy_len(len),
            ..virtio_net_hdr::default()
        };
        self.ring.commit(len, &header);
    }

    /// A frame that may be too long or too short, or that something is requested with.
    #[cold]
    fn commit_unusual(&mut self, len: usize) {
        let request = std::mem::take(&mut self.request);
        let frame = self.ring.frame(len);
        let fault = self.limits.check(frame, request.is_segmented());
        if let Err(fault) = fault {
            match fault {
                Fault::TooLong { .. } => self.counts.rejected.too_long += 1,
                Fault::TooShort { .. } => self.counts.rejected.too_short += 1,
            }
            if let Some(stamps) = &mut self.stamps {
                stamps.rejected(request.timestamp);
            }
            return;
        }
        self.ring.commit(len, &request.header(self.copy_len(len)));
        if let Some(stamps) = &mut self.stamps {
            stamps.committed(request.timestamp);
        }
    }

    /// Bytes of a frame that the kernel copies, besides the link layer header.
    #[inline]
    const fn copy_len(&self, len: usize) -> u16 {
        match self.copies && len <= COPY_MOST {
            true => len as u16,
            false => 0,
        }
    }

    #[inline]
    pub(super) fn reclaim(&mut self) {
        self.counts.sent += self.ring.reclaim() as u64;
    }

    /// Takes back some of the newest frames, and counts them.
    pub(super) fn remove(
        &mut self,
        waiting: usize,
        mut reject: impl FnMut(&Waiting<'_>, &mut Counts) -> bool,
    ) -> usize {
        let (counts, stamps) = (&mut self.counts, &mut self.stamps);
        let mut removed = 0;
        self.ring.remove(waiting, |waits| {
            let rejected = reject(&waits, counts);
            if rejected {
                if let Some(stamps) = stamps {
                    stamps.removed(waits.nth - removed);
                }
                removed += 1;
            }
            rejected
        })
    }

    fn receive_stamps(&mut self) {
        if let Some(stamps) = &mut self.stamps {
            // It fails only for a descriptor that is not a packet socket.
            let _ = stamps.receive(self.socket.as_fd());
        }
    }

    #[inline]
    pub(super) const fn ring_ref(&self) -> &Ring {
        &self.ring
    }

    #[inline]
    pub(super) const fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }

    pub(super) const fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    pub(super) const fn has_offloads(&self) -> bool {
        self.offloads
    }

    pub(super) const fn takes_timestamps(&self) -> bool {
        self.stamps.is_some()
    }

    /// Bytes of the longest segment of a frame.
    pub(super) const fn segment_len(&self) -> usize {
        self.limits.segment()
    }

    pub(super) fn refuse(&mut self, len: usize, max: usize) -> Error {
        self.counts.refused += 1;
        Error::FrameLength { len, max }
    }
}
