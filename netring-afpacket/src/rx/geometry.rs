//! Sizes of a ring, its blocks and its slots.

use std::time::Duration;

use netring_sys::Profile;
use netring_sys::kernel::packet::TPACKET_ALIGNMENT;

/// The requested ring, and the one that was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingGeometry {
    /// Bytes of a block.
    pub block_size: usize,
    /// Blocks in the ring.
    pub block_count: usize,
    /// Blocks that were requested: more than `block_count` if memory was short.
    pub requested_blocks: usize,
    /// Bytes of the slot that each packet has to itself, up to 112 bytes of headers included;
    /// `None` if packets share blocks, as they do in every profile but [`Profile::Immediate`].
    pub slot_size: Option<usize>,
}

impl RingGeometry {
    /// Bytes of the whole ring.
    pub const fn bytes(&self) -> usize {
        self.block_size * self.block_count
    }

    /// Packets that the ring holds, if each has a slot to itself.
    pub const fn slots(&self) -> Option<usize> {
        match self.slot_size {
            Some(size) => Some(self.block_size / size * self.block_count),
            None => None,
        }
    }

    /// Whether memory was short, so that the ring has fewer blocks than requested.
    pub const fn is_short(&self) -> bool {
        self.block_count < self.requested_blocks
    }
}

/// The minimum number of blocks in a ring: one for the kernel and one for the reader.
pub(crate) const MIN_BLOCKS: usize = 2;

/// Bytes of a frame, which the kernel asks for but does not use in a version 3 ring: any that
/// divides every block.
pub(crate) const FRAME_SIZE: usize = 2048;

/// Bytes kept of each packet in a slot unless there is a snap length: the largest packet that
/// receive offload builds, with its link layer header.
const KEPT_IN_A_SLOT: usize = (64 << 10) + 32;
/// Bytes that the kernel leaves between its header in a slot and the packet: see
/// `Ring::convert_header`.
pub(crate) const SLOT_RESERVE: u32 = 16;
/// The maximum number of bytes before a packet in its slot: header, address, reserve, and the
/// padding that aligns the network header.
const SLOT_HEADERS: usize = 80 + SLOT_RESERVE as usize;

/// Bytes of a slot: a block is divided into as many slots of the needed size as it holds, which
/// share the remainder. `extra` are bytes before the packet beyond the usual headers.
pub(crate) fn slot_size(block_size: usize, snap_len: Option<u32>, extra: usize) -> usize {
    let keep = snap_len.map_or(KEPT_IN_A_SLOT, |bytes| bytes as usize);
    let needed = keep.min(block_size) + SLOT_HEADERS + extra;
    let needed = needed.next_multiple_of(TPACKET_ALIGNMENT);
    let slots = (block_size / needed).max(1);
    let size = block_size / slots;
    size - size % TPACKET_ALIGNMENT
}

/// The block size, the block count and the retire timeout of a profile.
pub(crate) const fn sizes(profile: Profile) -> (usize, usize, Duration) {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let (size, count, millis) = match profile {
        Profile::LowLatency => (128 * KIB, 512, 1),
        Profile::HighThroughput => (MIB, 256, 64),
        Profile::LowMemory => (128 * KIB, 32, 80),
        Profile::Jumbo => (512 * KIB, 256, 16),
        Profile::Immediate => (MIB, 64, 0),
        _ => (256 * KIB, 256, 16),
    };
    (size, count, Duration::from_millis(millis))
}
