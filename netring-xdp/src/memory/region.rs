//! Packet memory.
//!
//! ```text
//! ┌──────────── chunk 0 ────────────┬──────────── chunk 1 ────────────┬─ …
//! │ 256 │ headroom │ packet │ free  │ 256 │ headroom │ packet │ free  │      one pinned mapping
//! └─────┴──────────┴────────┴───────┴─────┴──────────┴────────┴───────┴─ …
//! ```
//!
//! # Safety
//! The invariant of this file is that of the tokens ([`ChunkToken`]): only the holder of its token
//! lends the bytes of a chunk, for as long as the token is borrowed, and the kernel does not touch
//! them meanwhile. A token is used only with the region that it was made for: both live in the
//! shared part of one UMEM. The chunks are inside the mapping, which the region owns.
#![expect(
    unsafe_code,
    reason = "lends packet memory; the invariant stands above"
)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use netring_sys::Mmap;
use netring_sys::kernel::xdp::xdp_desc;

use super::geometry::{ByteRange, Geometry, len_with_options};
use super::token::{ChunkToken, Unassigned};

/// Packet memory and its division.
#[derive(Debug)]
pub(crate) struct Region {
    map: Mmap,
    geometry: Geometry,
}

/// Packet memory as a loop over many packets uses it: by value, because nothing of it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    start: NonNull<u8>,
    geometry: Geometry,
    region: PhantomData<&'a Region>,
}

impl Region {
    /// A region over a mapping of its own, and the chunks in it.
    pub(crate) fn new(map: Mmap, geometry: Geometry) -> (Self, Unassigned) {
        assert!(
            geometry.bytes() <= map.len() as u64,
            "the mapping has room for all chunks"
        );
        let unassigned = Unassigned::new(geometry.count());
        (Self { map, geometry }, unassigned)
    }

    pub(crate) const fn map(&self) -> &Mmap {
        &self.map
    }

    #[inline]
    pub(crate) const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    #[inline]
    pub(crate) const fn view(&self) -> View<'_> {
        View {
            start: self.map.address(),
            geometry: self.geometry,
            region: PhantomData,
        }
    }

    /// Bytes of a chunk, from `offset` in it on.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, token: &'a ChunkToken, offset: u32, len: u32) -> &'a [u8] {
        let start = self.check(token, offset, len);
        // SAFETY: `self` owns the mapping; the token is borrowed with the slice, and its holder,
        // who alone may touch the chunk, writes through `bytes_mut` only, so not now; `check` keeps
        // the range inside the chunk, and the chunks are inside the mapping.
        unsafe { std::slice::from_raw_parts(start, len as usize) }
    }

    /// Bytes of a chunk, to write to.
    #[inline]
    pub(crate) fn bytes_mut<'a>(
        &'a self,
        token: &'a mut ChunkToken,
        offset: u32,
        len: u32,
    ) -> &'a mut [u8] {
        let start = self.check(token, offset, len);
        // SAFETY: `self` owns the mapping; the token, borrowed mutably with the slice, is the only
        // one for this chunk; `check` keeps the range inside the chunk, and the chunks are inside
        // the mapping.
        unsafe { std::slice::from_raw_parts_mut(start, len as usize) }
    }

    /// Bytes of a packet in an entry of a ring.
    ///
    /// # Safety
    /// The range came from [`Geometry::received`] of this region's geometry, for an entry of a
    /// receive ring that is not released while the slice lives: until then the chunk belongs to
    /// neither the kernel nor a token, and nobody else writes to it.
    #[inline]
    pub(crate) unsafe fn received(&self, range: &ByteRange) -> &[u8] {
        let start = self.at(range.start);
        // SAFETY: `self` owns the mapping; the caller guarantees that nobody writes to the chunk;
        // the range is inside a chunk.
        unsafe { std::slice::from_raw_parts(start, range.len as usize) }
    }

    /// As [`received`](Self::received), to write to.
    ///
    /// # Safety
    /// Those of [`received`](Self::received), and no other slice of the chunk lives.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller guarantees that it is the only reference"
    )]
    pub(crate) unsafe fn received_mut(&self, range: &ByteRange) -> &mut [u8] {
        let start = self.at(range.start);
        // SAFETY: `self` owns the mapping; the caller guarantees that nobody else uses the chunk;
        // the range is inside a chunk.
        unsafe { std::slice::from_raw_parts_mut(start, range.len as usize) }
    }

    /// Sets bytes to zero.
    ///
    /// # Safety
    /// The bytes are inside a chunk whose entry of a receive ring is not released, and of which no
    /// slice lives.
    #[inline]
    pub(crate) unsafe fn clear<const N: usize>(&self, start: u64) {
        // SAFETY: `self` owns the mapping; the caller guarantees that nobody else uses the bytes,
        // and that they are inside a chunk.
        unsafe { self.at(start).cast::<[u8; N]>().write([0; N]) };
    }

    #[inline]
    fn check(&self, token: &ChunkToken, offset: u32, len: u32) -> *mut u8 {
        let size = self.geometry.chunk_size();
        assert!(
            offset <= size && len <= size - offset && token.chunk() < self.geometry.count(),
            "inside the chunk"
        );
        self.at(self.geometry.base(token.chunk()) + u64::from(offset))
    }

    #[inline]
    fn at(&self, start: u64) -> *mut u8 {
        self.map.address().as_ptr().wrapping_add(start as usize)
    }
}

