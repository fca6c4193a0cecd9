//! Snapshots of the flows that have not ended. They change nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;

use super::Engine;
use crate::LiveFlow;
use crate::table::Slot;

impl<K: Clone + Eq + Hash> Engine<K> {
    /// All flows, in no particular order.
    pub(crate) fn flows(&self) -> impl Iterator<Item = LiveFlow<K>> {
        let slots = self.table.slots();
        slots.map(|slot| self.live(slot))
    }

    /// A snapshot of a flow.
    fn live(&self, slot: Slot) -> LiveFlow<K> {
        let mut flow = self.table.live(slot, self.clock);
        self.add_measured(slot, &mut flow.stats);
        flow
    }

    /// The `count` flows with the most bytes, in descending order; among equals, the older first.
    pub(crate) fn largest(&self, count: usize) -> Vec<LiveFlow<K>> {
        // The smallest kept flow is on top. Only kept flows are copied.
        let mut kept = BinaryHeap::with_capacity(count.min(self.table.len()) + 1);
        for slot in self.table.slots() {
            let flow = self.table.get(slot);
            kept.push(Reverse((flow.bytes(), Reverse(flow.id()), slot)));
            if kept.len() > count {
                kept.pop();
            }
        }
        let sorted = kept.into_sorted_vec();
        let slots = sorted.into_iter().map(|Reverse((_, _, slot))| slot);
        slots.map(|slot| self.live(slot)).collect()
    }
}
