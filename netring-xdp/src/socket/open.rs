//! From settings to a bound socket.

mod bind;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::kernel::xdp::{xdp_desc, xdp_ring_offset};
use netring_sys::syscall::{
    XdpRing, map_xdp_ring, set_busy_poll, set_xdp_ring, set_xdp_transmit_budget, xdp_is_zero_copy,
    xdp_ring_offsets, xdp_socket,
};
use netring_sys::{Error, Interface, SyscallError, XdpFeatures};

use crate::device::Device;
use crate::memory::accounting::Rings;
use crate::memory::umem::{Peer, Shared};
use crate::options::{CopyMode, RingSize, SocketConfig};
use crate::ring::{Consumer, Entry, Memory, Producer};
use crate::socket::bound::BoundSocket;
use crate::socket::rx::Assembly;
use crate::socket::rx::{MetadataPlacement, RxHalf};
use crate::socket::tx::{MAX_PIECES, NONE_SENT_ON, Offloads, TxFeatures, TxHalf};

/// Opens a socket: its halves, those that were asked for, with their chunks; the receiving one has
/// filled its fill ring.
pub(crate) fn open(
    shared: &Arc<Shared>,
    wanted: &SocketConfig,
) -> Result<(Option<RxHalf>, Option<TxHalf>), Error> {
    let interface = Interface::by_name(&wanted.interface)?;
    check(shared, wanted, &interface)?;
    let needs = wanted.needs(shared.geometry().bytes());
    let socket = xdp_socket().map_err(|error| needs.explain(error.needs_net_raw()))?;
    let fd = Arc::new(socket);
    let socket = fd.as_fd();
    let device = Device::of_socket(socket, interface.index)?;
    let peers = shared.peers();
    let same_queue = peers
        .iter()
        .find(|peer| peer.device == device && peer.queue == wanted.queue);
    // Of the same queue it has to be that one; of another, any.
    let lender = same_queue.or(peers.first());
    let lender = lender.and_then(|peer| Some((peer, peer.fd.upgrade()?)));
    if lender.is_none() {
        shared.register(socket, needs)?;
    }
    let own_rings = same_queue.is_none();
    if wanted.metadata && same_queue.is_some_and(|peer| !peer.metadata) {
        return Err(Error::Config {
            setting: "metadata",
            why: "of sockets of one queue the first has the fill ring, and was opened without: ask for it there too".into(),
        });
    }
    let several = lender.as_ref().map(|(peer, _)| peer.multi_buffer);
    check_several(wanted, several)?;
    let several = several.unwrap_or(wanted.multi_buffer);
    let completion_entries = match same_queue {
        Some(peer) => peer.completion,
        None => wanted.completion_ring().entries(),
    };

    if own_rings {
        set_xdp_ring(socket, XdpRing::Fill, wanted.fill_ring().entries())?;
        set_xdp_ring(
            socket,
            XdpRing::Completion,
            wanted.completion_ring().entries(),
        )?;
    }
    if let Some(size) = wanted.rx {
        set_xdp_ring(socket, XdpRing::Receive, size.entries())?;
    }
    if let Some(size) = wanted.tx {
        set_xdp_ring(socket, XdpRing::Transmit, size.entries())?;
        set_budget(socket, wanted, size)?;
    }
    if let Some(busy) = wanted.busy_poll {
        let micros = u32::try_from(busy.time.as_micros()).unwrap_or(u32::MAX);
        let set = set_busy_poll(socket, micros, busy.budget);
        set.map_err(|error| needs.explain(error.needs_net_raw()))?;
    }
    let offsets = xdp_ring_offsets(socket)?;
    let rx = wanted
        .rx
        .map(|size| map::<xdp_desc>(socket, XdpRing::Receive, &offsets.rx, size))
        .transpose()?;
    let tx = wanted
        .tx
        .map(|size| map::<xdp_desc>(socket, XdpRing::Transmit, &offsets.tx, size))
        .transpose()?;
    let (fill, completion) = if own_rings {
        let (fill_size, completion_size) = (wanted.fill_ring(), wanted.completion_ring());
        (
            Some(map::<u64>(socket, XdpRing::Fill, &offsets.fr, fill_size)?),
            Some(map::<u64>(
                socket,
                XdpRing::Completion,
                &offsets.cr,
                completion_size,
            )?),
        )
    } else {
        (None, None)
    };

    let why_not_zero_copy = bind::bind(
        socket,
        wanted,
        &interface,
        lender.as_ref().map(|(_, fd)| fd.as_fd()),
    )?;
    let zero_copy = xdp_is_zero_copy(socket)?;
    if lender.is_some() {
        check_copying(wanted, zero_copy)?;
    }
    let shares_queue = match same_queue {
        Some(peer) => peer.shares_queue.clone(),
        None => Arc::default(),
    };
    shared.add_peer(Peer {
        fd: Arc::downgrade(&fd),
        device,
        queue: wanted.queue,
        shares_queue: shares_queue.clone(),
        metadata: wanted.metadata,
        multi_buffer: several,
        completion: completion_entries,
    });
    let staged = Arc::new(AtomicU32::new(0));
    let rings = Rings {
        fill: fill.clone(),
        receive: rx.clone(),
        transmit: tx.clone(),
        completion: completion.clone(),
        staged: staged.clone(),
    };
    shared.books(|books| books.add(rings.clone()));
    let socket = Arc::new(BoundSocket {
        shared: shared.clone(),
        rings,
        zero_copy,
        fd,
        queue: wanted.queue,
        interface,
        device,
        why_not_zero_copy,
        busy_polls: wanted.busy_poll.is_some(),
        shares_queue,
    });

    shared.can_assign(
        wanted.rx.map_or(0, |_| wanted.receive_chunks()),
        wanted.tx.map_or(0, |_| wanted.transmit_chunks()),
    )?;
    let mut receiving = None;
    // A socket that only sends has a fill ring too, which its driver may want something in.
    if let Some((rx, size)) = rx.zip(wanted.rx) {
        let mut half = RxHalf {
            pool: shared.assign(wanted.receive_chunks(), "receive_chunks")?,
            socket: socket.clone(),
            shared: shared.clone(),
            rx: Consumer::new(rx, size.entries()),
            fill: fill.map(|fill| Producer::new(fill, wanted.fill_ring().entries())),
            delivered: 0,
            invalid: 0,
            assembly: wanted.multi_buffer.then(Assembly::default),
            metadata: wanted.metadata.then_some(MetadataPlacement::Default),
            kicks: 0,
        };
        half.top_up();
        receiving = Some(half);
    } else if let Some(fill) = fill.filter(|_| socket.zero_copy) {
        let mut pool = shared.assign(wanted.receive_chunks(), "receive_chunks")?;
        let mut fill = Producer::<u64>::new(fill, wanted.fill_ring().entries());
        let mut writer = fill.writer(pool.len());
        while let Some(token) = pool.pop() {
            writer.push(shared.geometry().base(token.into_ring()));
        }
        pool.publish_count();
    }
    let mut sending = None;
    if let Some((tx, size)) = tx.zip(wanted.tx) {
        let (offloads, segments) = offloads(shared, &socket)?;
        let max_pieces = if wanted.multi_buffer {
            // A frame is completed once all of it is sent: one that its completion ring has no room
            // for never is.
            let rings = size.entries().min(completion_entries);
            MAX_PIECES.min(segments).min(rings)
        } else {
            1
        };
        sending = Some(TxHalf {
            pool: shared.assign(wanted.transmit_chunks(), "transmit_chunks")?,
            features: TxFeatures::new(
                shared.geometry(),
                max_pieces.min(wanted.transmit_chunks()),
                completion.is_some(),
                socket.zero_copy,
                offloads,
            ),
            max_pieces,
            socket,
            shared: shared.clone(),
            tx: Producer::new(tx, size.entries()),
            completion: completion
                .map(|ring| Consumer::new(ring, wanted.completion_ring().entries())),
            staged,
            published: 0,
            continued: 0,
            completed: 0,
            dropped: 0,
            refused: 0,
            foreign: Vec::with_capacity(size.entries() as usize),
            keep: 0,
            sent_on: NONE_SENT_ON,
            kicks: 0,
        });
    }
    if let Some(peer) = same_queue {
        // Only now, when nothing can fail any more. Relaxed: as in `is_queue_shared`.
        peer.shares_queue.store(true, Ordering::Relaxed);
    }
    Ok((receiving, sending))
}

