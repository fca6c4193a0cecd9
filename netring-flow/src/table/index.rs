//! From a hash to a slot: open addressing, 8 bytes per place, linear probing.

use super::prefetch::prefetch;
use super::{Slot, Tag};

/// The places. A free place is 0; otherwise it holds the tag above the slot + 1.
///
/// The home of a tag is given by its top bits, so a place implies its home, and neither growing nor
/// removing reads a record.
#[derive(Debug)]
pub(super) struct Index {
    places: Box<[u64]>,
    bits: u32,
    used: usize,
}

const SMALLEST: u32 = 8;

impl Index {
    pub(super) fn new() -> Self {
        Self {
            places: vec![0; 1 << SMALLEST].into(),
            bits: SMALLEST,
            used: 0,
        }
    }

    /// The slot with this tag that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, tag: Tag, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
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
        if (self.used + 1) * 2 > self.places.len() {
            self.grow();
        }
        self.put((u64::from(tag.0) << 32) | (u64::from(slot.0) + 1));
        self.used += 1;
    }

    /// Frees a place and moves up those after it that get closer to their home.
    pub(super) fn remove(&mut self, tag: Tag, slot: Slot) {
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
        self.used -= 1;
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

    fn grow(&mut self) {
        self.bits += 1;
        let bigger = vec![0; 1 << self.bits].into();
        let old = std::mem::replace(&mut self.places, bigger);
        for &place in old.iter().filter(|place| **place != 0) {
            self.put(place);
        }
    }

    #[inline]
    fn home(&self, tag: Tag) -> usize {
        // `bits` is at most 32, because there are never more than 2³¹ flows.
        (u64::from(tag.0) >> (32 - self.bits)) as usize
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len() - 1
    }
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
