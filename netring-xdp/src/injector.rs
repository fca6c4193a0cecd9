//! An injector sends frames out of one queue of an interface.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use netring_sys::{__event, Error, Interface, Namespace, OpenSink, Profile, SyscallError};

use crate::memory::accounting::Census;
use crate::memory::umem::{HugePages, UmemConfig};
use crate::options::{RingSize, Sizes};
use crate::socket::config::{SocketConfig, option_setters};
use crate::socket::open;
use crate::socket::tx::{TxHalf, sending_half};

/// Sends frames out of an interface through an AF_XDP socket with its own packet memory. It needs
/// no XDP program.
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
/// Frames that are not yet sent when it is dropped are lost: [`drain`](Self::drain) it first.
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
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW;
    /// [`Error::QueueBusy`] if the queue has a socket (reported after five seconds, because a queue
    /// that was closed can stay busy that long); [`Error::MemoryLimit`] if the packet memory may
    /// not be locked; or the call that failed.
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).build()
    }

    /// Returns the settings.
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

    /// The interface, as it was when the injector was opened.
    pub fn interface(&self) -> &Interface {
        &self.half.socket().interface
    }

    /// Whether frames go out without a copy.
    pub fn is_zero_copy(&self) -> bool {
        self.half.socket().zero_copy
    }

    /// Why frames are copied, if zero-copy mode was tried.
    pub fn why_not_zero_copy(&self) -> Option<&SyscallError> {
        self.half.socket().why_not_zero_copy.as_ref()
    }

    /// Where all chunks of its packet memory are now, including those of the capture that it was
    /// opened with.
    pub fn census(&self) -> Census {
        self.half.shared().census()
    }
}

impl XdpInjector {
    fn log_opened(&self) {
        __event!(
            "injector",
            INFO,
            interface = %self.interface().name,
            index = self.interface().index,
            queue = self.half.socket().queue,
            zero_copy = self.is_zero_copy(),
            link_up = self.interface().is_up(),
            "XDP injector opened"
        );
    }
}

impl InjectorBuilder {
    /// The queue to send out of, numbered from 0. Default: 0.
    pub const fn queue(mut self, queue: u32) -> Self {
        self.socket.queue = queue;
        self
    }

    /// Sends in this network namespace. Default: that of the thread that calls
    /// [`build`](Self::build), whose own namespace never changes. Requires CAP_SYS_ADMIN unless the
    /// thread is already in the namespace.
    #[doc(alias = "setns")]
    pub fn namespace(mut self, namespace: impl Into<Option<Namespace>>) -> Self {
        self.socket.namespace = namespace.into();
        self
    }

    /// Sets the transmit ring, its chunks and [`multi_buffer`](Self::multi_buffer) for a purpose.
    /// Default: [`Profile::Default`]. Settings made after it override it.
    ///
    /// | profile | entries of the ring | chunks | multi-buffer |
    /// |---|---|---|---|
    /// | `Default` | 2048 | 2048 bytes: 4 MiB in all | off |
    /// | `LowLatency`, `Immediate` | 2048 | 2048 bytes: 4 MiB in all | off |
    /// | `HighThroughput` | 8192 | 2048 bytes: 16 MiB in all | off |
    /// | `LowMemory` | 512 | 2048 bytes: 1 MiB in all | off |
    /// | `Jumbo` | 4096 | 4096 bytes: 16 MiB in all | on |
    ///
    /// Without CAP_IPC_LOCK a process may lock as much packet memory as `ulimit -l` allows, often
    /// 8 MiB.
    pub const fn profile(mut self, profile: Profile) -> Self {
        let sizes = Sizes::of(profile);
        self.socket.tx = Some(sizes.ring);
        self.socket.options.multi_buffer = sizes.multi_buffer;
        self.memory = self.memory.profile(profile);
        self
    }

    /// Entries of the transmit ring, and chunks to send from. Default: 2048.
    #[doc(alias = "XDP_TX_RING")]
    pub const fn transmit_ring(mut self, size: RingSize) -> Self {
        self.socket.tx = Some(size);
        self
    }

    /// Bytes of a chunk, and of the longest frame in one chunk: a power of two from 2048 to a page.
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

    option_setters!(socket.options: copy_mode need_wakeup busy_poll transmit_budget);

    /// Sends frames that are longer than a chunk, in up to 18 chunks and not more than the transmit
    /// ring has entries (`XDP_USE_SG`, kernel 6.6). They are written into the injector's own
    /// memory, and copied into chunks when they are committed, whole or not at all. Default: no.
    #[doc(alias = "XDP_USE_SG")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.socket.options.multi_buffer = multi_buffer;
        self
    }

    /// Allows requests for checksums and timestamps: see [`UmemConfig::transmit_metadata`].
    /// Default: no.
    #[doc(alias = "XDP_UMEM_TX_METADATA_LEN")]
    pub const fn transmit_metadata(mut self, transmit_metadata: bool) -> Self {
        self.memory = self.memory.transmit_metadata(transmit_metadata);
        self
    }

    /// Lets the kernel compute requested checksums: see [`UmemConfig::software_checksum`]. Default:
    /// no.
    #[doc(alias = "XDP_UMEM_TX_SW_CSUM")]
    pub const fn software_checksum(mut self, software_checksum: bool) -> Self {
        self.memory = self.memory.software_checksum(software_checksum);
        self
    }

    /// Opens the injector.
    ///
    /// # Errors
    /// Those of [`XdpInjector::open`], and [`Error::Config`] for impossible settings.
    pub fn build(self) -> Result<XdpInjector, Error> {
        // Some drivers want chunks to receive in before they send.
        let chunks = self.socket.receive_chunks() + self.socket.transmit_chunks();
        let shared = Arc::new(self.memory.chunks(chunks).build()?);
        match open::open(&shared, &self.socket)? {
            (_, Some(half)) => {
                let injector = XdpInjector { half };
                injector.log_opened();
                Ok(injector)
            }
            _ => Err(Error::Closed),
        }
    }
}

sending_half!(XdpInjector);

impl OpenSink for XdpInjector {
    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

/// Writable while at least half of the transmit ring is free.
impl AsFd for XdpInjector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket().fd()
    }
}
