//! Sockets over a UMEM, for callers that want direct access to the rings.

pub(crate) mod bound;
pub(crate) mod chunk;
pub(crate) mod config;
pub(crate) mod open;
mod receiver;
pub(crate) mod rx;
mod transmitter;
pub(crate) mod tx;

use netring_sys::{Error, Profile};

use crate::memory::umem::Umem;
use crate::options::{RingSize, Sizes};
use config::{SocketConfig, option_setters};

pub use receiver::{Received, Receiver, SocketStats};
pub use transmitter::{NotSent, Transmitter};

/// A socket bound to one queue of an interface: a receiving half and a sending half.
///
/// It has no XDP program of its own: packets arrive once a program redirects them to it
/// ([`Attachment::set_socket`](crate::program::Attachment::set_socket)).
#[derive(Debug)]
pub struct XdpSocket<'umem> {
    receiver: Receiver<'umem>,
    transmitter: Transmitter<'umem>,
}

/// The settings of a socket, from [`XdpSocket::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct SocketBuilder(SocketConfig);

impl<'umem> XdpSocket<'umem> {
    /// Returns the settings for a socket on a queue. Queues are numbered from 0.
    pub fn builder(interface: &str, queue: u32) -> SocketBuilder {
        SocketBuilder(SocketConfig::new(interface, queue))
    }

    /// The two halves, which may be used by two threads.
    pub fn split(self) -> (Receiver<'umem>, Transmitter<'umem>) {
        (self.receiver, self.transmitter)
    }
}

impl SocketBuilder {
    /// Sets the rings, their chunks and [`moderation`](Self::moderation) for a purpose. Default:
    /// [`Profile::Default`]. Settings made after it override it.
    ///
    /// | profile | entries of each ring | moderation | multi-buffer |
    /// |---|---|---|---|
    /// | `Default` | 2048 | off | off |
    /// | `LowLatency`, `Immediate` | 2048 | off | off |
    /// | `HighThroughput` | 8192 | 50 µs | off |
    /// | `LowMemory` | 512 | off | off |
    /// | `Jumbo` | 4096 | off | on |
    ///
    /// A socket has as many chunks to receive in, and to send from, as the rings have entries: give
    /// [`UmemConfig::profile`](crate::UmemConfig::profile) the same profile. Packets arrive one by
    /// one in every profile, so `Immediate` is the same as `LowLatency`.
    pub const fn profile(mut self, profile: Profile) -> Self {
        let sizes = Sizes::of(profile);
        (self.0.rx, self.0.tx) = (Some(sizes.ring), Some(sizes.ring));
        self.0.options.moderation = sizes.moderation;
        self.0.options.multi_buffer = sizes.multi_buffer;
        self
    }

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

    /// How many of the UMEM's chunks this socket receives in. Default: as many as the receive ring
    /// has entries. They are used for packets of this socket only, and return to it from any socket
    /// that they were sent through.
    pub const fn receive_chunks(mut self, chunks: u32) -> Self {
        self.0.receive_chunks = Some(chunks);
        self
    }

    /// How many of the UMEM's chunks this socket sends from. Default: as many as the transmit ring
    /// has entries.
    pub const fn transmit_chunks(mut self, chunks: u32) -> Self {
        self.0.transmit_chunks = Some(chunks);
        self
    }

    option_setters!(0.options: copy_mode need_wakeup busy_poll moderation transmit_budget);

    /// Takes packets and sends frames that are larger than a chunk, in up to 18 chunks
    /// (`XDP_USE_SG`, kernel 6.6). The program must take them too
    /// ([`Redirect::multi_buffer`](crate::program::Redirect::multi_buffer)). Default: no; such
    /// packets are dropped and counted. The first socket over a UMEM decides for all of them. No
    /// frame has more chunks than the completion ring has entries.
    #[doc(alias = "XDP_USE_SG")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.0.options.multi_buffer = multi_buffer;
        self
    }

    /// Reads the driver's metadata of each packet ([`Received::described`],
    /// [`Chunk::metadata`](crate::Chunk::metadata)), if the program writes it
    /// ([`Redirect::metadata`](crate::program::Redirect::metadata)). Default: no.
    ///
    /// A packet before which the program wrote nothing has no metadata, whatever its chunk held
    /// earlier. Neither has a packet that does not start at the usual place, 256 bytes and the
    /// headroom into its chunk: in zero-copy mode a program may move the front of a packet, and a
    /// driver may put words of its own before it. All sockets of a queue enable it, or none.
    pub const fn metadata(mut self, metadata: bool) -> Self {
        self.0.options.metadata = metadata;
        self
    }

    /// Opens the socket with chunks of `umem`, and fills its fill ring.
    ///
    /// The first socket over a UMEM registers it; later ones share it, whether they are on other
    /// queues, on other interfaces or on the same queue. Chunks of a closed socket are not given to
    /// another, because it is unknown when the kernel is done with those in its rings. Sockets of
    /// one queue share one fill ring and one completion ring, those of the first. That socket must
    /// keep them moving for the others, by [`Receiver::receive`] and
    /// [`flush`](netring_sys::PacketSink::flush), even if it is idle itself.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`]; [`Error::NotPermitted`] without CAP_NET_RAW;
    /// [`Error::QueueBusy`] if another socket has the queue (reported after five seconds, because a
    /// queue that was closed can stay busy that long); [`Error::MemoryLimit`] if the packet memory
    /// may not be locked; [`Error::Config`] for a queue that does not exist or more chunks than are
    /// left; or the call that failed: `EOPNOTSUPP` if zero-copy is required and the driver does not
    /// support it.
    pub fn open<'umem>(&self, umem: Umem<'umem>) -> Result<XdpSocket<'umem>, Error> {
        let both = open::open(umem.shared(), &self.0)?;
        let (Some(receiving), Some(sending)) = both else {
            return Err(Error::Config {
                setting: "ring",
                why: "this socket needs both rings".into(),
            });
        };
        Ok(XdpSocket {
            receiver: Receiver::new(receiving, umem, &self.0.options),
            transmitter: Transmitter::new(sending, umem),
        })
    }

    /// Opens a socket that only receives.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_receiver<'umem>(&self, umem: Umem<'umem>) -> Result<Receiver<'umem>, Error> {
        let mut config = self.0.clone();
        config.tx = None;
        match open::open(umem.shared(), &config)? {
            (Some(half), _) => Ok(Receiver::new(half, umem, &self.0.options)),
            _ => Err(Error::Closed),
        }
    }

    /// Opens a socket that only sends.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_transmitter<'umem>(&self, umem: Umem<'umem>) -> Result<Transmitter<'umem>, Error> {
        let mut config = self.0.clone();
        config.rx = None;
        match open::open(umem.shared(), &config)? {
            (_, Some(half)) => Ok(Transmitter::new(half, umem)),
            _ => Err(Error::Closed),
        }
    }
}
