//! Chunks of other halves that are sent through this one.
//!
//! A receiver that forwards packets takes their completed chunks straight from the completion ring
//! into its fill ring. So a flush leaves some completions in the ring for it: returning each of
//! them to its owner takes several times the instructions of the whole forward.
#![deny(unsafe_code)]

use std::ops::Range;

use crate::memory::geometry::ChunkIndex;
use crate::memory::token::ChunkToken;

#[derive(Debug)]
pub(super) struct ForeignChunks {
    /// From the first to the last of the chunks that were ever sent.
    sent: Option<Range<ChunkIndex>>,
    /// How many completions a flush may leave in their ring.
    pub(super) keep: u32,
    /// Completed chunks that return to their owner; kept for its memory.
    pub(super) completed: Vec<ChunkToken>,
}

impl ForeignChunks {
    /// For a half with a transmit ring of this many entries.
    pub(super) fn new(entries: u32) -> Self {
        Self {
            sent: None,
            keep: 0,
            completed: Vec::with_capacity(entries as usize),
        }
    }

    /// Some of these chunks are about to be sent. Returns true if no others ever were. Only then
    /// may completions be left in the ring: the whole stock of a half with few chunks could lie
    /// there, and then it would receive nothing any more.
    #[inline]
    pub(super) fn sends(&mut self, chunks: &Range<ChunkIndex>) -> bool {
        let sent = match &self.sent {
            Some(sent) => sent.start.min(chunks.start)..sent.end.max(chunks.end),
            None => chunks.clone(),
        };
        let only = sent == *chunks;
        self.sent = Some(sent);
        only
    }

    /// A single chunk is about to be sent, by a caller that will not take completions.
    pub(super) fn sends_one(&mut self, chunk: ChunkIndex) {
        if !self.sent.as_ref().is_some_and(|sent| sent.contains(&chunk)) {
            self.sends(&(chunk..chunk + 1));
            self.keep = 0;
        }
    }
}
