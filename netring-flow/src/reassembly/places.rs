//! Storage of subscribed flows: in chunks, so that growing moves none of them.

use std::ops::{Index, IndexMut};

use super::flow::Flow;

/// Flows of a chunk. Memory is reserved in chunks, and used as flows are written.
const CHUNK: usize = 1 << 16;

/// No place.
const NONE: u32 = u32::MAX;

/// The flows by their place, including those with an ended subscription.
#[derive(Debug)]
pub(super) struct Flows<K, S> {
    chunks: Vec<Vec<Flow<K, S>>>,
    /// The first place that is free. Each leads to the next with its index, so that freeing many
    /// allocates nothing.
    free: u32,
}

impl<K, S> Flows<K, S> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
        }
    }

    /// Adds a flow, and returns its place.
    pub(super) fn insert(&mut self, flow: Flow<K, S>) -> u32 {
        if self.free != NONE {
            let place = self.free;
            let freed = std::mem::replace(&mut self[place as usize], flow);
            self.free = freed.hot.index;
            return place;
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        chunk.push(flow);
        (number * CHUNK + chunk.len() - 1) as u32
    }

    /// Lets a place be used again. Its flow has ended.
    pub(super) fn free(&mut self, place: u32) {
        self[place as usize].hot.index = self.free;
        self.free = place;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow<K, S>> {
        self.chunks.iter().flatten()
    }
}

impl<K, S> Index<usize> for Flows<K, S> {
    type Output = Flow<K, S>;

    #[inline]
    fn index(&self, place: usize) -> &Flow<K, S> {
        &self.chunks[place / CHUNK][place % CHUNK]
    }
}

impl<K, S> IndexMut<usize> for Flows<K, S> {
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut Flow<K, S> {
        &mut self.chunks[place / CHUNK][place % CHUNK]
    }
}
