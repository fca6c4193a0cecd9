//! The free chunks of one half of a socket.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Shared;
use crate::memory::geometry::{ChunkIndex, Window};
use crate::memory::token::{ChunkToken, Stack};

/// The free chunks of one half of a socket.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) free: Stack,
    pub(super) owner: usize,
    pub(super) range: Range<ChunkIndex>,
    /// The same, in a form that many addresses are checked against.
    pub(super) window: Window,
    /// Bytes of a chunk.
    pub(super) chunk_size: u64,
    pub(super) pending_returns: Arc<AtomicU32>,
    pub(super) published_len: Arc<AtomicU32>,
}

impl Pool {
    /// Takes a chunk, `None` if none is free.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ChunkToken> {
        self.free.pop()
    }

    /// Gives up a chunk that goes into a ring. Returns where it starts.
    #[inline]
    pub(crate) fn pop_into_ring(&mut self) -> Option<u64> {
        let token = self.free.pop()?;
        Some(u64::from(token.into_ring()) * self.chunk_size)
    }

    /// The chunk that is taken next.
    #[inline]
    pub(crate) fn next(&self) -> Option<&ChunkToken> {
        self.free.tokens().last()
    }

    /// The chunk that is taken next, to write to.
    #[inline]
    pub(crate) fn next_mut(&mut self) -> Option<&mut ChunkToken> {
        self.free.tokens_mut().last_mut()
    }

    /// Takes back a chunk that this half owns.
    #[inline]
    pub(crate) fn push(&mut self, token: ChunkToken) {
        debug_assert!(self.range.contains(&token.chunk()));
        self.free.push(token);
    }

    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.free.len() as u32
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.free.len() == 0
    }

    /// The free chunks themselves, for callers that take many at once.
    #[inline]
    pub(crate) const fn free_mut(&mut self) -> &mut Stack {
        &mut self.free
    }

    /// Whether it has chunks, or some were returned to it.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        // Relaxed: see `return_to_owner`.
        self.free.len() > 0 || self.pending_returns.load(Ordering::Relaxed) > 0
    }

    /// The chunks that this half owns.
    #[inline]
    pub(crate) const fn range(&self) -> &Range<ChunkIndex> {
        &self.range
    }

    /// Where the chunks that this half owns are.
    #[inline]
    pub(crate) const fn window(&self) -> Window {
        self.window
    }

    /// Takes in the chunks that were returned. Returns how many.
    #[inline]
    pub(crate) fn collect(&mut self, shared: &Shared) -> u32 {
        // Relaxed: see `return_to_owner`.
        if self.pending_returns.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.collect_slowly(shared)
    }

    #[cold]
    fn collect_slowly(&mut self, shared: &Shared) -> u32 {
        let mut ownership = shared.lock();
        let owner = &mut ownership.owners[self.owner];
        let count = owner.returned.len() as u32;
        for token in owner.returned.drain(..) {
            self.free.push(token);
        }
        // Relaxed: see `return_to_owner`.
        owner.pending_returns.store(0, Ordering::Relaxed);
        // While the lock is held, which the census takes too.
        self.publish_count();
        count
    }

    /// Publishes the free count for the census.
    #[inline]
    pub(crate) fn publish_count(&self) {
        // Relaxed, with no partner: a count.
        self.published_len
            .store(self.free.len() as u32, Ordering::Relaxed);
    }
}
