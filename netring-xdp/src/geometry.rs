//! How packet memory is cut into chunks, and what the kernel takes of it.
//!
//! Everything here is arithmetic on numbers, and the rules are the kernel's own (`xdp_umem_reg`, `xp_check_aligned`,
//! `xp_check_unaligned`, `xp_aligned_validate_desc`, `xp_unaligned_validate_desc`): an address that the kernel would drop without a word is
//! refused here, and one that comes from the kernel is believed only as far as it lies inside.

mod plain;

pub(crate) use plain::{Window, plain_len};

use netring_sys::Error;
use netring_sys::kernel::xdp::{
    XDP_PACKET_HEADROOM, XDP_PKT_CONTD, XDP_TX_METADATA, XDP_UMEM_MIN_CHUNK_SIZE,
    XSK_UNALIGNED_BUF_ADDR_MASK, XSK_UNALIGNED_BUF_OFFSET_SHIFT, xdp_desc,
};

/// Bytes that are left for a packet at the least. Kernels of 2026 refuse less: 320 for what the stack puts behind a packet, and 128.
const LEAST_PAYLOAD: u32 = 448;

/// The number of a chunk.
pub(crate) type Chunk = u32;

/// Packet memory in `count` chunks of `chunk_size` bytes, back to back from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    chunk_size: u32,
    /// log₂ of the chunk size, where chunks are aligned.
    shift: u32,
    unaligned: bool,
    headroom: u32,
    count: u32,
    bytes: u64,
    /// Bytes of all chunks where they are aligned, and 0 where they are not: one comparison asks for both.
    aligned_bytes: u64,
    /// The same, and 0 too where there is something before each frame to send.
    plain_to_send: u64,
    /// Bytes before each frame to send in which the kernel looks for what is asked for with it; 0 where it does not look.
    front: u32,
}

/// A part of a chunk: where in the packet memory it starts, and its length, both checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) chunk: Chunk,
    pub(crate) start: u64,
    pub(crate) len: u32,
}