impl<'a> View<'a> {
    /// Bytes of a packet that a descriptor of a receive ring points to; `None` if that is not
    /// inside one chunk or fills it to its end, if the packet spans several chunks, and always if
    /// chunks are not aligned.
    ///
    /// # Safety
    /// Those of [`Region::received`]: the entry of the descriptor is not released while the slice
    /// lives.
    #[inline]
    pub(crate) unsafe fn received(&self, desc: &xdp_desc) -> Option<&'a [u8]> {
        if !self.geometry.is_in_chunk(desc) {
            return None;
        }
        // SAFETY: the region owns the mapping; nothing is written; the descriptor is inside a
        // chunk, and the chunks are inside the mapping.
        let start = unsafe { self.start.add(desc.addr as usize) };
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the caller guarantees that
        // nobody writes to the chunk; the whole packet is inside it.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len_with_options(desc) as usize) })
    }

    /// The `N` bytes before a packet; `None` if its chunk does not have that many.
    ///
    /// # Safety
    /// Those of [`received`](Self::received), which returned the packet.
    #[inline]
    pub(crate) unsafe fn before<const N: usize>(&self, desc: &xdp_desc) -> Option<&'a [u8; N]> {
        let offset = desc.addr & (u64::from(self.geometry.chunk_size()) - 1);
        if offset < N as u64 {
            return None;
        }
        // SAFETY: the region owns the mapping; nothing is written; the packet is inside a chunk, at
        // least `N` bytes from its start.
        let start = unsafe { self.start.add(desc.addr as usize - N) };
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the caller guarantees that
        // nobody writes to the chunk; the bytes are in the packet's chunk.
        Some(unsafe { start.cast::<[u8; N]>().as_ref() })
    }

    /// As [`received`](Self::received), to write to and to forward; `None` for an empty packet, but
    /// not for one that fills its chunk.
    ///
    /// # Safety
    /// Those of [`received`](Self::received), and no other slice of the chunk lives.
    #[inline]
    pub(crate) unsafe fn received_mut(&self, desc: &xdp_desc) -> Option<&'a mut [u8]> {
        if !self.geometry.is_in_chunk_to_send(desc) {
            return None;
        }
        // SAFETY: the region owns the mapping; nothing is written; the descriptor is inside a
        // chunk, and the chunks are inside the mapping.
        let start = unsafe { self.start.add(desc.addr as usize) };
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the caller guarantees that
        // nobody else uses the chunk; the whole packet is inside it.
        Some(unsafe {
            std::slice::from_raw_parts_mut(start.as_ptr(), len_with_options(desc) as usize)
        })
    }

    /// Where a chunk starts, and its bytes.
    #[inline]
    pub(crate) fn chunk<'t>(&self, token: &'t mut ChunkToken) -> (u64, &'t mut [u8])
    where
        'a: 't,
    {
        let base = self.geometry.base(token.chunk());
        // SAFETY: the region owns the mapping; nothing is written; the token's chunk is one of the
        // region's, which are inside the mapping.
        let start = unsafe { self.start.add(base as usize) };
        let size = self.geometry.chunk_size() as usize;
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the token, borrowed mutably with
        // the slice, is the only one for this chunk; the chunk is inside the mapping.
        (base, unsafe {
            std::slice::from_raw_parts_mut(start.as_ptr(), size)
        })
    }
}

// SAFETY: a view is a shared reference to a region, which is `Sync`; its callers answer for what is
// written through it; it lends only what is inside.
unsafe impl Send for View<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for View<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> (Region, Unassigned) {
        let geometry = Geometry::new(2048, 4, 0, false, 4096).unwrap();
        Region::new(Mmap::anonymous(8192).unwrap(), geometry)
    }

    #[test]
    fn each_chunk_has_one_token_and_its_own_bytes() {
        let (region, mut unassigned) = region();
        let (first, mut tokens) = unassigned.take(1).unwrap();
        let mut a = tokens.next().unwrap();
        drop(tokens);
        let (rest, tokens) = unassigned.take(3).unwrap();
        let mut others: Vec<_> = tokens.collect();
        assert_eq!((first, rest, unassigned.left()), (0..1, 1..4, 0));
        assert!(unassigned.take(1).is_none());
        region.bytes_mut(&mut a, 0, 2048).fill(1);
        for (token, byte) in others.iter_mut().zip(2..) {
            region.bytes_mut(token, 0, 2048).fill(byte);
        }
        assert!(region.bytes(&a, 0, 2048).iter().all(|byte| *byte == 1));
        assert!(region.bytes(&a, 2048, 0).is_empty());
        assert_eq!(region.bytes(&others[2], 2047, 1), [4]);
    }

    #[test]
    #[should_panic(expected = "inside the chunk")]
    fn nothing_is_lent_over_the_end_of_a_chunk() {
        let (region, mut unassigned) = region();
        let token = unassigned.take(1).unwrap().1.next().unwrap();
        region.bytes(&token, 2, 2047);
    }
}
