//! The receiving half of a socket, and the packets that it lends.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_sys::syscall::{take_socket_error, xdp_statistics_of};
use netring_sys::{Error, SyscallError};

use super::chunk::Chunk;
use super::config::SocketOptions;
use super::rx::{Described, Forwarded, Frames, RxBatch, RxHalf};
use super::transmitter::Transmitter;
use crate::memory::umem::Umem;
use crate::waiting::{Waited, Waiting};

/// The receiving half of a socket.
#[derive(Debug)]
pub struct Receiver<'umem> {
    half: RxHalf,
    umem: Umem<'umem>,
    waiting: Waiting,
}

/// Packets that were received: up to 256 chunks of them (an eighth of a smaller receive ring, but
/// not fewer than 64), or as many as the last packet has.
///
/// Dropping it returns the chunks that were not taken out to the kernel.
#[derive(Debug)]
pub struct Received<'a, 'umem> {
    batch: RxBatch<'a>,
    umem: Umem<'umem>,
}

/// The counters of a socket since it was opened (`XDP_STATISTICS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Packets that were lent or taken.
    pub delivered: u64,
    /// Packets whose descriptor pointed outside the packet memory.
    pub invalid: u64,
    /// Packets lost because the receive ring was full.
    pub ring_full: u64,
    /// Packets lost because there was no chunk for them, or they were longer than a chunk.
    pub no_chunk: u64,
    /// Descriptors that the kernel refused to send: always 0, because each is checked first.
    pub transmit_invalid: u64,
    /// How often the kernel looked for a chunk in vain. These are attempts, not packets: they are
    /// not a loss of their own.
    pub fill_ring_empty: u64,
    /// System calls made to wake the kernel.
    pub kicks: u64,
}

impl RxHalf {
    pub(crate) fn stats(&self) -> Result<SocketStats, Error> {
        let (kernel, _) = xdp_statistics_of(self.socket().fd())?;
        Ok(SocketStats {
            delivered: self.delivered(),
            invalid: self.invalid(),
            ring_full: kernel.rx_ring_full,
            no_chunk: kernel.rx_dropped,
            transmit_invalid: kernel.tx_invalid_descs,
            fill_ring_empty: kernel.rx_fill_ring_empty_descs,
            kicks: self.kicks(),
        })
    }
}

impl<'umem> Receiver<'umem> {
    pub(super) const fn new(half: RxHalf, umem: Umem<'umem>, options: &SocketOptions) -> Self {
        Self {
            half,
            umem,
            waiting: Waiting::new(options.moderation()),
        }
    }

    /// Returns the packets available now. If there are none, the batch is empty, and the kernel
    /// gets free chunks and is woken if it waits for them: a loop that only receives needs nothing
    /// else.
    #[inline]
    pub fn receive(&mut self) -> Received<'_, 'umem> {
        let batch = if self.half.look() {
            self.half.lend()
        } else {
            self.half.lend_none()
        };
        Received {
            batch,
            umem: self.umem,
        }
    }

    /// Waits for packets. Returns whether there are some; `None` waits forever.
    ///
    /// With [moderation](super::SocketBuilder::moderation) it first lets packets gather if they
    /// arrive fast, one by one. The wait takes the requested time however many signals interrupt
    /// it. An interface that goes down does not end it; one that is removed does.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> Result<bool, Error> {
        if self.half.look() {
            return Ok(true);
        }
        self.waiting.wait(&mut self.half, timeout.into())
    }

    /// The statistics of the socket.
    ///
    /// # Errors
    /// The call that failed.
    pub fn stats(&self) -> Result<SocketStats, Error> {
        self.half.stats()
    }

    /// Whether packets arrive without a copy.
    pub fn is_zero_copy(&self) -> bool {
        self.half.socket().zero_copy
    }

    /// Why the socket is not in zero-copy mode, if that was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.half.socket().why_not_zero_copy.as_ref()
    }

    /// System calls made to receive: to wait, and to wake the kernel.
    pub const fn system_calls(&self) -> u64 {
        self.waiting.calls() + self.half.kicks()
    }
}

impl<'umem> Received<'_, 'umem> {
    /// The packets, oldest first: the bytes of each from its link layer header on.
    #[inline]
    pub fn iter(&self) -> Frames<'_> {
        self.batch.frames()
    }

    /// The packets, oldest first, each with the driver's metadata, if the socket reads that
    /// ([`SocketBuilder::metadata`](super::SocketBuilder::metadata)).
    #[inline]
    pub fn described(&self) -> Described<'_> {
        self.batch.described()
    }

    /// Takes the first packet out, with its chunk, which the caller then owns. If the packet spans
    /// several chunks, this is the next of them ([`Chunk::continues`]).
    pub fn take(&mut self) -> Option<Chunk<'umem>> {
        let taken = self.batch.take()?;
        Some(Chunk::received(self.umem.shared(), taken))
    }

    /// Shows each packet to `f` (the first chunk of one that spans several), which may change it,
    /// and sends it from where it is, without a copy, if `f` returns true. The others go back to
    /// the kernel.
    ///
    /// The chunks return to this receiver once they are sent, through whichever socket. Packets for
    /// which `tx` has no room are gone, and counted in the result. The others are sent by
    /// [`flush`](netring_sys::PacketSink::flush). While that reports remaining frames, flush again
    /// before you wait for packets: in copy mode the kernel sends only within a call, and nothing
    /// is received in the chunks of frames that are not sent.
    #[inline]
    pub fn forward(
        mut self,
        tx: &mut Transmitter<'umem>,
        f: impl FnMut(&mut [u8]) -> bool,
    ) -> Forwarded {
        self.batch.forward(tx.half_mut(), f)
    }
}

impl Waited for RxHalf {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket().fd()
    }

    fn is_over(&mut self) -> bool {
        self.look()
    }

    fn progress(&self) -> (u64, u32) {
        (self.seen(), self.capacity())
    }

    fn sleep(&self, time: Duration) -> Result<(), Error> {
        std::thread::sleep(time);
        Ok(())
    }

    /// Reports the error that woke the reader, if there is one.
    #[cold]
    fn woken(&mut self) -> Result<bool, Error> {
        let errno = match take_socket_error(self.socket().fd())? {
            0 => return Ok(false),
            errno => errno,
        };
        let source = std::io::Error::from_raw_os_error(errno);
        let call = "poll(AF_XDP)";
        // The socket itself reports only that its interface is gone for good.
        let interface = self.socket().interface.name.clone();
        match self.socket().failed(SyscallError { call, source }) {
            Error::LinkDown { .. } => Err(Error::InterfaceRemoved { interface }),
            other => Err(other),
        }
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

/// Readable when there are packets; suitable for `poll` and `epoll`. It does not report that the
/// interface is down.
impl AsFd for Receiver<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket().fd()
    }
}
