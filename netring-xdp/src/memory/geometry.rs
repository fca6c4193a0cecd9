//! How packet memory is divided into chunks, and which addresses the kernel accepts.
//!
//! Everything here is arithmetic, with the kernel's own rules (`xdp_umem_reg`, `xp_check_aligned`,
//! `xp_check_unaligned`, `xp_aligned_validate_desc`, `xp_unaligned_validate_desc`). Addresses that
//! the kernel would drop silently are refused here, and an address from the kernel is trusted only
//! if it lies inside.

mod fast_path;

pub(crate) use fast_path::{Window, len_with_options};

use netring_sys::Error;
use netring_sys::kernel::xdp::{
    XDP_PACKET_HEADROOM, XDP_PKT_CONTD, XDP_TX_METADATA, XDP_UMEM_MIN_CHUNK_SIZE,
    XSK_UNALIGNED_BUF_ADDR_MASK, XSK_UNALIGNED_BUF_OFFSET_SHIFT, xdp_desc,
};

/// The least room for a packet, in bytes. Kernels of 2026 refuse less: 320 for the data that the
/// stack puts after a packet, and 128.
const LEAST_PAYLOAD: u32 = 448;

/// The number of a chunk.
pub(crate) type ChunkIndex = u32;

/// Packet memory in `count` chunks of `chunk_size` bytes, back to back from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    chunk_size: u32,
    /// log₂ of the chunk size, if chunks are aligned.
    shift: u32,
    unaligned: bool,
    headroom: u32,
    count: u32,
    /// Bytes of all chunks if they are aligned, otherwise 0, so that one comparison checks both:
    /// two would cost a sixth of the instructions of receiving.
    aligned_bytes: u64,
    /// Bytes before each frame to send that the kernel reads for requests; 0 if it reads none.
    front: u32,
}

/// Part of a chunk: where in the packet memory it starts, and its length, both checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) chunk: ChunkIndex,
    pub(crate) start: u64,
    pub(crate) len: u32,
}

impl Geometry {
    /// A geometry that the kernel accepts.
    pub(crate) fn new(
        chunk_size: u32,
        count: u32,
        headroom: u32,
        unaligned: bool,
        page_size: u32,
    ) -> Result<Self, Error> {
        let refuse = |setting, why| Err(Error::Config { setting, why });
        if chunk_size < XDP_UMEM_MIN_CHUNK_SIZE || chunk_size > page_size {
            return refuse(
                "chunk_size",
                format!("{chunk_size} bytes is not between 2048 and {page_size}, a page"),
            );
        }
        if !unaligned && !chunk_size.is_power_of_two() {
            return refuse(
                "chunk_size",
                format!(
                    "{chunk_size} bytes is not a power of two from 2048 to {page_size}; only \
                     `unaligned` chunks may have any size between"
                ),
            );
        }
        let most = chunk_size - XDP_PACKET_HEADROOM - LEAST_PAYLOAD;
        if headroom > most {
            return refuse(
                "headroom",
                format!(
                    "{headroom} bytes leave too little for a packet: a chunk of {chunk_size} bytes \
                     reserves 256, and allows up to {most} more"
                ),
            );
        }
        if count == 0 {
            return refuse("chunks", "packet memory needs at least one chunk".into());
        }
        // The kernel's page numbers have 32 bits.
        let bytes = u64::from(chunk_size) * u64::from(count);
        if bytes.div_ceil(u64::from(page_size)) > u64::from(u32::MAX)
            || usize::try_from(bytes).is_err()
        {
            return refuse(
                "chunks",
                format!(
                    "{count} of {chunk_size} bytes are more memory than the kernel can register"
                ),
            );
        }
        Ok(Self {
            chunk_size,
            shift: chunk_size.trailing_zeros(),
            unaligned,
            headroom,
            count,
            aligned_bytes: if unaligned { 0 } else { bytes },
            front: 0,
        })
    }

    /// This geometry with this many bytes, a small part of a chunk, before each frame to send.
    pub(crate) const fn with_front(self, front: u32) -> Self {
        Self { front, ..self }
    }

    /// Bytes before each frame to send that do not belong to it.
    #[inline]
    pub(crate) const fn front(&self) -> u32 {
        self.front
    }

    /// Bytes of the longest frame to send in one chunk.
    #[inline]
    pub(crate) const fn transmit_room(&self) -> u32 {
        self.chunk_size - self.front
    }

