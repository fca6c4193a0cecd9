//! The usual case, checked by as few comparisons as possible: aligned chunks, and packets of one
//! chunk each. Everything else takes the slow path.

use std::ops::Range;

use netring_sys::kernel::xdp::xdp_desc;

use super::{ChunkIndex, Geometry};

/// Some of the chunks, in a form that many addresses are checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    start: u64,
    /// 0 if chunks are not aligned.
    aligned_bytes: u64,
}

impl Window {
    /// Whether an address is in one of the chunks. Always false if they are not aligned.
    #[inline]
    pub(crate) const fn has(self, addr: u64) -> bool {
        addr.wrapping_sub(self.start) < self.aligned_bytes
    }
}

/// The length of a packet with its options as the upper half, as in the ring: with an option set it
/// is far more than a chunk holds.
#[inline]
pub(crate) const fn len_with_options(desc: &xdp_desc) -> u64 {
    desc.len as u64 | (desc.options as u64) << 32
}

impl Geometry {
    /// Whether a descriptor points into a chunk, is a packet of its own, and ends before its chunk
    /// does: including the rare packet that fills its chunk would cost all others a comparison.
    /// Always false if chunks are not aligned.
    #[inline]
    pub(crate) fn is_in_chunk(&self, desc: &xdp_desc) -> bool {
        desc.addr < self.aligned_bytes
            && len_with_options(desc)
                .checked_add(self.minus_room(desc.addr))
                .is_some()
    }

    /// Whether a descriptor points into a chunk, is a packet of its own, and not empty: then the
    /// kernel accepts it from the transmit ring too. Always false if chunks are not aligned.
    #[inline]
    pub(crate) fn is_in_chunk_to_send(&self, desc: &xdp_desc) -> bool {
        // Less one, so that a length up to the room does not carry, and a length of 0 becomes the
        // longest.
        let less_one = len_with_options(desc).wrapping_sub(1);
        self.front == 0
            && desc.addr < self.aligned_bytes
            && less_one.checked_add(self.minus_room(desc.addr)).is_some()
    }

    /// 2⁶⁴ less the bytes from an address to the end of its chunk: adding a length carries if it is
    /// at least that long.
    #[inline]
    fn minus_room(&self, addr: u64) -> u64 {
        addr | !u64::from(self.chunk_size - 1)
    }

    /// Where these chunks are.
    #[inline]
    pub(crate) fn window(&self, chunks: &Range<ChunkIndex>) -> Window {
        let bytes = |count: ChunkIndex| u64::from(count) * u64::from(self.chunk_size);
        Window {
            start: bytes(chunks.start),
            aligned_bytes: if self.unaligned {
                0
            } else {
                bytes(chunks.end - chunks.start)
            },
        }
    }

    /// The chunk of an address if it is one of these. Always `None` if chunks are not aligned.
    #[inline]
    pub(crate) const fn chunk_in(&self, these: Window, addr: u64) -> Option<ChunkIndex> {
        if these.has(addr) {
            Some((addr >> self.shift) as ChunkIndex)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::kernel::xdp::XDP_PKT_CONTD;

    #[test]
    fn x10_what_is_in_its_chunk_is_inside_and_whole() {
        let geometry = Geometry::new(2048, 3, 0, false, 4096).unwrap();
        let unaligned = Geometry::new(3000, 3, 0, true, 4096).unwrap();
        let lens = [0, 1, 2, 2046, 2047, 2048, 2049, u32::MAX];
        let addrs = [0, 1, 2046, 2047, 2048, 4096, 6143, 6144, 1 << 48, u64::MAX];
        for (addr, len) in addrs.iter().flat_map(|addr| lens.map(|len| (*addr, len))) {
            let at = xdp_desc {
                addr,
                len,
                options: 0,
            };
            let inside = geometry.received(&at).is_some();
            let fills = addr % 2048 + u64::from(len) == 2048;
            assert_eq!(geometry.is_in_chunk(&at), inside && !fills, "{addr} {len}");
            let sent = geometry.takes_transmit(&at);
            assert_eq!(geometry.is_in_chunk_to_send(&at), sent, "{addr} {len}");
            let goes_on = xdp_desc {
                addr,
                len,
                options: XDP_PKT_CONTD,
            };
            assert!(!geometry.is_in_chunk(&goes_on) && !geometry.is_in_chunk_to_send(&goes_on));
            assert!(!unaligned.is_in_chunk(&at) && !unaligned.is_in_chunk_to_send(&at));
        }
        let window = geometry.window(&(1..2));
        for addr in addrs {
            let chunk = geometry.chunk_of(addr).filter(|chunk| *chunk == 1);
            assert_eq!(geometry.chunk_in(window, addr), chunk, "{addr}");
            assert!(!unaligned.window(&(1..2)).has(addr));
        }
    }
}
