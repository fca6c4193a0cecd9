//! A socket over a UMEM, for who wants the rings.

pub(crate) mod bound;
pub(crate) mod chunk;
pub(crate) mod open;
pub(crate) mod rx;
mod send;
pub(crate) mod tx;
mod waiting;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_sys::syscall::xdp_statistics_of;
use netring_sys::{Error, SyscallError, wait};

use crate::memory::umem::Umem;
use crate::options::{BusyPoll, CopyMode, RingSize, SocketConfig};
use crate::waiting::moderation::Moderation;
use chunk::Chunk;
use rx::{Described, Forwarded, Frames, RxBatch, RxHalf};
use tx::{TimestampStats, TransmitTimestamps, TxHalf};

/// A socket that is bound to one queue of an interface: a receiving half and a transmitting one.
///
/// It has no XDP program of its own: packets come once one redirects them to it
/// ([`Attachment::set_socket`](crate::program::Attachment::set_socket)).
#[derive(Debug)]
pub struct XdpSocket<'umem> {
    receiver: Receiver<'umem>,
    transmitter: Transmitter<'umem>,
}

/// Settings of a socket, from [`XdpSocket::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct SocketBuilder(SocketConfig);

/// The receiving half of a socket.
#[derive(Debug)]
pub struct Receiver<'umem> {
    half: RxHalf,
    umem: Umem<'umem>,
    moderation: Moderation,
    /// System calls made to wait.
    waits: u64,
}

/// The transmitting half of a socket.
#[derive(Debug)]
pub struct Transmitter<'umem> {
    half: TxHalf,
    umem: Umem<'umem>,
}

/// Packets that were received: up to 256 chunks of them at once (an eighth of the receive ring, of
/// smaller ones, but no fewer than 64), or as many as the last packet has.
///
/// Dropping it gives the chunks of those that were not taken out back to the kernel.
#[derive(Debug)]
pub struct Received<'a, 'umem> {
    lent: RxBatch<'a>,
    umem: Umem<'umem>,
}