    pub(crate) const fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) const fn headroom(&self) -> u32 {
        self.headroom
    }

    pub(crate) const fn is_unaligned(&self) -> bool {
        self.unaligned
    }

    /// Bytes of a received packet that a chunk holds.
    pub(crate) const fn payload(&self) -> u32 {
        self.chunk_size - XDP_PACKET_HEADROOM - self.headroom
    }

    /// Bytes of all chunks.
    #[inline]
    pub(crate) const fn bytes(&self) -> u64 {
        self.chunk_size as u64 * self.count as u64
    }

    /// This geometry, which has aligned chunks, in a form that shows it to the compiler.
    #[inline]
    pub(crate) const fn aligned(&self) -> Self {
        debug_assert!(!self.unaligned);
        Self {
            unaligned: false,
            ..*self
        }
    }

    /// The bits of an address that are inside an aligned chunk.
    #[inline]
    const fn mask(&self) -> u64 {
        self.chunk_size as u64 - 1
    }

    /// Where a chunk starts; it is one of the chunks.
    #[inline]
    pub(crate) const fn base(&self, chunk: ChunkIndex) -> u64 {
        debug_assert!(chunk < self.count);
        chunk as u64 * self.chunk_size as u64
    }

    /// The chunk that an address from the kernel is in, without the offset that the kernel added.
    /// `None` for an address outside.
    #[inline]
    pub(crate) fn chunk_of(&self, addr: u64) -> Option<ChunkIndex> {
        let chunk = if self.unaligned {
            // The lower bits are the address that the kernel was given, the upper bits what it
            // added.
            (addr & XSK_UNALIGNED_BUF_ADDR_MASK) / u64::from(self.chunk_size)
        } else {
            addr >> self.shift
        };
        (chunk < u64::from(self.count)).then_some(chunk as ChunkIndex)
    }

    /// The chunk that an address from the completion ring is in, of a frame that was sent by
    /// [`transmit_addr`](Self::transmit_addr).
    #[inline]
    pub(crate) fn completed(&self, addr: u64) -> Option<ChunkIndex> {
        // Newer kernels (6.18) keep a mark in the lowest bit while a copied frame is in flight, and
        // return the address without that bit. If an unaligned chunk starts at an odd address, that
        // is one less, in the chunk before. Chunks are longer than two bytes, so with the bit set
        // either address is in the right chunk.
        self.chunk_of(addr | 1)
    }

    /// Where the chunk starts that an address from the kernel is in; `None` for an address outside.
    #[inline]
    pub(crate) fn base_of(&self, addr: u64) -> Option<u64> {
        if self.unaligned {
            self.chunk_of(addr).map(|chunk| self.base(chunk))
        } else {
            (addr < self.aligned_bytes).then_some(addr & !self.mask())
        }
    }

    /// Whether a descriptor of the receive ring points into one chunk.
    #[inline]
    pub(crate) fn is_inside(&self, desc: &xdp_desc) -> bool {
        if self.unaligned {
            return self.received(desc).is_some();
        }
        let end = (desc.addr & self.mask()) + u64::from(desc.len);
        // No branch: the result is only counted.
        (desc.addr < self.aligned_bytes) & (end <= u64::from(self.chunk_size))
    }

    /// Where a descriptor of the receive ring points; `None` if that is not inside one chunk.
    #[inline]
    pub(crate) fn received(&self, desc: &xdp_desc) -> Option<ByteRange> {
        if desc.addr < self.aligned_bytes {
            let offset = desc.addr & u64::from(self.chunk_size - 1);
            let inside = offset + u64::from(desc.len) <= u64::from(self.chunk_size);
            return inside.then_some(ByteRange {
                chunk: (desc.addr >> self.shift) as ChunkIndex,
                start: desc.addr,
                len: desc.len,
            });
        }
        self.received_unaligned(desc)
    }

    #[cold]
    fn received_unaligned(&self, desc: &xdp_desc) -> Option<ByteRange> {
        let chunk = self.chunk_of(desc.addr)?;
        let start = self.flat(desc.addr);
        // Both subtractions are checked: a forged address may start before the base of its chunk.
        let offset = start.checked_sub(self.base(chunk))?;
        let room = u64::from(self.chunk_size).checked_sub(offset)?;
        (u64::from(desc.len) <= room).then_some(ByteRange {
            chunk,
            start,
            len: desc.len,
        })
    }

    /// Whether the kernel accepts an address from the fill ring. It drops others, and counts them
    /// where nobody can read it.
    #[cfg(test)]
    pub(crate) fn takes_fill(&self, addr: u64) -> bool {
        if self.unaligned {
            let start = addr & XSK_UNALIGNED_BUF_ADDR_MASK;
            start < self.bytes() && u64::from(self.chunk_size) <= self.bytes() - start
        } else {
            // Anywhere in a chunk: the kernel goes back to its start.
            addr < self.bytes()
        }
    }

    /// Whether the kernel accepts a descriptor from the transmit ring. It consumes others without
    /// ever completing them. The bytes before a frame must be inside the chunk too, even if nothing
    /// is requested.
    #[inline]
    pub(crate) fn takes_transmit(&self, desc: &xdp_desc) -> bool {
        let options = if self.front > 0 {
            XDP_PKT_CONTD | XDP_TX_METADATA
        } else {
            XDP_PKT_CONTD
        };
        if desc.len == 0 || desc.options & !options != 0 {
            return false;
        }
        let start = self.flat(desc.addr);
        let room = if self.unaligned {
            if desc.len > self.transmit_room() || start < u64::from(self.front) {
                return false;
            }
            self.bytes().saturating_sub(start)
        } else {
            let offset = start & self.mask();
            if start >= self.bytes() || offset < u64::from(self.front) {
                return false;
            }
            u64::from(self.chunk_size) - offset
        };
        u64::from(desc.len) <= room
    }

    /// The address for a descriptor that sends from `start`. With unaligned chunks it has the chunk
    /// and the offset in different bits.
    #[inline]
    pub(crate) fn transmit_addr(&self, span: &ByteRange) -> u64 {
        if self.unaligned {
            let base = self.base(span.chunk);
            base | (span.start - base) << XSK_UNALIGNED_BUF_OFFSET_SHIFT
        } else {
            span.start
        }
    }

    /// An address as a distance from the start of the packet memory.
    #[inline]
    fn flat(&self, addr: u64) -> u64 {
        if self.unaligned {
            (addr & XSK_UNALIGNED_BUF_ADDR_MASK) + (addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT)
        } else {
            addr
        }
    }
}

#[cfg(test)]
mod tests;
