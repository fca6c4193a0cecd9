//! An injector: frames out of one queue of an interface.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use netring_sys::{Error, Interface, PacketSink, SinkStats, SyscallError, wait};

use crate::memory::accounting::Census;
use crate::memory::umem::{HugePages, UmemConfig};
use crate::options::{BusyPoll, CopyMode, RingSize, SocketConfig};
use crate::socket::open;
use crate::socket::tx::Slot;
use crate::socket::tx::{TimestampStats, TransmitTimestamps, TxHalf};

/// Sends frames out of an interface by an AF_XDP socket with packet memory of its own. It needs no
/// XDP program.
///
/// ```no_run
/// use netring_sys::{PacketSink, PacketSlot};
/// use netring_xdp::XdpInjector;
/// use std::time::Duration;
///
/// let mut injector = XdpInjector::open("eth0")?;
/// if let Some(mut slot) = injector.slot(64)? {
///     slot.fill(0xff);
///     slot.commit();
/// }
/// let in_flight = injector.drain(Duration::from_secs(1))?;
/// println!("{}, {in_flight} in flight", injector.stats()?);
/// # Ok::<(), netring_xdp::Error>(())
/// ```
///
/// Frames that are committed and not yet drained when it is dropped are lost.
#[derive(Debug)]
pub struct XdpInjector {
    half: TxHalf,
}

/// The settings of an [`XdpInjector`], from [`XdpInjector::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct InjectorBuilder {
    socket: SocketConfig,
    memory: UmemConfig,
}

impl XdpInjector {
    /// Sends out of queue 0 of the interface of this name.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW; [`Error::Config`]
    /// where the queue has a socket (told after five seconds: so long a queue that was closed
    /// can stay taken), or for more packet memory than may be locked; or the call that failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).build()
    }

    /// Settings to open an injector with.
    pub fn builder(interface: &str) -> InjectorBuilder {
        let mut socket = SocketConfig::new(interface, 0);
        socket.rx = None;
        InjectorBuilder {
            socket,
            memory: UmemConfig::new(),
        }
    }

    pub(crate) const fn new(half: TxHalf) -> Self {
        Self { half }
    }

    /// Sends everything that was committed, and waits until it is completed or the time is over:
    /// how many frames are still in flight. `None` for a time waits for ever.
    ///
    /// # Errors
    /// As [`flush`](PacketSink::flush).
    pub fn drain(&mut self, timeout: impl Into<Option<Duration>>) -> Result<u64, Error> {
        wait::drain(self, timeout.into())
    }

    /// The interface, as it was when the injector was opened.
    pub fn interface(&self) -> &Interface {
        &self.half.socket.interface
    }

    /// Whether frames go out without a copy.
    pub fn is_zero_copy(&self) -> bool {
        self.half.socket.zero_copy
    }

    /// Why they do not, where it was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.half.socket.why_not_zero_copy.as_ref()
    }

    /// Where all chunks of its packet memory are now; those of the capture too that it was opened
    /// with.
    pub fn census(&self) -> Census {
        self.half.shared.census()
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

impl InjectorBuilder {
    /// The queue to send out of, numbered from 0. Default: 0.
    pub const fn queue(mut self, queue: u32) -> Self {
        self.socket.queue = queue;
        self
    }

    /// Entries of the transmit ring, and chunks to send from. Default: 2048.
    #[doc(alias = "XDP_TX_RING")]
    pub const fn transmit_ring(mut self, size: RingSize) -> Self {
        self.socket.tx = Some(size);
        self
    }

    /// Bytes of a chunk, and of the longest frame in one chunk: a power of two, 2048 to a page.
    /// Default: 2048.
    pub const fn chunk_size(mut self, bytes: u32) -> Self {
        self.memory = self.memory.chunk_size(bytes);
        self
    }

    /// Whether packet memory is in huge pages. Default: no.
    pub const fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.memory = self.memory.huge_pages(huge_pages);
        self
    }

    /// Whether frames are copied. Default: [`CopyMode::Best`].
    pub const fn copy_mode(mut self, copy_mode: CopyMode) -> Self {
        self.socket.copy_mode = copy_mode;
        self
    }

    /// Whether the kernel says when it wants a system call (`XDP_USE_NEED_WAKEUP`, kernel 5.4).
    /// Default: yes.
    #[doc(alias = "XDP_USE_NEED_WAKEUP")]
    pub const fn need_wakeup(mut self, need_wakeup: bool) -> Self {
        self.socket.need_wakeup = need_wakeup;
        self
    }

    /// Takes frames that are longer than a chunk, in up to 18 chunks, no more than the transmit
    /// ring has (`XDP_USE_SG`, kernel 6.6). They are written in memory of the injector's own,
    /// and copied into chunks when they are committed, all of them or none. Default: no.
    #[doc(alias = "XDP_USE_SG")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.socket.multi_buffer = multi_buffer;
        self
    }

    /// As [`UmemConfig::transmit_metadata`]. Default: no.
    #[doc(alias = "XDP_UMEM_TX_METADATA_LEN")]
    pub const fn transmit_metadata(mut self, transmit_metadata: bool) -> Self {
        self.memory = self.memory.transmit_metadata(transmit_metadata);
        self
    }

    /// As [`UmemConfig::software_checksum`]. Default: no.
    #[doc(alias = "XDP_UMEM_TX_SW_CSUM")]
    pub const fn software_checksum(mut self, software_checksum: bool) -> Self {
        self.memory = self.memory.software_checksum(software_checksum);
        self
    }

    /// Lets the injector's own calls drive the interface. Default: no.
    pub const fn busy_poll(mut self, busy_poll: BusyPoll) -> Self {
        self.socket.busy_poll = Some(busy_poll);
        self
    }

    /// How many frames the kernel sends in one call in copy mode, 32 to the size of the transmit
    /// ring (`XDP_MAX_TX_SKB_BUDGET`, kernel 6.17). Default: the size of the ring where the
    /// kernel can, else its own 32.
    #[doc(alias = "XDP_MAX_TX_SKB_BUDGET")]
    pub const fn transmit_budget(mut self, frames: u32) -> Self {
        self.socket.transmit_budget = Some(frames);
        self
    }

    /// Opens the injector.
    ///
    /// # Errors
    /// As [`XdpInjector::open`], and [`Error::Config`] for settings that cannot be.
    pub fn build(self) -> Result<XdpInjector, Error> {
        // For those drivers that want chunks to receive in before they send.
        let chunks = self.socket.receive_chunks() + self.socket.transmit_chunks();
        let shared = Arc::new(self.memory.chunks(chunks).build()?);
        match open::open(&shared, &self.socket)? {
            (_, Some(half)) => Ok(XdpInjector { half }),
            _ => Err(Error::Closed),
        }
    }
}

impl PacketSink for XdpInjector {
    type Slot<'a> = Slot<'a>;

    #[inline]
    fn room(&mut self) -> Result<usize, Error> {
        Ok(self.half.room() as usize)
    }

    #[inline]
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        Slot::new(&mut self.half, len)
    }

    fn flush(&mut self) -> Result<usize, Error> {
        self.half.flush().map(|left| left as usize)
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        self.half.stats()
    }

    fn max_len(&self) -> usize {
        self.half.features.max_len
    }

    fn pending(&mut self) -> Result<u64, Error> {
        Ok(self.half.pending())
    }
}

/// Writable while at least half of the transmit ring is free.
impl AsFd for XdpInjector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket.fd()
    }
}
