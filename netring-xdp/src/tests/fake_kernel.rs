//! A kernel that is simulated in this process: its sides of the four rings, and what it holds
//! between two of them.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::Interface;
use netring_sys::kernel::xdp::{XDP_PKT_CONTD, XDP_RING_NEED_WAKEUP, xdp_desc};

use crate::device::Device;
use crate::memory::accounting::Rings;
use crate::memory::geometry::Geometry;
use crate::memory::umem::{Shared, UmemConfig};
use crate::ring::{Consumer, Memory, Producer};
use crate::socket::bound::BoundSocket;
use crate::socket::rx::{RxHalf, RxParts};
use crate::socket::tx::{Offloads, TxHalf, TxParts};

pub(super) const RING: u32 = 8;

/// The kernel's sides of the four rings, and what it holds between two of them.
pub(super) struct Kernel {
    pub(super) geometry: Geometry,
    pub(super) fill: Consumer<u64>,
    pub(super) rx: Producer<xdp_desc>,
    pub(super) tx: Consumer<xdp_desc>,
    pub(super) completion: Producer<u64>,
    pub(super) held: VecDeque<u64>,
    pub(super) in_flight: VecDeque<u64>,
    /// The sent frames, byte for byte.
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) flags: [Memory; 2],
    /// The other end of what the halves take for a socket: their kicks arrive here.
    pub(super) kicks: UnixDatagram,
}

pub(super) struct Harness {
    pub(super) shared: Arc<Shared>,
    pub(super) rx: RxHalf,
    pub(super) tx: TxHalf,
    pub(super) kernel: Kernel,
}

/// A socket's two halves with their chunks, over rings whose positions start at 0, as the kernel's
/// do.
pub(super) fn harness(receive_chunks: u32, transmit_chunks: u32, multi_buffer: bool) -> Harness {
    harness_over(
        &UmemConfig::new(),
        receive_chunks,
        transmit_chunks,
        multi_buffer,
    )
}

/// The same, over packet memory with these settings.
pub(super) fn harness_over(
    config: &UmemConfig,
    receive_chunks: u32,
    transmit_chunks: u32,
    multi_buffer: bool,
) -> Harness {
    let config = config.clone().chunks(receive_chunks + transmit_chunks);
    let shared = Arc::new(config.build().unwrap());
    let (ours, kicks) = UnixDatagram::pair().unwrap();
    kicks.set_nonblocking(true).unwrap();
    ours.set_nonblocking(true).unwrap();
    let interface = Interface::by_name("lo").unwrap();
    let [rx, tx] = [(); 2].map(|()| Memory::alone(RING as usize * 2, 0));
    let [fill, completion] = [(); 2].map(|()| Memory::alone(RING as usize, 0));
    let staged = Arc::new(AtomicU32::new(0));
    let rings = Rings {
        fill: Some(fill.clone()),
        receive: Some(rx.clone()),
        transmit: Some(tx.clone()),
        completion: Some(completion.clone()),
        staged: staged.clone(),
    };
    shared.accounting(|accounting| accounting.add(rings.clone()));
    let socket = Arc::new(BoundSocket {
        fd: Arc::new(OwnedFd::from(ours)),
        device: Device::simulated(interface.index),
        interface,
        queue: 0,
        zero_copy: false,
        why_not_zero_copy: None,
        busy_polls: false,
        shares_queue: Arc::default(),
        shared: shared.clone(),
        rings,
    });
    let kernel = Kernel {
        geometry: *shared.geometry(),
        fill: Consumer::new(fill.clone()),
        rx: Producer::new(rx.clone()),
        tx: Consumer::new(tx.clone()),
        completion: Producer::new(completion.clone()),
        held: VecDeque::new(),
        in_flight: VecDeque::new(),
        sent: Vec::new(),
        flags: [fill.clone(), tx.clone()],
        kicks,
    };
    let receiving = RxHalf::new(RxParts {
        socket: socket.clone(),
        receive: rx,
        fill: Some(fill),
        pool: shared.assign(receive_chunks, "receive_chunks").unwrap(),
        multi_buffer,
        metadata: None,
    });
    let sending = TxHalf::new(TxParts {
        socket,
        transmit: tx,
        completion: Some(completion),
        pool: shared.assign(transmit_chunks, "transmit_chunks").unwrap(),
        max_pieces: if multi_buffer { RING } else { 1 },
        offloads: Offloads::of_kernel(false),
    });
    Harness {
        shared,
        rx: receiving,
        tx: sending,
        kernel,
    }
}

