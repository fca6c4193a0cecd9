//! Packet memory, and the tokens that prove who may touch which part of it.
//!
//! ```text
//! ┌──────────── chunk 0 ────────────┬──────────── chunk 1 ────────────┬─ …
//! │ 256 │ headroom │ packet │ free  │ 256 │ headroom │ packet │ free  │      one pinned mapping
//! └─────┴──────────┴────────┴───────┴─────┴──────────┴────────┴───────┴─ …
//! ```
//!
//! # Safety
//! The invariant of this file: for each chunk there is either one [`ChunkToken`], or the chunk is
//! in a ring (or with the kernel, between two rings). A token is made once for each chunk
//! ([`Unassigned`]), given up when the chunk goes into a ring, and made again only for a chunk that
//! came out of one ([`ChunkToken::from_ring`], whose callers guarantee that). Tokens cannot be
//! copied. So only the holder of its token lends the bytes of a chunk, for as long as the token is
//! borrowed, and the kernel does not touch them meanwhile. A token is used only with the region
//! that it was made for: both live in the shared part of one UMEM.
#![expect(
    unsafe_code,
    reason = "lends packet memory; the invariant stands above"
)]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use netring_sys::Mmap;
use netring_sys::kernel::xdp::xdp_desc;

use crate::memory::geometry::{ByteRange, ChunkIndex, Geometry, plain_len};

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

/// The right to one chunk: its holder owns the chunk.
#[derive(Debug)]
pub(crate) struct ChunkToken(ChunkIndex);

/// Tokens of free chunks: the last one in is the first one out. It has room for all that it can
/// ever hold.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Those from `len` on are leftovers, not tokens.
    slots: Box<[ChunkToken]>,
    len: usize,
}

/// Chunks that were not assigned yet: those from a number on.
#[derive(Debug)]
pub(crate) struct Unassigned(Range<ChunkIndex>);

