//! From a hash to a slot: open addressing, 8 bytes per place, linear probing.

use super::prefetch::prefetch;
use super::{Slot, Tag};

/// The places. A free place is 0; otherwise it holds the tag above the slot + 1.
///
/// The home of a tag is given by its top bits, so a place implies its home, and neither growing nor
/// removing reads a record.
///
/// It grows step by step: moving a million places at once would stop the packets for milliseconds.
/// Until all are moved, a lookup that finds nothing goes on in the places before.
#[derive(Debug)]
pub(super) struct Index {
    places: Box<[u64]>,
    bits: u32,
    used: usize,
    /// The places before it grew; none unless it grows.
    before: Before,
    /// The places after it grows, as far as they are cleared: memory that was used before is not
    /// clear.
    next: Vec<u64>,
}

const SMALLEST: u32 = 8;

/// Places that one insertion clears.
const CLEARED: usize = 64;

/// Places that one insertion moves. Two would do: at the start a quarter of the places is used, and
/// as many insertions later half of them.
const MOVED: usize = 16;

impl Index {
    pub(super) fn new() -> Self {
        Self {
            places: vec![0; 1 << SMALLEST].into(),
            bits: SMALLEST,
            used: 0,
            before: Before::default(),
            next: Vec::new(),
        }
    }

    /// The slot with this tag that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, tag: Tag, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        let found = self.find_moved(tag, &is_it);
        if found.is_some() || self.before.places.is_empty() {
            return found;
        }
        self.before.find(tag, is_it)
    }

    /// The same, unless the slot is still to be moved.
    #[inline]
    pub(super) fn find_moved(&self, tag: Tag, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        let mut at = self.home(tag);
        // Terminates, because at least half of the places are free.
        loop {
            let place = self.places[at];
            if place == 0 {
                return None;
            }
            if tag_of(place) == tag {
                let slot = Slot(place as u32 - 1);
                if is_it(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & self.mask();
        }
    }

    pub(super) fn insert(&mut self, tag: Tag, slot: Slot) {
        // At most half are used: a fuller index costs more in mispredicted probes than it saves in
        // memory.
        if (self.used + 1) * 32 > self.places.len() * 15 {
            self.prepare();
        }
        if !self.before.places.is_empty() {
            self.move_some();
        }
        self.put(place(tag, slot));
        self.used += 1;
    }

    /// Frees a place and moves up those after it that get closer to their home.
    pub(super) fn remove(&mut self, tag: Tag, slot: Slot) {
        self.used -= 1;
        if self.before.remove(tag, slot) {
            return;
        }
        let mask = self.mask();
        let mut hole = self.home(tag);
        while self.places[hole] as u32 != slot.0 + 1 {
            if self.places[hole] == 0 {
                return;
            }
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let place = self.places[at];
            if place == 0 {
                break;
            }
            let from_home = at.wrapping_sub(self.home(tag_of(place))) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.places[hole] = place;
                hole = at;
            }
        }
        self.places[hole] = 0;
    }

    /// Prefetches the memory where a lookup starts.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        prefetch(&self.places[self.home(tag)]);
    }

    fn put(&mut self, place: u64) {
        let mut at = self.home(tag_of(place));
        while self.places[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.places[at] = place;
    }

    /// Clears some of the places that come next, and uses them once there are too few. They are
    /// cleared by then: a 32nd of the places is left, and twice as many are needed.
    #[inline(never)]
    fn prepare(&mut self) {
        let needed = 2 * self.places.len();
        if self.next.is_empty() {
            self.next.reserve_exact(needed);
        }
        self.next.resize(needed.min(self.next.len() + CLEARED), 0);
        if (self.used + 1) * 2 > self.places.len() {
            self.next.resize(needed, 0);
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        while !self.before.places.is_empty() {
            self.move_some();
        }
        self.bits += 1;
        let next = std::mem::take(&mut self.next).into_boxed_slice();
        self.before.places = std::mem::replace(&mut self.places, next);
    }

    /// Moves the next of the places before.
    #[inline(never)]
    fn move_some(&mut self) {
        let end = (self.before.moved + MOVED).min(self.before.places.len());
        for at in self.before.moved..end {
            let place = self.before.places[at];
            if place as u32 != 0 {
                self.before.places[at] = GONE;
                self.put(place);
            }
        }
        self.before.moved = end;
        if end == self.before.places.len() {
            self.before = Before::default();
        }
    }

    #[inline]
    fn home(&self, tag: Tag) -> usize {
        home(tag, self.bits)
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len() - 1
    }
}

/// The places of an index before it grew. A place that is moved or removed is [`GONE`], so that
/// those behind it are still found.
#[derive(Debug, Default)]
struct Before {
    places: Box<[u64]>,
    /// The number of places that were moved, from the first on.
    moved: usize,
}

/// Like a free place, it holds no slot; unlike one, it is not the end of a lookup.
const GONE: u64 = 1 << 32;

impl Before {
    /// The slot with this tag that `is_it` accepts.
    #[cold]
    fn find(&self, tag: Tag, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        let slot = |at: usize| Slot((self.places[at] as u32).wrapping_sub(1));
        let at = self.search(tag, |at| self.places[at] as u32 != 0 && is_it(slot(at)))?;
        Some(slot(at))
    }

    /// Removes a slot. Returns false if it is not here.
    #[inline]
    fn remove(&mut self, tag: Tag, slot: Slot) -> bool {
        if self.places.is_empty() {
            return false;
        }
        let found = self.search(tag, |at| self.places[at] == place(tag, slot));
        if let Some(at) = found {
            self.places[at] = GONE;
        }
        found.is_some()
    }

    /// The place with this tag that `is_it` accepts.
    fn search(&self, tag: Tag, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.places.len() - 1;
        let mut at = home(tag, self.places.len().trailing_zeros());
        // Terminates, because at least half of the places were free, and none is used again.
        while self.places[at] != 0 {
            if tag_of(self.places[at]) == tag && is_it(at) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

#[inline]
const fn home(tag: Tag, bits: u32) -> usize {
    // `bits` is at most 32, because there are never more than 2³¹ flows.
    ((tag.0 as u64) >> (32 - bits)) as usize
}

#[inline]
const fn place(tag: Tag, slot: Slot) -> u64 {
    ((tag.0 as u64) << 32) | (slot.0 as u64 + 1)
}

#[inline]
const fn tag_of(place: u64) -> Tag {
    Tag((place >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A list of (tag, slot) is the oracle. There are few tags, at both ends of the range, so
        /// that they collide and wrap.
        #[test]
        fn it_is_what_a_list_is(steps in prop::collection::vec((any::<bool>(), 0_u32..24, any::<bool>()), 1..900)) {
            let mut index = Index::new();
            let mut list: Vec<(Tag, Slot)> = Vec::new();
            for (number, (add, low, top)) in steps.into_iter().enumerate() {
                let tag = Tag(if top { u32::MAX - low } else { low << 22 });
                if add || list.is_empty() {
                    let slot = Slot(number as u32);
                    index.insert(tag, slot);
                    list.push((tag, slot));
                } else {
                    let (tag, slot) = list.swap_remove(low as usize % list.len());
                    index.remove(tag, slot);
                    prop_assert_eq!(index.find(tag, |found| found == slot), None);
                }
                prop_assert_eq!(index.used, list.len());
                for &(tag, slot) in &list {
                    prop_assert_eq!(index.find(tag, |found| found == slot), Some(slot));
                }
            }
        }
    }
}
