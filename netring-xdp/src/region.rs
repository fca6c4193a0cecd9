//! Packet memory, and the proof of who may touch which part of it.
//!
//! ```text
//! ┌──────────── chunk 0 ────────────┬──────────── chunk 1 ────────────┬─ …
//! │ 256 │ headroom │ packet │ free  │ 256 │ headroom │ packet │ free  │      one mapping, pinned by the kernel
//! └─────┴──────────┴────────┴───────┴─────┴──────────┴────────┴───────┴─ …
//! ```
//!
//! # Safety
//! The invariant of this file: for each chunk there is either one [`Token`], or the chunk is in a ring (or with the kernel, between two
//! rings). Tokens are made once for each chunk ([`Unassigned`]), given up when the chunk goes into a ring, and made anew only for a
//! chunk that came out of one ([`Token::from_ring`], whose callers vouch for that). Neither can be copied. So bytes of a chunk are lent
//! only by who holds its token, for as long as the token is borrowed, and the kernel does not touch them meanwhile.
//! A token is used with the region that it was made for only: both live in the same shared part of one UMEM.
#![expect(
    unsafe_code,
    reason = "lends packet memory; the invariant stands above"
)]

use std::ops::Range;

use netring_sys::Mmap;

use crate::geometry::{Chunk, Geometry, Span};

/// Packet memory and its division.
#[derive(Debug)]
pub(crate) struct Region {
    map: Mmap,
    geometry: Geometry,
}

/// The right to one chunk: whoever has it has the chunk.
#[derive(Debug)]
pub(crate) struct Token(Chunk);

/// Chunks that nobody was given yet: those from a number on.
#[derive(Debug)]
pub(crate) struct Unassigned(Range<Chunk>);

impl Region {
    /// A region over a mapping of its own, and the chunks in it.
    pub(crate) fn new(map: Mmap, geometry: Geometry) -> (Self, Unassigned) {
        assert!(
            geometry.bytes() <= map.len() as u64,
            "the mapping is made for these chunks"
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

    /// Bytes of a chunk, from `offset` in it on.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, token: &'a Token, offset: u32, len: u32) -> &'a [u8] {
        let start = self.check(token, offset, len);
        // SAFETY: the token, borrowed with the slice, says that the chunk is its holder's, who writes only by `bytes_mut` and so not
        // now; `self` owns the mapping; `check` has the range inside the chunk, and the chunks are inside the mapping.
        unsafe { std::slice::from_raw_parts(start, len as usize) }
    }

    /// Bytes of a chunk, to write to.
    #[inline]
    pub(crate) fn bytes_mut<'a>(
        &'a self,
        token: &'a mut Token,
        offset: u32,
        len: u32,
    ) -> &'a mut [u8] {
        let start = self.check(token, offset, len);
        // SAFETY: the token, borrowed mutably with the slice, is the only one for this chunk; `self` owns the mapping; `check` has the
        // range inside the chunk, and the chunks are inside the mapping.
        unsafe { std::slice::from_raw_parts_mut(start, len as usize) }
    }

    /// Bytes of a packet that lies in a ring's entry.
    ///
    /// # Safety
    /// The span came out of [`Geometry::received`] of this region's geometry, for an entry of a receive ring that is not released while
    /// the slice lives: until then the chunk is neither the kernel's nor anybody's token, and nobody else writes to it.
    #[inline]
    pub(crate) unsafe fn received(&self, span: &Span) -> &[u8] {
        let start = self.at(span.start);
        // SAFETY: the caller vouches that nobody writes to it; `self` owns the mapping; the span is inside a chunk.
        unsafe { std::slice::from_raw_parts(start, span.len as usize) }
    }

    /// As [`received`](Self::received), to write to.
    ///
    /// # Safety
    /// As there, and no other slice of the chunk lives.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller vouches that it is the only reference"
    )]
    pub(crate) unsafe fn received_mut(&self, span: &Span) -> &mut [u8] {
        let start = self.at(span.start);
        // SAFETY: the caller vouches that nobody else uses it; `self` owns the mapping; the span is inside a chunk.
        unsafe { std::slice::from_raw_parts_mut(start, span.len as usize) }
    }

    #[inline]
    fn check(&self, token: &Token, offset: u32, len: u32) -> *mut u8 {
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

impl Token {
    /// The token of a chunk that came out of a ring.
    ///
    /// # Safety
    /// The chunk is one of the region's; it came out of a receive or a completion ring of a socket over this region, in an entry of
    /// which no other token is made, and that is released without giving the chunk to the kernel again.
    #[inline]
    pub(crate) const unsafe fn from_ring(chunk: Chunk) -> Self {
        Self(chunk)
    }

    /// The number of the chunk.
    #[inline]
    pub(crate) const fn chunk(&self) -> Chunk {
        self.0
    }

    /// Gives the token up: the chunk goes into a ring.
    #[inline]
    pub(crate) fn into_ring(self) -> Chunk {
        self.0
    }
}

impl Unassigned {
    /// The next `count` chunks; `None` where so many are not left.
    pub(crate) fn take(
        &mut self,
        count: u32,
    ) -> Option<(Range<Chunk>, impl Iterator<Item = Token>)> {
        if count > self.left() {
            return None;
        }
        let range = self.0.start..self.0.start + count;
        self.0.start = range.end;
        Some((range.clone(), range.map(Token)))
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