impl Region {
    /// A region over a mapping of its own, and the chunks in it.
    pub(crate) fn new(map: Mmap, geometry: Geometry) -> (Self, Unassigned) {
        assert!(
            geometry.bytes() <= map.len() as u64,
            "the mapping has room for all chunks"
        );
        let unassigned = Unassigned(0..geometry.count());
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
    pub(crate) unsafe fn received(&self, span: &ByteRange) -> &[u8] {
        let start = self.at(span.start);
        // SAFETY: `self` owns the mapping; the caller guarantees that nobody writes to the chunk;
        // the range is inside a chunk.
        unsafe { std::slice::from_raw_parts(start, span.len as usize) }
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
    pub(crate) unsafe fn received_mut(&self, span: &ByteRange) -> &mut [u8] {
        let start = self.at(span.start);
        // SAFETY: `self` owns the mapping; the caller guarantees that nobody else uses the chunk;
        // the range is inside a chunk.
        unsafe { std::slice::from_raw_parts_mut(start, span.len as usize) }
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
            offset <= size && len <= size - offset && token.0 < self.geometry.count(),
            "inside the chunk"
        );
        self.at(self.geometry.base(token.0) + u64::from(offset))
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
        if !self.geometry.is_plain(desc) {
            return None;
        }
        // SAFETY: the region owns the mapping; nothing is written; the descriptor is inside a
        // chunk, and the chunks are inside the mapping.
        let start = unsafe { self.start.add(desc.addr as usize) };
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the caller guarantees that
        // nobody writes to the chunk; the whole packet is inside it.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), plain_len(desc) as usize) })
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
        if !self.geometry.is_plain_to_send(desc) {
            return None;
        }
        // SAFETY: the region owns the mapping; nothing is written; the descriptor is inside a
        // chunk, and the chunks are inside the mapping.
        let start = unsafe { self.start.add(desc.addr as usize) };
        // SAFETY: the region, borrowed for `'a`, owns the mapping; the caller guarantees that
        // nobody else uses the chunk; the whole packet is inside it.
        Some(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), plain_len(desc) as usize) })
    }

    /// Where a chunk starts, and its bytes.
    #[inline]
    pub(crate) fn chunk<'t>(&self, token: &'t mut ChunkToken) -> (u64, &'t mut [u8])
    where
        'a: 't,
    {
        let base = self.geometry.base(token.0);
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

impl ChunkToken {
    /// The token of a chunk that came out of a ring.
    ///
    /// # Safety
    /// The chunk is one of the region's. It came out of a receive or a completion ring of a socket
    /// over this region, in an entry of which no other token is made, and which is released without
    /// giving the chunk to the kernel again.
    #[inline]
    pub(crate) const unsafe fn from_ring(chunk: ChunkIndex) -> Self {
        Self(chunk)
    }

    /// The number of the chunk.
    #[inline]
    pub(crate) const fn chunk(&self) -> ChunkIndex {
        self.0
    }

    /// Gives up the token: the chunk goes into a ring.
    #[inline]
    pub(crate) fn into_ring(self) -> ChunkIndex {
        self.0
    }
}

impl Stack {
    /// A stack of these tokens, with no room for more.
    pub(crate) fn new(tokens: impl Iterator<Item = ChunkToken>) -> Self {
        let slots: Box<[_]> = tokens.collect();
        Self {
            len: slots.len(),
            slots,
        }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The tokens, the one that is taken next at the end.
    #[inline]
    pub(crate) fn tokens(&self) -> &[ChunkToken] {
        self.slots.get(..self.len).unwrap_or_default()
    }

    /// As [`tokens`](Self::tokens), for writing to their chunks.
    #[inline]
    pub(crate) fn tokens_mut(&mut self) -> &mut [ChunkToken] {
        self.slots.get_mut(..self.len).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ChunkToken> {
        let len = self.len.checked_sub(1)?;
        let token = ChunkToken(self.slots.get(len)?.0);
        self.len = len;
        Some(token)
    }

    /// The topmost `count` tokens, or all if there are fewer.
    #[inline]
    pub(crate) fn top_mut(&mut self, count: usize) -> &mut [ChunkToken] {
        let from = self.len.saturating_sub(count);
        self.slots.get_mut(from..self.len).unwrap_or_default()
    }

    /// Gives up the first `given` of the topmost `count` tokens: their chunks go into a ring.
    #[inline]
    pub(crate) fn give_up(&mut self, count: usize, given: usize) {
        if given < count {
            self.top_mut(count).rotate_left(given);
        }
        self.len = self.len.saturating_sub(given);
    }

    /// Pushes a token. There is room unless a kernel gave a chunk back twice: then nobody gets it.
    #[inline]
    pub(crate) fn push(&mut self, token: ChunkToken) {
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = token;
            self.len += 1;
        }
    }

    /// Pushes the tokens of chunks that came out of a ring, up to the first entry that is not one.
    /// Returns how many.
    ///
    /// # Safety
    /// Those of [`ChunkToken::from_ring`], for each of the chunks that `chunk` finds.
    #[inline]
    pub(crate) unsafe fn push_from_ring<W>(
        &mut self,
        entries: &[W],
        chunk: impl Fn(&W) -> Option<ChunkIndex>,
    ) -> usize {
        let room = self.slots.get_mut(self.len..).unwrap_or_default();
        let mut count = 0;
        for (slot, entry) in room.iter_mut().zip(entries) {
            let Some(chunk) = chunk(entry) else {
                break;
            };
            *slot = ChunkToken(chunk);
            count += 1;
        }
        self.len += count;
        count
    }
}

impl Unassigned {
    /// The next `count` chunks; `None` if fewer are left.
    pub(crate) fn take(
        &mut self,
        count: u32,
    ) -> Option<(Range<ChunkIndex>, impl Iterator<Item = ChunkToken>)> {
        if count > self.left() {
            return None;
        }
        let range = self.0.start..self.0.start + count;
        self.0.start = range.end;
        Some((range.clone(), range.map(ChunkToken)))
    }

    pub(crate) fn left(&self) -> u32 {
        self.0.end - self.0.start
    }
}

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
