//! The fastest possible peer: the loop over a block, and over a ring, with raw pointers only.
//!
//! It checks nothing, and so shows what our checks and our interface cost.
//!
//! # Safety The invariant of this file: a block is read only while its status word has
//! `TP_STATUS_USER`, or when it was built in this process; it trusts the kernel and `BlockBuilder`
//! that offsets in the block stay inside it.
#![expect(
    unsafe_code,
    reason = "a reader with raw pointers; the invariant stands above"
)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use netring_sys::kernel::packet::{
    ETH_P_ALL, TP_STATUS_KERNEL, TP_STATUS_USER, TPACKET_V3, tpacket_block_desc, tpacket_req3,
    tpacket3_hdr,
};
use netring_sys::{Interface, Mmap, syscall};

use crate::Result;

/// As much memory as our default ring has, in blocks so large that they cost the kernel least.
const BLOCK: usize = 4 << 20;
const BLOCKS: usize = 16;
const FRAME: usize = 2048;
const RETIRE_MS: u32 = 10;

/// A ring, and the block that is next.
#[derive(Debug)]
pub(crate) struct Reader {
    map: Mmap,
    socket: OwnedFd,
    current: usize,
}

impl Reader {
    /// Receives from the interface of this name.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let interface = Interface::by_name(name)?;
        let socket = syscall::packet_socket()?;
        let fd = socket.as_fd();
        syscall::set_packet_version(fd, TPACKET_V3)?;
        syscall::bind_packet(fd, interface.index, 0)?;
        let request = tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: (BLOCK / FRAME * BLOCKS) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            ..tpacket_req3::default()
        };
        syscall::set_packet_rx_ring(fd, &request)?;
        let map = Mmap::shared(fd, BLOCK * BLOCKS)?;
        syscall::bind_packet(fd, interface.index, ETH_P_ALL)?;
        Ok(Self {
            map,
            socket,
            current: 0,
        })
    }

    /// Reads every block that is ready, and returns the number of packets and a word derived from
    /// them.
    pub(crate) fn read(&mut self) -> (u64, u64) {
        let (mut count, mut sum) = (0, 0);
        loop {
            let start = self.current * BLOCK;
            let status = self.map.atomic_u32(start + 8);
            let status = status.expect("the ring is made for this mapping");
            // Acquire: the kernel's writes to the block before it stored this word; partner as in
            // `netring-afpacket`.
            if status.load(Ordering::Acquire) & TP_STATUS_USER == 0 {
                return (count, sum);
            }
            // SAFETY: the mapping is ours; the status says that the kernel does not write to this
            // block; it is inside.
            let block = unsafe { self.map.bytes(start, BLOCK) };
            let (packets, word) = walk(block.expect("the ring is made for this mapping"));
            count += packets;
            sum ^= word;
            // Release: all reads are done; partner as in `netring-afpacket`.
            status.store(TP_STATUS_KERNEL, Ordering::Release);
            self.current = (self.current + 1) % BLOCKS;
        }
    }

    /// Packets dropped so far; read once.
    pub(crate) fn dropped(&self) -> Result<u64> {
        let stats = syscall::packet_statistics(self.socket.as_fd())?;
        Ok(u64::from(stats.tp_drops))
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads every packet of a valid block, and returns their number and a word derived from what a
/// reader reads.
pub(super) fn walk(block: &[u8]) -> (u64, u64) {
    let block = block.as_ptr();
    // SAFETY: the block is borrowed, so nobody writes to it; it begins with its header, read at
    // whatever alignment.
    let about = unsafe { block.cast::<tpacket_block_desc>().read_unaligned() };
    let mut at = block.wrapping_add(about.offset_to_first_pkt as usize);
    let mut sum = 0;
    for _ in 0..about.num_pkts {
        // SAFETY: the block is borrowed, so nobody writes to it; the header is inside, which this
        // file believes.
        let header = unsafe { at.cast::<tpacket3_hdr>().read_unaligned() };
        let len = header.tp_snaplen;
        let data = at.wrapping_add(usize::from(header.tp_mac));
        // SAFETY: as above; a frame has eight bytes.
        let first = unsafe { data.cast::<u64>().read_unaligned() };
        let end = data.wrapping_add(len as usize - 8);
        // SAFETY: as above.
        let last = unsafe { end.cast::<u64>().read_unaligned() };
        let time = u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec);
        sum ^= first ^ last ^ u64::from(len) ^ u64::from(header.tp_len) << 32 ^ time;
        at = at.wrapping_add(header.tp_next_offset as usize);
    }
    (u64::from(about.num_pkts), sum)
}