impl Kernel {
    /// Takes up to `count` chunks from the fill ring.
    pub(super) fn take_fill(&mut self, count: u32) {
        let count = self.fill.available(count).min(count);
        self.held.extend(self.fill.entries(count));
        self.fill.release(count);
    }

    /// A packet with this many fragments arrives: whole, or not at all.
    pub(super) fn receive(&mut self, fragments: u32, len: u32) {
        if self.held.len() < fragments as usize || self.rx.room(fragments) < fragments {
            return;
        }
        let mut writer = self.rx.writer(fragments);
        for n in 0..fragments {
            let addr = self.held.pop_front().unwrap();
            assert!(self.geometry.takes_fill(addr), "it would be lost silently");
            let options = if n + 1 < fragments { XDP_PKT_CONTD } else { 0 };
            let addr = addr / 2048 * 2048 + 256;
            writer.push(xdp_desc { addr, len, options });
        }
    }

    pub(super) fn send(&mut self, shared: &Shared, count: u32) {
        let count = self.tx.available(count).min(count);
        for desc in self.tx.entries(count) {
            assert!(
                self.geometry.takes_transmit(&desc),
                "it would never be completed"
            );
            let map = shared.region().map();
            let words = map.atomic_u64s(desc.addr as usize / 8 * 8, 1).unwrap();
            self.sent
                .push(words[0].load(Ordering::Relaxed).to_ne_bytes().to_vec());
            self.in_flight.push_back(desc.addr);
        }
        self.tx.release(count);
    }

    pub(super) fn complete(&mut self, count: u32) {
        let mut writer = self.completion.writer(count);
        while writer.room() > 0
            && let Some(addr) = self.in_flight.pop_front()
        {
            writer.push(addr);
        }
    }

    /// Sets whether it waits for a system call.
    pub(super) fn wants_calls(&self, wants: bool) {
        for ring in &self.flags {
            let flag = if wants { XDP_RING_NEED_WAKEUP } else { 0 };
            ring.flags().store(flag, Ordering::Relaxed);
        }
    }

    /// The number of calls since then.
    pub(super) fn calls(&self) -> usize {
        let mut buffer = [0; 8];
        std::iter::from_fn(|| self.kicks.recv(&mut buffer).ok()).count()
    }

    /// Chunks that are the kernel's: in no ring, or in one that it reads.
    pub(super) fn chunks(&mut self) -> Vec<u64> {
        let fill = self.fill.available(RING);
        let tx = self.tx.available(RING);
        let in_rings = self
            .fill
            .entries(fill)
            .chain(self.tx.entries(tx).map(|desc| desc.addr));
        let held = self.held.iter().chain(&self.in_flight).copied();
        in_rings.chain(held).map(|addr| addr / 2048).collect()
    }
}

impl Harness {
    #[track_caller]
    pub(super) fn conserved(&mut self) {
        let census = self.shared.census();
        assert_eq!(census.total(), self.shared.geometry().count(), "{census}");
        // And none is in two places that the kernel writes to or reads from.
        let chunks = self.kernel.chunks();
        let distinct: BTreeSet<_> = chunks.iter().collect();
        assert_eq!(
            distinct.len(),
            chunks.len(),
            "a chunk is with the kernel twice: {chunks:?}"
        );
    }
}
