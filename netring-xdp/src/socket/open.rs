//! Opens a socket in five steps: a socket over the memory ([`Unbound`]), its options, its rings
//! ([`WithRings`]), the queue that it is bound to ([`Bound`]), and its halves with their chunks.

mod bind;
mod check;
mod halves;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use netring_sys::kernel::xdp::{xdp_desc, xdp_ring_offset};
use netring_sys::syscall::{
    XdpRing, map_xdp_ring, set_busy_poll, set_xdp_ring, set_xdp_transmit_budget, xdp_is_zero_copy,
    xdp_ring_offsets, xdp_socket,
};
use netring_sys::{Error, Interface, SyscallError};

use super::bound::BoundSocket;
use super::config::SocketConfig;
use super::rx::RxHalf;
use super::tx::TxHalf;
use crate::device::Device;
use crate::memory::accounting::Rings;
use crate::memory::umem::{Peer, Shared};
use crate::options::RingSize;
use crate::permit::Needs;
use crate::ring::{Entry, Memory};

/// Opens a socket: the configured halves, with their chunks.
pub(crate) fn open(
    shared: &Arc<Shared>,
    config: &SocketConfig,
) -> Result<(Option<RxHalf>, Option<TxHalf>), Error> {
    let Some(namespace) = &config.namespace else {
        return open_here(shared, config);
    };
    let needs = config.needs(shared.geometry().bytes());
    let opened = namespace.run(|| open_here(shared, config));
    opened.map_err(|error| needs.explain(error))?
}

fn open_here(
    shared: &Arc<Shared>,
    config: &SocketConfig,
) -> Result<(Option<RxHalf>, Option<TxHalf>), Error> {
    let socket = Unbound::new(shared, config)?;
    socket.set_options()?;
    socket.map_rings()?.bind()?.halves()
}

/// A socket over packet memory.
struct Unbound<'a> {
    config: &'a SocketConfig,
    shared: &'a Arc<Shared>,
    interface: Interface,
    device: Device,
    fd: Arc<OwnedFd>,
    needs: Needs,
    /// The first socket of the same queue, whose fill and completion rings this one uses.
    same_queue: Option<Peer>,
    /// The socket whose registration of the memory this one shares.
    lender: Option<Lender>,
    /// Whether packets may span several chunks: the first socket over the memory decides.
    multi_buffer: bool,
}

/// An open socket over the same memory.
struct Lender {
    fd: Arc<OwnedFd>,
    multi_buffer: bool,
}

/// A socket with its rings mapped.
struct WithRings<'a> {
    socket: Unbound<'a>,
    rings: Rings,
}

/// A socket that is bound to its queue.
struct Bound<'a> {
    config: &'a SocketConfig,
    shared: &'a Arc<Shared>,
    same_queue: Option<Peer>,
    socket: Arc<BoundSocket>,
    /// Entries of the queue's completion ring.
    completion_entries: u32,
}

impl<'a> Unbound<'a> {
    /// Makes the socket, and registers the memory with it unless an open socket did.
    fn new(shared: &'a Arc<Shared>, config: &'a SocketConfig) -> Result<Self, Error> {
        let interface = config.find_interface()?;
        check::config(shared, config, &interface)?;
        let needs = config.needs(shared.geometry().bytes());
        let fd = xdp_socket().map_err(|error| needs.explain(error.needs_net_raw()))?;
        let device = Device::of_socket(fd.as_fd(), interface.index)?;
        let peers = shared.peers();
        let same_queue = peers
            .iter()
            .find(|peer| peer.device == device && peer.queue == config.queue);
        // For the same queue it must be that socket; for another queue any will do.
        let lender = same_queue.or(peers.first()).and_then(|peer| {
            Some(Lender {
                fd: peer.fd.upgrade()?,
                multi_buffer: peer.multi_buffer,
            })
        });
        if lender.is_none() {
            shared.register(fd.as_fd(), needs)?;
        }
        check::metadata(config, same_queue)?;
        let decided = lender.as_ref().map(|lender| lender.multi_buffer);
        check::multi_buffer(config, decided)?;
        Ok(Self {
            multi_buffer: decided.unwrap_or(config.options.multi_buffer),
            same_queue: same_queue.cloned(),
            fd: Arc::new(fd),
            config,
            shared,
            interface,
            device,
            needs,
            lender,
        })
    }

    fn owns_rings(&self) -> bool {
        self.same_queue.is_none()
    }

