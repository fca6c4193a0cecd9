//! The links of a record: both neighbours in a list, or the next free slot.

use super::Slot;

/// The kind of list that the timer wheel uses.
pub(crate) const WHEEL: usize = 0;
/// The kind of list by which flows are evicted.
pub(crate) const QUEUE: usize = 1;

/// Both neighbours: each a slot or the head of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(super) previous: u32,
    pub(super) next: u32,
}

/// Marks the number of a list in the place of a slot.
pub(super) const HEAD: u32 = 1 << 31;
/// In no list.
pub(super) const NONE: u32 = u32::MAX;

impl Node {
    pub(super) const UNLINKED: Self = Self {
        previous: NONE,
        next: NONE,
    };

    /// The links of a free slot, which hold the next free one.
    pub(super) const fn free(next: Option<Slot>) -> Self {
        Self {
            previous: NONE,
            next: match next {
                Some(slot) => slot.0,
                None => NONE,
            },
        }
    }

    pub(super) const fn as_free(self) -> Option<Slot> {
        match self.next {
            NONE => None,
            slot => Some(Slot(slot)),
        }
    }
}
