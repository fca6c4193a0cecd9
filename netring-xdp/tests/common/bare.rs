//! A sending AF_XDP socket by bare system calls: it publishes any descriptor, valid or not, and
//! shows what the kernel made of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netring_sys::kernel::xdp::{
    XDP_COPY, XDP_UMEM_TX_METADATA_LEN, XDP_UMEM_UNALIGNED_CHUNK_FLAG, XDP_USE_SG, sockaddr_xdp,
    xdp_desc, xdp_ring_offset, xdp_statistics, xdp_umem_reg,
};
use netring_sys::syscall::{self, XdpRing};
use netring_sys::{Interface, Mmap};

const RING: u32 = 256;

/// A bound socket with packet memory of its own.
pub(crate) struct BareSender {
    socket: OwnedFd,
    memory: Mmap,
    transmit: (Mmap, xdp_ring_offset),
    completion: (Mmap, xdp_ring_offset),
}

/// Binds a socket, and waits for its queue: the kernel releases one a little after its socket was
/// closed.
pub(crate) fn bind_when_free(socket: BorrowedFd<'_>, address: &sockaddr_xdp) {
    const EBUSY: i32 = 16;
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = syscall::bind_xdp(socket, address, None) {
        assert!(error.is(EBUSY) && Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

/// How packet memory is divided into chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) chunk_size: u32,
    pub(crate) chunks: u32,
    pub(crate) unaligned: bool,
}

impl Cut {
    /// Bytes of all chunks, rounded up to whole pages.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.chunk_size) * u64::from(self.chunks)
    }
}

impl BareSender {
    /// Bound to queue 0 in copy mode.
    pub(crate) fn bind(interface: &str, cut: Cut, multi_buffer: bool) -> Self {
        Self::bind_with(interface, cut, multi_buffer, 0)
    }

    /// As [`bind`](Self::bind), with this many bytes of metadata before each frame.
    pub(crate) fn bind_with_metadata(interface: &str, cut: Cut, metadata: u32) -> Self {
        Self::bind_with(interface, cut, false, metadata)
    }

    fn bind_with(interface: &str, cut: Cut, multi_buffer: bool, metadata: u32) -> Self {
        let socket = syscall::xdp_socket().unwrap();
        let fd = socket.as_fd();
        let memory = Mmap::anonymous(cut.bytes() as usize).unwrap();
        assert_eq!(memory.len() as u64, cut.bytes());
        let flag = |flag, set| if set { flag } else { 0 };
        let request = xdp_umem_reg {
            chunk_size: cut.chunk_size,
            flags: flag(XDP_UMEM_UNALIGNED_CHUNK_FLAG, cut.unaligned)
                | flag(XDP_UMEM_TX_METADATA_LEN, metadata > 0),
            tx_metadata_len: metadata,
            ..xdp_umem_reg::default()
        };
        syscall::set_xdp_umem(fd, &memory, &request).unwrap();
        for ring in [XdpRing::Fill, XdpRing::Completion, XdpRing::Transmit] {
            syscall::set_xdp_ring(fd, ring, RING).unwrap();
        }
        let offsets = syscall::xdp_ring_offsets(fd).unwrap();
        let map = |ring, at: xdp_ring_offset, entry: usize| {
            let len = at.desc as usize + entry * RING as usize;
            (syscall::map_xdp_ring(fd, ring, len).unwrap(), at)
        };
        let transmit = map(XdpRing::Transmit, offsets.tx, 16);
        let completion = map(XdpRing::Completion, offsets.cr, 8);
        let address = sockaddr_xdp {
            sxdp_flags: XDP_COPY | (XDP_USE_SG * u16::from(multi_buffer)),
            sxdp_ifindex: Interface::by_name(interface).unwrap().index,
            ..sockaddr_xdp::default()
        };
        bind_when_free(fd, &address);
        Self {
            socket,
            memory,
            transmit,
            completion,
        }
    }

    /// Writes to the packet memory, in words of 4 bytes.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        for (n, word) in bytes.chunks(4).enumerate() {
            let mut four = [0; 4];
            four[..word.len()].copy_from_slice(word);
            let place = self.memory.atomic_u32(at as usize + 4 * n).unwrap();
            place.store(u32::from_ne_bytes(four), Ordering::Relaxed);
        }
    }

    /// Puts descriptors into the transmit ring, unchecked.
    pub(crate) fn publish(&self, descs: &[xdp_desc]) {
        let (map, at) = &self.transmit;
        let producer = map.atomic_u32(at.producer as usize).unwrap();
        let position = producer.load(Ordering::Relaxed);
        for (n, desc) in descs.iter().enumerate() {
            let index = position.wrapping_add(n as u32) & (RING - 1);
            let words = map
                .atomic_u64s(at.desc as usize + 16 * index as usize, 2)
                .unwrap();
            words[0].store(desc.addr, Ordering::Relaxed);
            let halves = [desc.len.to_ne_bytes(), desc.options.to_ne_bytes()].concat();
            let second = u64::from_ne_bytes(*halves.first_chunk().unwrap());
            words[1].store(second, Ordering::Relaxed);
        }
        // Release: pairs with the kernel's load of the position, so it sees the entries.
        producer.store(position.wrapping_add(descs.len() as u32), Ordering::Release);
    }

    /// Makes one call to send, and returns how many descriptors the kernel consumed.
    pub(crate) fn kick(&self) -> u32 {
        let before = self.taken();
        syscall::kick_transmit(self.socket.as_fd()).unwrap();
        self.taken().wrapping_sub(before)
    }

    /// Calls until the ring is empty; each call has to consume something.
    pub(crate) fn kick_all(&self) {
        let (map, at) = &self.transmit;
        let producer = map.atomic_u32(at.producer as usize).unwrap();
        while self.taken() != producer.load(Ordering::Relaxed) {
            assert!(self.kick() > 0);
        }
    }

    /// The addresses completed since the socket was opened.
    pub(crate) fn completed(&self) -> Vec<u64> {
        let (map, at) = &self.completion;
        let producer = map.atomic_u32(at.producer as usize).unwrap();
        let count = producer.load(Ordering::Acquire) as usize;
        assert!(count <= RING as usize);
        let entries = map.atomic_u64s(at.desc as usize, count).unwrap();
        let addresses = entries.iter().map(|entry| entry.load(Ordering::Relaxed));
        addresses.collect()
    }

    pub(crate) fn statistics(&self) -> xdp_statistics {
        syscall::xdp_statistics_of(self.socket.as_fd()).unwrap().0
    }

    /// How many descriptors the kernel has consumed since the socket was opened.
    fn taken(&self) -> u32 {
        let (map, at) = &self.transmit;
        let consumer = map.atomic_u32(at.consumer as usize).unwrap();
        consumer.load(Ordering::Acquire)
    }
}