    /// Makes the settings that must precede the bind: ring sizes, the transmit budget, busy
    /// polling.
    fn set_options(&self) -> Result<(), Error> {
        let (socket, config) = (self.fd.as_fd(), self.config);
        if self.owns_rings() {
            let (fill, completion) = (config.fill_ring(), config.completion_ring());
            set_xdp_ring(socket, XdpRing::Fill, fill.entries())?;
            set_xdp_ring(socket, XdpRing::Completion, completion.entries())?;
        }
        if let Some(size) = config.rx {
            set_xdp_ring(socket, XdpRing::Receive, size.entries())?;
        }
        if let Some(size) = config.tx {
            set_xdp_ring(socket, XdpRing::Transmit, size.entries())?;
            self.set_transmit_budget(size)?;
        }
        if let Some(busy) = config.options.busy_poll {
            let micros = u32::try_from(busy.time.as_micros()).unwrap_or(u32::MAX);
            let set = set_busy_poll(socket, micros, busy.budget);
            set.map_err(|error| self.needs.explain(error.needs_net_raw()))?;
        }
        Ok(())
    }

    /// In copy mode the kernel sends this many packets in one call. Kernels before 6.17 send 32,
    /// and know no other figure.
    fn set_transmit_budget(&self, ring: RingSize) -> Result<(), SyscallError> {
        let socket = self.fd.as_fd();
        match self.config.options.transmit_budget {
            Some(budget) => set_xdp_transmit_budget(socket, budget),
            None => {
                // Nothing is lost if this fails: smaller rings and older kernels keep their 32, and
                // a flush makes more calls.
                let _ = set_xdp_transmit_budget(socket, ring.entries());
                Ok(())
            }
        }
    }

    fn map_rings(self) -> Result<WithRings<'a>, Error> {
        let offsets = xdp_ring_offsets(self.fd.as_fd())?;
        let own = |size| self.owns_rings().then_some(size);
        let (fill, completion) = (self.config.fill_ring(), self.config.completion_ring());
        let rings = Rings {
            fill: self.map::<u64>(XdpRing::Fill, &offsets.fr, own(fill))?,
            receive: self.map::<xdp_desc>(XdpRing::Receive, &offsets.rx, self.config.rx)?,
            transmit: self.map::<xdp_desc>(XdpRing::Transmit, &offsets.tx, self.config.tx)?,
            completion: self.map::<u64>(XdpRing::Completion, &offsets.cr, own(completion))?,
            staged: Arc::new(AtomicU32::new(0)),
        };
        Ok(WithRings {
            socket: self,
            rings,
        })
    }

    /// Maps a ring of this size, if the socket has it.
    fn map<E: Entry>(
        &self,
        ring: XdpRing,
        offsets: &xdp_ring_offset,
        size: Option<RingSize>,
    ) -> Result<Option<Memory>, Error> {
        let Some(size) = size else {
            return Ok(None);
        };
        let words = size.entries() as usize * E::WORDS;
        let map = map_xdp_ring(self.fd.as_fd(), ring, Memory::len(offsets, words))?;
        let memory = Memory::new(map, offsets, words).ok_or_else(|| Error::Config {
            setting: "ring",
            why: "the kernel reported ring offsets outside the mapping".into(),
        })?;
        Ok(Some(memory))
    }
}

impl<'a> WithRings<'a> {
    /// Binds the socket, and records it for sockets that will share the memory.
    fn bind(self) -> Result<Bound<'a>, Error> {
        let Self { socket, rings } = self;
        let (shared, config) = (socket.shared, socket.config);
        let lender = socket.lender.as_ref().map(|lender| lender.fd.as_fd());
        let why_not_zero_copy = bind::bind(socket.fd.as_fd(), config, &socket.interface, lender)?;
        let zero_copy = xdp_is_zero_copy(socket.fd.as_fd())?;
        if lender.is_some() {
            check::copy_mode(config, zero_copy)?;
        }
        let (shares_queue, completion_entries) = match &socket.same_queue {
            Some(peer) => (peer.shares_queue.clone(), peer.completion),
            None => (Arc::default(), config.completion_ring().entries()),
        };
        shared.add_peer(Peer {
            fd: Arc::downgrade(&socket.fd),
            device: socket.device,
            queue: config.queue,
            shares_queue: shares_queue.clone(),
            metadata: config.options.metadata,
            multi_buffer: socket.multi_buffer,
            completion: completion_entries,
        });
        shared.accounting(|accounting| accounting.add(rings.clone()));
        Ok(Bound {
            config,
            shared,
            same_queue: socket.same_queue,
            completion_entries,
            socket: Arc::new(BoundSocket {
                shared: shared.clone(),
                rings,
                zero_copy,
                fd: socket.fd,
                queue: config.queue,
                interface: socket.interface,
                device: socket.device,
                why_not_zero_copy,
                busy_polls: config.options.busy_poll.is_some(),
                shares_queue,
            }),
        })
    }
}