/// Why a chunk was not sent, and the chunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent<'umem> {
    /// The transmit ring is full: flush, and try again.
    #[error("the transmit ring is full")]
    Full(Chunk<'umem>),
    /// The kernel would not take it, and would not give it back: see [`Chunk::set_range`].
    #[error("the packet is not inside its chunk")]
    Refused(Chunk<'umem>),
    /// What is asked for with the packet cannot be: the error says why.
    #[error("{1}")]
    Request(Chunk<'umem>, #[source] Error),
}

/// What the kernel counts of a socket, since it was opened (`XDP_STATISTICS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Packets that were lent or taken.
    pub delivered: u64,
    /// Packets whose descriptor pointed out of the packet memory.
    pub invalid: u64,
    /// Packets lost because the receive ring was full.
    pub ring_full: u64,
    /// Packets lost in copy mode: there was no chunk in the fill ring, or the packet was longer
    /// than a chunk holds. In zero-copy mode the card's own counters have them.
    pub no_chunk: u64,
    /// Descriptors of the transmit ring that the kernel refused: always 0, as each is checked
    /// before.
    pub transmit_invalid: u64,
    /// How often the kernel looked for a chunk in vain. Attempts and not packets: they are no loss
    /// of their own.
    pub fill_ring_empty: u64,
    /// System calls made to wake the kernel.
    pub kicks: u64,
}

impl<'umem> XdpSocket<'umem> {
    /// Settings of a socket on a queue, numbered from 0.
    pub fn builder(interface: &str, queue: u32) -> SocketBuilder {
        SocketBuilder(SocketConfig::new(interface, queue))
    }

    /// The two halves, which may go to two threads.
    pub fn split(self) -> (Receiver<'umem>, Transmitter<'umem>) {
        (self.receiver, self.transmitter)
    }
}

impl SocketBuilder {
    /// Entries of the receive ring. Default: 2048.
    #[doc(alias = "XDP_RX_RING")]
    pub const fn receive_ring(mut self, size: RingSize) -> Self {
        self.0.rx = Some(size);
        self
    }

    /// Entries of the transmit ring. Default: 2048.
    #[doc(alias = "XDP_TX_RING")]
    pub const fn transmit_ring(mut self, size: RingSize) -> Self {
        self.0.tx = Some(size);
        self
    }

    /// Entries of the fill ring. Default: as many as there are chunks to receive in.
    #[doc(alias = "XDP_UMEM_FILL_RING")]
    pub const fn fill_ring(mut self, size: RingSize) -> Self {
        self.0.fill = Some(size);
        self
    }

    /// Entries of the completion ring. Default: as many as the transmit ring has.
    #[doc(alias = "XDP_UMEM_COMPLETION_RING")]
    pub const fn completion_ring(mut self, size: RingSize) -> Self {
        self.0.completion = Some(size);
        self
    }

    /// How many of the UMEM's chunks are this socket's to receive in. Default: as many as the
    /// receive ring has entries. They are never used for anything else than packets of this
    /// socket, and come back to it from wherever they were sent on.
    pub const fn receive_chunks(mut self, chunks: u32) -> Self {
        self.0.receive_chunks = Some(chunks);
        self
    }

    /// How many of the UMEM's chunks are this socket's to send from. Default: as many as the
    /// transmit ring has entries.
    pub const fn transmit_chunks(mut self, chunks: u32) -> Self {
        self.0.transmit_chunks = Some(chunks);
        self
    }

    /// Whether packets are copied. Default: [`CopyMode::Best`]. A socket that shares its UMEM has
    /// what the first one has, or is refused where that is not what it asks for.
    pub const fn copy_mode(mut self, copy_mode: CopyMode) -> Self {
        self.0.copy_mode = copy_mode;
        self
    }

    /// Whether the kernel says when it wants a system call (`XDP_USE_NEED_WAKEUP`, kernel 5.4).
    /// Default: yes.
    #[doc(alias = "XDP_USE_NEED_WAKEUP")]
    pub const fn need_wakeup(mut self, need_wakeup: bool) -> Self {
        self.0.need_wakeup = need_wakeup;
        self
    }

    /// Takes packets that are larger than a chunk, and sends frames that are, in up to 18 chunks
    /// (`XDP_USE_SG`, kernel 6.6). The program has to take them too
    /// ([`Redirect::multi_buffer`](crate::program::Redirect::multi_buffer)). Default: no; such
    /// packets are lost, and counted. It is for all sockets over a UMEM or for none, as the
    /// first one says; and no frame has more chunks than the completion ring has entries.
    #[doc(alias = "XDP_USE_SG")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.0.multi_buffer = multi_buffer;
        self
    }

    /// Lets the socket's own calls drive the interface. Default: no.
    pub const fn busy_poll(mut self, busy_poll: BusyPoll) -> Self {
        self.0.busy_poll = Some(busy_poll);
        self
    }

    /// For how long a wait lets packets gather before it looks again, while they come faster than
    /// one in that time. Default: 50 µs; zero has every packet end a wait at once.
    ///
    /// One wake-up then brings many packets, at the price of that time, and what the kernel's
    /// timers are late by (50 µs, `PR_SET_TIMERSLACK`), before the first of them is seen: what
    /// network cards do with their interrupts (`ethtool -C eth0 rx-usecs 50`). Packets that come
    /// slower are not delayed, nor are answers that are waited for one by one. It never sleeps
    /// where packets would fill more than a quarter of the ring meanwhile, nor beyond a
    /// time-out, and not at all with [`busy_poll`](Self::busy_poll).
    #[doc(alias = "coalesce")]
    pub const fn moderation(mut self, interval: Duration) -> Self {
        self.0.moderation = interval;
        self
    }

    /// How many packets the kernel sends in one call in copy mode, 32 to the size of the transmit
    /// ring (`XDP_MAX_TX_SKB_BUDGET`, kernel 6.17). Default: the size of the ring where the
    /// kernel can, else its own 32.
    #[doc(alias = "XDP_MAX_TX_SKB_BUDGET")]
    pub const fn transmit_budget(mut self, packets: u32) -> Self {
        self.0.transmit_budget = Some(packets);
        self
    }

    /// Reads what the driver said of each packet ([`Received::described`], [`Chunk::metadata`]),
    /// where the program writes it
    /// ([`Redirect::metadata`](crate::program::Redirect::metadata)). Default: no.
    ///
    /// A packet before which the program wrote nothing has none, whatever was in its chunk before.
    /// Nor has one that does not start where packets do, 256 bytes and the headroom into a
    /// chunk: in zero-copy mode a program may move the front of a packet, and a driver may
    /// put words of its own before it. Sockets of one queue all ask for it, or none.
    pub const fn metadata(mut self, metadata: bool) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Opens the socket with chunks of `umem`, and fills its fill ring.
    ///
    /// The first socket over a UMEM registers it; those that come later share it, be they on other
    /// queues, other interfaces or the same queue. What a socket was given is not given to
    /// another when it is closed: nobody knows when the kernel has done with what was in its
    /// rings. Sockets of one queue have one fill and one completion ring between them, those of the
    /// first: it has to be looked after for the others to get on, by [`Receiver::receive`] and
    /// [`flush`](netring_sys::PacketSink::flush), also where it has nothing of its own to do.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW; [`Error::Config`]
    /// for a queue that is not there or taken, for more chunks than are left, or for more
    /// memory than may be locked; or the call that failed: `EOPNOTSUPP` where zero-copy is
    /// required and the driver has none.
    pub fn open<'umem>(&self, umem: Umem<'umem>) -> Result<XdpSocket<'umem>, Error> {
        let both = open::open(umem.shared(), &self.0)?;
        let (Some(receiving), Some(sending)) = both else {
            return Err(Error::Config {
                setting: "ring",
                why: "this socket has both".into(),
            });
        };
        Ok(XdpSocket {
            receiver: Receiver::new(receiving, umem, &self.0),
            transmitter: Transmitter {
                half: sending,
                umem,
            },
        })
    }

    /// Opens a socket that only receives.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_receiver<'umem>(&self, umem: Umem<'umem>) -> Result<Receiver<'umem>, Error> {
        let mut wanted = self.0.clone();
        wanted.tx = None;
        match open::open(umem.shared(), &wanted)? {
            (Some(half), _) => Ok(Receiver::new(half, umem, &self.0)),
            _ => Err(Error::Closed),
        }
    }

    /// Opens a socket that only sends.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_transmitter<'umem>(&self, umem: Umem<'umem>) -> Result<Transmitter<'umem>, Error> {
        let mut wanted = self.0.clone();
        wanted.rx = None;
        match open::open(umem.shared(), &wanted)? {
            (_, Some(half)) => Ok(Transmitter { half, umem }),
            _ => Err(Error::Closed),
        }
    }
}

