//! Storage of flows: records that never move, and an index over them.
//!
//! ```text
//! hash ─► index: 8 bytes a place ─► slab: a record of 192 bytes, and 44 beside it
//!                                      ▲
//!                wheel, queues ────────┘  by links in the slab
//! ```
//!
//! Every operation takes a bounded number of steps: the index grows gradually, and each insertion
//! moves a few of its places.

mod closed;
mod direction;
mod hash;
mod index;
mod links;
mod node;
pub(crate) mod prefetch;
mod rare;
mod record;
mod slab;
mod wheel;

use std::hash::{BuildHasher, Hash};

pub(crate) use closed::RecentlyClosed;
pub(crate) use direction::Direction;
pub(crate) use links::Lists;
pub(crate) use node::{QUEUE, WHEEL};
pub(crate) use rare::{Rare, Time};
pub(crate) use record::{Flags, Record, State};
pub(crate) use wheel::{Turn, Wheel};

use netring_sys::Clock;

use crate::extract::Orientation;
use crate::{FlowStats, LiveFlow};
use hash::Seeds;
use index::Index;
use slab::Slab;

#[derive(Debug)]
pub(crate) struct Table<K> {
    seeds: Seeds,
    index: Index,
    slab: Slab<K>,
    version: u64,
}

/// The 32 bits of a key's hash that the table uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32);

/// The place of a record, valid as long as the flow lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bytes that a flow takes in the table: its record, its side data, and its places in the index, at
/// most four, plus half as many while it grows.
pub(crate) const fn bytes_per_flow<K>() -> usize {
    slab::bytes_per_flow::<K>() + 6 * size_of::<u64>()
}

impl<K: Eq + Hash> Table<K> {
    pub(crate) fn new() -> Self {
        Self {
            seeds: Seeds::random(),
            index: Index::new(),
            slab: Slab::new(),
            version: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.slab.len()
    }

    #[inline]
    pub(crate) fn tag(&self, key: &K) -> Tag {
        Tag(self.seeds.hash_one(key) as u32)
    }

    #[inline]
    pub(crate) fn find(&self, tag: Tag, key: &K) -> Option<Slot> {
        self.index.find(tag, |slot| self.slab.get(slot).key == *key)
    }

    /// Inserts a record whose key is not in the table.
    #[inline(always)]
    pub(crate) fn insert(&mut self, tag: Tag, record: Record<K>) -> Slot {
        let slot = self.slab.insert(record);
        self.index.insert(tag, slot);
        slot
    }

    /// Removes a record that is in no list, and returns the tag of its key.
    pub(crate) fn remove(&mut self, slot: Slot) -> Tag {
        self.version += 1;
        // The tag is not stored: hashing again costs less than four more bytes in the cache line
        // that every packet reads.
        let tag = self.tag(&self.slab.get(slot).key);
        self.index.remove(tag, slot);
        self.slab.remove(slot);
        tag
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &Record<K> {
        self.slab.get(slot)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Record<K> {
        self.slab.get_mut(slot)
    }

    /// A record and its rarely used part.
    #[inline]
    pub(crate) fn both(&mut self, slot: Slot) -> (&mut Record<K>, &mut Rare) {
        self.slab.both(slot)
    }

    /// The statistics of a flow.
    #[inline]
    pub(crate) fn stats(&self, slot: Slot, clock: Clock) -> FlowStats {
        self.get(slot).stats(self.slab.rare(slot), clock)
    }

    /// A snapshot of a flow.
    pub(crate) fn live(&self, slot: Slot, clock: Clock) -> LiveFlow<K>
    where
        K: Clone,
    {
        self.get(slot).live(self.slab.rare(slot), clock)
    }

    /// All flows, in no particular order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.slab.used()
    }

    /// The links of the records, for [`Lists`].
    #[inline]
    pub(crate) const fn links(&mut self) -> &mut Slab<K> {
        &mut self.slab
    }

    /// Prefetches the memory where a lookup of this tag starts.
    #[inline]
    pub(crate) fn prefetch_index(&self, tag: Tag) {
        self.index.prefetch(tag);
    }

    /// Finds the record that a lookup of this tag would most likely find, unless it is still to be
    /// moved, and prefetches the lines of it that a packet of this direction uses.
    #[inline]
    pub(crate) fn prefetch_record(&self, tag: Tag, from: Orientation) -> Option<Slot> {
        let slot = self.index.find_moved(tag, |_| true)?;
        self.slab.get(slot).prefetch(from);
        Some(slot)
    }

    /// Prefetches the place in the index that a flow's removal frees.
    pub(crate) fn prefetch_removal(&self, slot: Slot) {
        self.index.prefetch(self.tag(&self.get(slot).key));
    }

    /// Prefetches all of a record.
    pub(crate) fn prefetch_all(&self, slot: Slot) {
        self.slab.prefetch_all(slot);
    }

    /// Changes with each removal: slots that were found earlier may be stale.
    #[inline]
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }
}
