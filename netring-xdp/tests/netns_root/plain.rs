//! A receiving AF_XDP socket by bare system calls, independent of this crate.
#![allow(clippy::unwrap_used, dead_code, reason = "a part of several tests")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netring_sys::kernel::xdp::{
    XDP_COPY, sockaddr_xdp, xdp_ring_offset, xdp_statistics, xdp_umem_reg,
};
use netring_sys::syscall::{self, XdpRing};
use netring_sys::{Interface, Mmap};

use crate::common::bare::bind_when_free;

const CHUNK: usize = 2048;
const CHUNKS: usize = 1024;
const RING: u32 = 1024;

/// A bound socket with packet memory of its own.
pub(crate) struct Plain {
    socket: OwnedFd,
    umem: Mmap,
    fill: (Mmap, xdp_ring_offset),
    receive: (Mmap, xdp_ring_offset),
    taken: u32,
}

impl Plain {
    /// Bound to a queue in copy mode, with `chunks` of its 1024 chunks in the fill ring.
    pub(crate) fn bind(interface: &Interface, queue: u32, chunks: u32) -> Self {
        let socket = syscall::xdp_socket().unwrap();
        let fd = socket.as_fd();
        let umem = Mmap::anonymous(CHUNK * CHUNKS).unwrap();
        let request = xdp_umem_reg {
            chunk_size: CHUNK as u32,
            ..xdp_umem_reg::default()
        };
        syscall::set_xdp_umem(fd, &umem, &request).unwrap();
        for ring in [XdpRing::Fill, XdpRing::Completion, XdpRing::Receive] {
            syscall::set_xdp_ring(fd, ring, RING).unwrap();
        }
        let offsets = syscall::xdp_ring_offsets(fd).unwrap();
        let map = |ring, at: xdp_ring_offset, entry: usize| {
            let len = at.desc as usize + entry * RING as usize;
            (syscall::map_xdp_ring(fd, ring, len).unwrap(), at)
        };
        let fill = map(XdpRing::Fill, offsets.fr, 8);
        let receive = map(XdpRing::Receive, offsets.rx, 16);
        let address = sockaddr_xdp {
            sxdp_flags: XDP_COPY,
            sxdp_ifindex: interface.index,
            sxdp_queue_id: queue,
            ..sockaddr_xdp::default()
        };
        bind_when_free(fd, &address);
        let plain = Self {
            socket,
            umem,
            fill,
            receive,
            taken: 0,
        };
        for chunk in 0..chunks {
            plain.give(u64::from(chunk) * CHUNK as u64);
        }
        plain
    }

    fn give(&self, address: u64) {
        let (map, at) = &self.fill;
        let producer = map.atomic_u32(at.producer as usize).unwrap();
        let position = producer.load(Ordering::Relaxed);
        let entry = at.desc as usize + 8 * (position & (RING - 1)) as usize;
        for (half, value) in [(0, address as u32), (4, (address >> 32) as u32)] {
            let word = if cfg!(target_endian = "little") {
                half
            } else {
                4 - half
            };
            map.atomic_u32(entry + word)
                .unwrap()
                .store(value, Ordering::Relaxed);
        }
        producer.store(position.wrapping_add(1), Ordering::Release);
    }

    /// The next packet, or `None` if none arrives in time. Its chunk is not returned.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Option<Vec<u8>> {
        self.receive_with(0, timeout).map(|(_, packet)| packet)
    }

    /// The next packet, with this many bytes in front of it.
    pub(crate) fn receive_with(
        &mut self,
        before: usize,
        timeout: Duration,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let deadline = Instant::now() + timeout;
        let (map, at) = &self.receive;
        while map
            .atomic_u32(at.producer as usize)
            .unwrap()
            .load(Ordering::Acquire)
            == self.taken
        {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::yield_now();
        }
        let entry = at.desc as usize + 16 * (self.taken & (RING - 1)) as usize;
        let word = |offset| {
            map.atomic_u32(entry + offset)
                .unwrap()
                .load(Ordering::Relaxed) as usize
        };
        // The packet memory is small: the address is in the low half.
        let low = if cfg!(target_endian = "little") { 0 } else { 4 };
        let (start, len) = (word(low) - before, word(8) + before);
        let words = (start & !3..start + len).step_by(4);
        let bytes: Vec<u8> = words
            .flat_map(|at| {
                self.umem
                    .atomic_u32(at)
                    .unwrap()
                    .load(Ordering::Relaxed)
                    .to_ne_bytes()
            })
            .collect();
        self.taken = self.taken.wrapping_add(1);
        let consumer = map.atomic_u32(at.consumer as usize).unwrap();
        consumer.store(self.taken, Ordering::Release);
        let (before, packet) = bytes[start & 3..][..len].split_at(before);
        Some((before.to_vec(), packet.to_vec()))
    }

    pub(crate) fn statistics(&self) -> xdp_statistics {
        syscall::xdp_statistics_of(self.socket.as_fd()).unwrap().0
    }
}

impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