/// What can be asked for with a frame, and the most chunks of one: in copy mode that is the
/// kernel's, else the driver's.
fn offloads(shared: &Shared, socket: &BoundSocket) -> Result<(Offloads, u32), Error> {
    if !socket.zero_copy {
        return Ok((Offloads::of_kernel(shared.software_checksum), u32::MAX));
    }
    let features = XdpFeatures::of(socket.interface.index)?.unwrap_or_default();
    let segments = features.zero_copy_segments.unwrap_or(u32::MAX);
    Ok((Offloads::of_driver(&features), segments))
}

fn check(shared: &Shared, wanted: &SocketConfig, interface: &Interface) -> Result<(), Error> {
    let refuse = |setting, why| Err(Error::Config { setting, why });
    let queues = interface.rx_queues.max(interface.tx_queues);
    if wanted.queue >= queues {
        return refuse(
            "queue",
            format!(
                "{}: {} has {queues}, numbered from 0",
                wanted.queue, interface.name
            ),
        );
    }
    if wanted.rx.is_none() && wanted.tx.is_none() {
        return refuse(
            "ring",
            "a socket has a receive ring, a transmit ring, or both".into(),
        );
    }
    if wanted.rx.is_some() && wanted.receive_chunks() == 0 {
        return refuse(
            "receive_chunks",
            "without a chunk nothing is received".into(),
        );
    }
    let geometry = shared.geometry();
    if wanted.copy_mode == CopyMode::ZeroCopy && geometry.is_unaligned() && !shared.is_huge() {
        return refuse(
            "unaligned",
            "without a copy, a chunk that lies over the border of two pages needs huge pages (`HugePages::Require`)".into(),
        );
    }
    Ok(())
}

