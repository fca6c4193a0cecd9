//! Records, with their links and rarely used parts beside them, in chunks: a record never moves,
//! and growing copies nothing.

use super::node::{Node, QUEUE};
use super::prefetch::prefetch;
use super::rare::Rare;
use super::{Record, Slot};
use crate::extract::Orientation;

/// Records of a chunk. Memory is reserved in chunks, and used as records are written.
const CHUNK: usize = 1 << 14;

#[derive(Debug)]
pub(crate) struct Slab<K> {
    chunks: Vec<Chunk<K>>,
    /// The first free slot; each holds the next in its links.
    free: Option<Slot>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<K> {
    records: Vec<Record<K>>,
    besides: Vec<Beside>,
}

/// What is stored beside a record.
#[derive(Debug)]
struct Beside {
    links: [Node; 2],
    rare: Rare,
}

impl Beside {
    const NEW: Self = Self {
        links: [Node::UNLINKED; 2],
        rare: Rare::NEW,
    };
}

/// Bytes that a flow takes in the slab.
pub(super) const fn bytes_per_flow<K>() -> usize {
    size_of::<Record<K>>() + size_of::<Beside>()
}

impl<K> Slab<K> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: None,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Inserts a record. Inlined so that it is written in place instead of copied.
    #[inline(always)]
    pub(super) fn insert(&mut self, record: Record<K>) -> Slot {
        self.len += 1;
        if let Some(slot) = self.free {
            self.free = self.node::<0>(slot).as_free();
            self.chunks[slot.0 as usize / CHUNK].besides[slot.0 as usize % CHUNK] = Beside::NEW;
            *self.get_mut(slot) = record;
            return slot;
        }
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.records.len() == CHUNK)
        {
            self.chunks.push(Chunk {
                records: Vec::with_capacity(CHUNK),
                besides: Vec::with_capacity(CHUNK),
            });
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let slot = Slot((number * CHUNK + chunk.records.len()) as u32);
        chunk.records.push(record);
        chunk.besides.push(Beside::NEW);
        slot
    }

    /// Frees a slot. Its record stays until the slot is reused.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.len -= 1;
        *self.node::<0>(slot) = Node::free(self.free);
        self.free = Some(slot);
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> &Record<K> {
        &self.chunks[slot.0 as usize / CHUNK].records[slot.0 as usize % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Record<K> {
        &mut self.chunks[slot.0 as usize / CHUNK].records[slot.0 as usize % CHUNK]
    }

    /// A record and its rarely used part.
    #[inline]
    pub(super) fn both(&mut self, slot: Slot) -> (&mut Record<K>, &mut Rare) {
        let chunk = &mut self.chunks[slot.0 as usize / CHUNK];
        let at = slot.0 as usize % CHUNK;
        (&mut chunk.records[at], &mut chunk.besides[at].rare)
    }

    /// The slots in use, in the order in which they lie in memory. Each record in use is in a queue
    /// between two packets, and a free one is in none.
    pub(super) fn used(&self) -> impl Iterator<Item = Slot> {
        let besides = self.chunks.iter().flat_map(|chunk| &chunk.besides);
        (0..)
            .map(Slot)
            .zip(besides)
            .filter(|(_, beside)| beside.links[QUEUE] != Node::UNLINKED)
            .map(|(slot, _)| slot)
    }

    pub(super) fn rare(&self, slot: Slot) -> &Rare {
        &self.chunks[slot.0 as usize / CHUNK].besides[slot.0 as usize % CHUNK].rare
    }

    /// Prefetches a record and its side data.
    pub(super) fn prefetch_all(&self, slot: Slot) {
        let record = self.get(slot);
        record.prefetch(Orientation::Forward);
        record.prefetch(Orientation::Reverse);
        let beside = &self.chunks[slot.0 as usize / CHUNK].besides[slot.0 as usize % CHUNK];
        prefetch(&beside.links);
        // It may span two cache lines.
        prefetch(&beside.rare.out_of_order);
    }

    #[inline]
    pub(super) fn node<const WHICH: usize>(&mut self, slot: Slot) -> &mut Node {
        &mut self.chunks[slot.0 as usize / CHUNK].besides[slot.0 as usize % CHUNK].links[WHICH]
    }
}
