//! Tokens that prove who may touch which chunk.
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
    reason = "callers answer for tokens of chunks that leave a ring; the invariant stands above"
)]

use std::ops::Range;

use super::geometry::ChunkIndex;

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
    /// All chunks of a region.
    pub(super) const fn new(count: ChunkIndex) -> Self {
        Self(0..count)
    }

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