impl RxHalf {
    pub(crate) fn stats(&self) -> Result<SocketStats, Error> {
        let (kernel, _) = xdp_statistics_of(self.socket.fd())?;
        Ok(SocketStats {
            delivered: self.delivered,
            invalid: self.invalid,
            ring_full: kernel.rx_ring_full,
            no_chunk: kernel.rx_dropped,
            transmit_invalid: kernel.tx_invalid_descs,
            fill_ring_empty: kernel.rx_fill_ring_empty_descs,
            kicks: self.kicks,
        })
    }
}

impl<'umem> Receiver<'umem> {
    const fn new(half: RxHalf, umem: Umem<'umem>, config: &SocketConfig) -> Self {
        Self {
            half,
            umem,
            moderation: config.moderation(),
            waits: 0,
        }
    }

    /// The packets that are there now; an empty batch where there are none, in which case the
    /// kernel is given chunks, and woken where it waits for that: a loop that only receives
    /// needs nothing else.
    #[inline]
    pub fn receive(&mut self) -> Received<'_, 'umem> {
        let lent = if self.half.look() {
            self.half.lend()
        } else {
            self.half.lend_none()
        };
        Received {
            lent,
            umem: self.umem,
        }
    }

    /// What the kernel counts of the socket.
    ///
    /// # Errors
    /// The call that failed.
    pub fn stats(&self) -> Result<SocketStats, Error> {
        self.half.stats()
    }

    /// Whether packets come without a copy.
    pub fn is_zero_copy(&self) -> bool {
        self.half.socket.zero_copy
    }

    /// Why they do not, where it was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.half.socket.why_not_zero_copy.as_ref()
    }
}