/// Whether packets lie in `several` chunks is the same for all sockets over one memory: one that
/// knows nothing of it would take each chunk for a packet, and one that counts on it would be sent
/// none.
fn check_several(wanted: &SocketConfig, several: Option<bool>) -> Result<(), Error> {
    let why = match (several, wanted.multi_buffer) {
        (Some(true), false) if wanted.rx.is_some() => "with: open this one with it too",
        (Some(false), true) => "without: open all of them with it, or none",
        _ => return Ok(()),
    };
    Err(Error::Config {
        setting: "multi_buffer",
        why: format!("of sockets over one UMEM the first decides, and was opened {why}"),
    })
}

/// Whether packets are copied is the same for all sockets over one memory: who asks for the other
/// is published_len.
fn check_copying(wanted: &SocketConfig, zero_copy: bool) -> Result<(), Error> {
    let why = match (wanted.copy_mode, zero_copy) {
        (CopyMode::ZeroCopy, false) => "has its packets copied",
        (CopyMode::Copy, true) => "has them without a copy",
        _ => return Ok(()),
    };
    Err(Error::Config {
        setting: "copy_mode",
        why: format!(
            "of sockets over one UMEM the first decides, and {why}: take `CopyMode::Best` here, or a UMEM of its own"
        ),
    })
}

/// In copy mode the kernel sends so many packets in one call. Kernels before 6.17 have 32, and know
/// no other.
fn set_budget(
    socket: BorrowedFd<'_>,
    wanted: &SocketConfig,
    size: RingSize,
) -> Result<(), SyscallError> {
    match wanted.transmit_budget {
        Some(budget) => set_xdp_transmit_budget(socket, budget),
        None => {
            // Nothing is lost where it is not had: smaller rings and older kernels keep their 32,
            // and a flush makes more calls.
            let _ = set_xdp_transmit_budget(socket, size.entries());
            Ok(())
        }
    }
}

fn map<E: Entry>(
    socket: BorrowedFd<'_>,
    ring: XdpRing,
    offsets: &xdp_ring_offset,
    size: RingSize,
) -> Result<Memory, Error> {
    let words = size.entries() as usize * E::WORDS;
    let map = map_xdp_ring(socket, ring, Memory::len(offsets, words))?;
    Memory::new(map, offsets, words).ok_or_else(|| Error::Config {
        setting: "ring",
        why: "the kernel says that its words are outside of it".into(),
    })
}