impl Geometry {
    /// A geometry that the kernel takes.
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
                format!("{chunk_size} bytes: the kernel takes 2048 to {page_size}, a page"),
            );
        }
        if !unaligned && !chunk_size.is_power_of_two() {
            return refuse(
                "chunk_size",
                format!(
                    "{chunk_size} bytes: aligned chunks are a power of two, 2048 to {page_size}; unaligned ones may be of any size between"
                ),
            );
        }
        let most = chunk_size - XDP_PACKET_HEADROOM - LEAST_PAYLOAD;
        if headroom > most {
            return refuse(
                "headroom",
                format!(
                    "{headroom} bytes leave too little for a packet: a chunk of {chunk_size} has 256 of its own, and takes up to {most} more"
                ),
            );
        }
        if count == 0 {
            return refuse("chunks", "packet memory has one chunk at the least".into());
        }
        // Page numbers of the kernel's are 32 bits wide.
        let bytes = u64::from(chunk_size) * u64::from(count);
        if bytes.div_ceil(u64::from(page_size)) > u64::from(u32::MAX)
            || usize::try_from(bytes).is_err()
        {
            return refuse(
                "chunks",
                format!("{count} of {chunk_size} bytes are more memory than the kernel registers"),
            );
        }
        Ok(Self {
            chunk_size,
            shift: chunk_size.trailing_zeros(),
            unaligned,
            headroom,
            count,
            bytes,
            aligned_bytes: if unaligned { 0 } else { bytes },
            plain_to_send: if unaligned { 0 } else { bytes },
            front: 0,
        })
    }

    /// This geometry, with so many bytes before each frame to send, a small part of a chunk.
    pub(crate) const fn with_front(self, front: u32) -> Self {
        Self {
            front,
            plain_to_send: if front > 0 { 0 } else { self.plain_to_send },
            ..self
        }
    }

    /// Bytes before each frame to send that are not the frame's.
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

    /// Bytes of packet that a received chunk holds.
    pub(crate) const fn payload(&self) -> u32 {
        self.chunk_size - XDP_PACKET_HEADROOM - self.headroom
    }

    /// Bytes of all chunks.
    #[inline]
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// This geometry, which has aligned chunks, in a form in which the compiler sees that.
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
    pub(crate) const fn base(&self, chunk: Chunk) -> u64 {
        debug_assert!(chunk < self.count);
        chunk as u64 * self.chunk_size as u64
    }

    /// The chunk that an address from the kernel is in: the offset that the kernel added is taken off again. `None` for an address outside.
    #[inline]
    pub(crate) fn chunk_of(&self, addr: u64) -> Option<Chunk> {
        let chunk = if self.unaligned {
            // The chunk is in the lower bits as it was given; what the kernel added is above them.
            (addr & XSK_UNALIGNED_BUF_ADDR_MASK) / u64::from(self.chunk_size)
        } else {
            addr >> self.shift
        };
        (chunk < u64::from(self.count)).then_some(chunk as Chunk)
    }

    /// The chunk that an address from the completion ring is in, of a frame that was sent by [`transmit_addr`](Self::transmit_addr).
    #[inline]
    pub(crate) fn completed(&self, addr: u64) -> Option<Chunk> {
        // Newer kernels (6.18) keep a mark of their own in the lowest bit while a copied frame is on its way, and give the address back
        // without that bit: one less where an unaligned chunk starts at an odd address, which is in the chunk before. Chunks are longer
        // than two bytes: with the bit set either address is in the right one.
        self.chunk_of(addr | 1)
    }

    /// Where the chunk starts that an address from the kernel is in; `None` for an address outside.
    #[inline]
    pub(crate) fn base_of(&self, addr: u64) -> Option<u64> {
        if self.unaligned {
            self.chunk_of(addr).map(|chunk| self.base(chunk))
        } else {
            (addr < self.bytes).then_some(addr & !self.mask())
        }
    }

    /// Whether a descriptor of the receive ring points into one chunk.
    #[inline]
    pub(crate) fn is_inside(&self, desc: &xdp_desc) -> bool {
        if self.unaligned {
            return self.received(desc).is_some();
        }
        let end = (desc.addr & self.mask()) + u64::from(desc.len);
        // No branch: it is counted, and nothing hangs on it.
        (desc.addr < self.bytes) & (end <= u64::from(self.chunk_size))
    }

    /// Where a descriptor of the receive ring points; `None` where that is not inside one chunk.
    #[inline]
    pub(crate) fn received(&self, desc: &xdp_desc) -> Option<Span> {
        if desc.addr < self.aligned_bytes {
            let offset = desc.addr & u64::from(self.chunk_size - 1);
            let inside = offset + u64::from(desc.len) <= u64::from(self.chunk_size);
            return inside.then_some(Span {
                chunk: (desc.addr >> self.shift) as Chunk,
                start: desc.addr,
                len: desc.len,
            });
        }
        self.received_unaligned(desc)
    }

    #[cold]
    fn received_unaligned(&self, desc: &xdp_desc) -> Option<Span> {
        let chunk = self.chunk_of(desc.addr)?;
        let start = self.flat(desc.addr);
        // Both subtractions are of what was checked: the start is at the chunk's base or behind it.
        let offset = start.checked_sub(self.base(chunk))?;
        let room = u64::from(self.chunk_size).checked_sub(offset)?;
        (u64::from(desc.len) <= room).then_some(Span {
            chunk,
            start,
            len: desc.len,
        })
    }

    /// Whether the kernel takes an address from the fill ring. What it does not take it drops, and counts where nobody can read it.
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

    /// Whether the kernel takes a descriptor from the transmit ring: one that it does not take it consumes, and never completes. What stands
    /// before a frame has to be inside of the chunk too, also where nothing is asked for.
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

    /// The address for a descriptor to send `start` by. With unaligned chunks the chunk and the offset in it are told apart.
    #[inline]
    pub(crate) fn transmit_addr(&self, span: &Span) -> u64 {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn aligned(chunk_size: u32, count: u32) -> Geometry {
        Geometry::new(chunk_size, count, 0, false, 4096).unwrap()
    }

    fn unaligned(chunk_size: u32, count: u32) -> Geometry {
        Geometry::new(chunk_size, count, 0, true, 4096).unwrap()
    }

    const fn desc(addr: u64, len: u32, options: u32) -> xdp_desc {
        xdp_desc { addr, len, options }
    }

    #[test]
    fn s20_a_geometry_that_cannot_be_is_refused_with_a_sentence() {
        let refused = |chunk_size, count, headroom, unaligned, told: &str| {
            let error =
                Geometry::new(chunk_size, count, headroom, unaligned, 4096).expect_err(told);
            let text = error.to_string();
            assert!(text.contains(told), "{text}");
        };
        refused(1024, 16, 0, false, "takes 2048 to 4096");
        refused(8192, 16, 0, false, "takes 2048 to 4096");
        refused(8192, 16, 0, true, "takes 2048 to 4096");
        refused(3000, 16, 0, false, "a power of two");
        refused(2048, 16, 1345, false, "takes up to 1344 more");
        refused(4096, 16, u32::MAX, true, "takes up to 3392 more");
        refused(2048, 0, 0, false, "one chunk at the least");
        assert!(Geometry::new(3000, 16, 0, true, 4096).is_ok());
        assert!(Geometry::new(2048, 16, 1344, false, 4096).is_ok());
        assert!(Geometry::new(4096, u32::MAX, 0, false, 4096).is_ok());
        // Machines with pages of 64 KiB have larger chunks.
        assert!(Geometry::new(65_536, 16, 0, false, 65_536).is_ok());
        assert!(Geometry::new(65_536, u32::MAX, 0, false, 4096).is_err());
    }

    #[test]
    fn a_chunk_holds_what_its_headroom_leaves() {
        assert_eq!(aligned(2048, 1).payload(), 1792);
        assert_eq!(aligned(4096, 1).payload(), 3840);
        let geometry = Geometry::new(4096, 1, 128, false, 4096).unwrap();
        assert_eq!(geometry.payload(), 3712);
    }

    /// The rows that the kernel's own test puts on the wire, with 32 chunks.
    #[test]
    fn x4_inv_desc_rows() {
        let options = 1 << 16;
        for size in [2048, 4096_u32] {
            let (geometry, end) = (aligned(size, 32), u64::from(size) * 32);
            let takes = |addr, len, options| geometry.takes_transmit(&desc(addr, len, options));
            assert!(takes(0, 64, 0), "addr 0");
            assert!(!takes(-2_i64 as u64, 64, 0), "addr -2");
            assert!(!takes(0, 9001, 0), "len 9001");
            assert!(takes(end - 64, 64, 0), "ends with the memory");
            assert!(!takes(end, 64, 0), "addr = size of the memory");
            assert!(!takes(end - 32, 64, 0), "over the end of the memory");
            assert!(!takes(0x1000 - 32, 64, 0), "over 4K");
            assert_eq!(takes(0x800 - 32, 64, 0), size == 4096, "over 2K");
            assert!(!takes(0, 0, 0), "zero-length fragment");
            assert!(!takes(0, 64, options), "unknown options");
            assert!(!takes(0, 64, XDP_PKT_CONTD | options), "unknown options");
            assert!(takes(0, 64, XDP_PKT_CONTD), "a fragment");
            assert!(!takes(0x1000 - 32, 64, XDP_PKT_CONTD), "a fragment over 4K");
        }
        for size in [4096, 4001_u32] {
            let (geometry, end) = (unaligned(size, 32), u64::from(size) * 32);
            let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
            assert!(takes(0, 64), "addr 0");
            assert!(!takes(-2_i64 as u64, 64), "addr -2");
            assert!(!takes(0, 9001), "len 9001");
            assert!(takes(end - 64, 64), "ends with the memory");
            assert!(!takes(end, 64), "addr = size of the memory");
            assert!(!takes(end - 32, 64), "over the end of the memory");
            assert!(takes(0x1000 - 32, 64), "over 4K");
            assert!(takes(0x800 - 32, 64), "over 2K");
            assert!(!takes(0, 0), "zero length");
        }
    }

    /// The kernel's rule with metadata: they are inside of the frame's chunk, also of a frame that has none, and of each fragment.
    #[test]
    fn x4_what_stands_before_a_frame_is_inside_of_its_chunk() {
        let geometry = aligned(2048, 4).with_front(24);
        let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
        assert!(takes(24, 2024) && takes(2048 + 24, 1) && takes(8191, 1));
        for (addr, len) in [(0, 64), (23, 64), (2048, 64), (2048 + 23, 64), (24, 2025)] {
            assert!(!takes(addr, len), "{addr} {len}");
        }
        let takes = |options| geometry.takes_transmit(&desc(24, 64, options));
        assert!(takes(XDP_TX_METADATA) && takes(XDP_TX_METADATA | XDP_PKT_CONTD) && !takes(4));
        assert!(!aligned(2048, 4).takes_transmit(&desc(24, 64, XDP_TX_METADATA)));
        let geometry = unaligned(3000, 4).with_front(24);
        let takes = |addr, len| geometry.takes_transmit(&desc(addr, len, 0));
        assert!(takes(24, 2976) && takes(3000, 2976) && takes(11_999, 1));
        assert!(!takes(23, 1) && !takes(24, 2977) && !takes(12_000, 1));
        // Nothing goes the way on which nobody looks at that.
        assert!(
            !aligned(2048, 4)
                .with_front(24)
                .is_plain_to_send(&desc(300, 64, 0))
        );
        assert!(aligned(2048, 4).with_front(24).is_plain(&desc(300, 64, 0)));
    }

    fn geometries() -> impl Strategy<Value = Geometry> {
        let headroom = prop_oneof![Just(0_u32), 0_u32..1345];
        let aligned = (prop_oneof![Just(2048_u32), Just(4096)], Just(false));
        let unaligned = (2048_u32..=4096, Just(true));
        (prop_oneof![aligned, unaligned], 1_u32..5000, headroom).prop_map(
            |((chunk_size, unaligned), count, headroom)| {
                Geometry::new(chunk_size, count, headroom, unaligned, 4096).unwrap()
            },
        )
    }

    fn numbers() -> impl Strategy<Value = u64> {
        let near = (0_u64..32 << 20).prop_map(|n| n.wrapping_sub(4096));
        let offset = (0_u64..32 << 20, 0_u64..5000).prop_map(|(n, offset)| n | offset << 48);
        prop_oneof![any::<u64>(), near, offset]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1024 }))]

        #[test]
        fn x3_each_chunk_is_an_address_that_the_kernel_takes(geometry in geometries(), n in any::<u32>()) {
            let chunk = n % geometry.count();
            prop_assert!(geometry.takes_fill(geometry.base(chunk)));
            prop_assert_eq!(geometry.chunk_of(geometry.base(chunk)), Some(chunk));
            prop_assert_eq!(geometry.base_of(geometry.base(chunk)), Some(geometry.base(chunk)));
        }

        #[test]
        fn x10_a_frame_is_completed_to_its_chunk_also_where_the_lowest_bit_is_lost(
            geometry in geometries(), n in any::<u32>(), offset in 0_u32..2048
        ) {
            let chunk = n % geometry.count();
            let span = Span { chunk, start: geometry.base(chunk) + u64::from(offset), len: 1 };
            let addr = geometry.transmit_addr(&span);
            prop_assert_eq!(geometry.completed(addr), Some(chunk));
            prop_assert_eq!(geometry.completed(addr & !1), Some(chunk));
        }

        #[test]
        fn x10_what_the_kernel_added_is_taken_off_again(
            geometry in geometries(), n in any::<u32>(), more in 0_u32..4096, len in 0_u32..4096
        ) {
            let chunk = n % geometry.count();
            let added = 256 + geometry.headroom() + more % geometry.payload();
            let base = geometry.base(chunk);
            let addr = if geometry.is_unaligned() { base | u64::from(added) << 48 } else { base + u64::from(added) };
            let len = len % (geometry.chunk_size() - added + 1);
            let span = Span { chunk, start: base + u64::from(added), len };
            prop_assert_eq!(geometry.received(&desc(addr, len, 0)), Some(span));
            prop_assert_eq!(geometry.base_of(addr), Some(base));
            // And such a packet can be sent on from where it is.
            let sent = desc(geometry.transmit_addr(&span), len.max(1), 0);
            prop_assert_eq!(geometry.takes_transmit(&sent), len <= geometry.chunk_size() - added && sent.len <= geometry.chunk_size() - added);
        }

        #[test]
        fn x10_whatever_the_kernel_says_is_inside_one_chunk_or_refused(
            geometry in geometries(), addr in numbers(), len in any::<u32>()
        ) {
            let len = if len % 2 == 0 { len } else { len % 5000 };
            let desc = desc(addr, len, 0);
            prop_assert_eq!(geometry.is_inside(&desc), geometry.received(&desc).is_some());
            prop_assert_eq!(geometry.base_of(addr), geometry.chunk_of(addr).map(|chunk| geometry.base(chunk)));
            if let Some(span) = geometry.received(&desc) {
                prop_assert!(span.chunk < geometry.count());
                let base = geometry.base(span.chunk);
                prop_assert!(span.start >= base);
                prop_assert!(span.start + u64::from(span.len) <= base + u64::from(geometry.chunk_size()));
                prop_assert!(span.start + u64::from(span.len) <= geometry.bytes());
            }
        }
    }
}