impl<'umem> Transmitter<'umem> {
    /// Takes a free chunk to send from, its packet as long as it can be; `None` where none is free.
    pub fn take(&mut self) -> Option<Chunk<'umem>> {
        if self.half.pool.is_empty() {
            self.half.reclaim();
        }
        let token = self.half.pool.pop()?;
        self.half.publish_count();
        let geometry = self.half.shared.geometry();
        let (offset, len) = (geometry.front(), geometry.transmit_room());
        Some(Chunk::new(self.umem.shared(), token, offset, len, false))
    }

    /// Sends up to `most` frames from free chunks: `write` is shown the bytes of a chunk for each,
    /// writes the frame, and says how long it is. How many were committed: fewer where the ring
    /// or the chunks are at their end. They are on their way after
    /// [`flush`](netring_sys::PacketSink::flush).
    ///
    /// The quickest way to send, as what is done for each frame by
    /// [`slot`](netring_sys::PacketSink::slot) is done once for all. What stands in a chunk before
    /// is what was in it last.
    ///
    /// # Errors
    /// [`Error::FrameLength`] where `write` says 0, or more than the chunk has; the frames before
    /// that one are committed.
    #[inline]
    pub fn send_each(
        &mut self,
        most: usize,
        write: impl FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, Error> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match self.half.write_each(most, write) {
            (count, None) => Ok(count as usize),
            (_, Some(len)) => {
                self.half.refused += 1;
                let max = self.half.shared.geometry().transmit_room() as usize;
                Err(Error::FrameLength { len, max })
            }
        }
    }

    /// Sends everything that was committed, and waits until it is completed or the time is over:
    /// how many frames are still in flight. `None` for a time waits for ever.
    ///
    /// # Errors
    /// As [`flush`](netring_sys::PacketSink::flush).
    pub fn drain(&mut self, timeout: impl Into<Option<Duration>>) -> Result<u64, Error> {
        wait::drain(self, timeout.into())
    }

    /// Timestamps of frames that were sent and asked for one ([`Slot::request_timestamp`]), those
    /// that are there now.
    ///
    /// As many wait to be read as the packet memory has chunks; what comes then is thrown away, and
    /// counted in [`TimestampStats::lost`].
    pub fn transmit_timestamps(&mut self) -> TransmitTimestamps<'_> {
        self.half.transmit_timestamps()
    }

    /// What became of the timestamps that were asked for.
    pub fn timestamp_stats(&mut self) -> TimestampStats {
        self.half.timestamp_stats()
    }

    /// System calls made to wake the kernel.
    pub const fn kicks(&self) -> u64 {
        self.half.kicks
    }
}

impl<'umem> Received<'_, 'umem> {
    /// The packets, oldest first; each the bytes from its link layer header on.
    #[inline]
    pub fn iter(&self) -> Frames<'_> {
        self.lent.frames()
    }

    /// As [`iter`](Self::iter), each with what the driver said of it, where the socket reads that
    /// ([`SocketBuilder::metadata`]).
    #[inline]
    pub fn described(&self) -> Described<'_> {
        self.lent.described()
    }

    /// Takes the first packet out, with its chunk: it is the caller's from now on. Of a packet that
    /// lies in several chunks this is the next of them ([`Chunk::continues`]).
    pub fn take(&mut self) -> Option<Chunk<'umem>> {
        let taken = self.lent.take()?;
        Some(Chunk::received(self.umem.shared(), taken))
    }

    /// Shows each packet to `f` (of one that lies in several chunks, the first), which may change
    /// it, and sends it on from where it is, without a copy, where `f` says true. The others go
    /// back to the kernel.
    ///
    /// The chunks come back to this receiver once they are sent, by whichever socket. Packets that
    /// find no room in `tx` are gone, and counted in what is returned; they are on their way
    /// after [`flush`](netring_sys::PacketSink::flush). As long as that says that some
    /// are left, flush again before you wait for packets: in copy mode the kernel sends only when
    /// it is published_len, and nothing is received in the chunks of frames that are not sent.
    #[inline]
    pub fn forward(
        mut self,
        tx: &mut Transmitter<'umem>,
        f: impl FnMut(&mut [u8]) -> bool,
    ) -> Forwarded {
        self.lent.forward(&mut tx.half, f)
    }
}

impl<'a> IntoIterator for &'a Received<'_, '_> {
    type Item = &'a [u8];
    type IntoIter = Frames<'a>;

    #[inline]
    fn into_iter(self) -> Frames<'a> {
        self.iter()
    }
}

/// Readable when there are packets; fit for `poll` and `epoll`. It does not tell that the interface
/// is down.
impl AsFd for Receiver<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket.fd()
    }
}

/// Writable while at least half of the transmit ring is free.
impl AsFd for Transmitter<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket.fd()
    }
}
