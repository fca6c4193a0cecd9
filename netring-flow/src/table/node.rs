//! The links of a record: both neighbours in a list, or the next free slot.

use super::Slot;

/// Both neighbours: a slot, or the head of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(super) before: u32,
    pub(super) behind: u32,
}

/// Marks the number of a list, where else a slot stands.
pub(super) const HEAD: u32 = 1 << 31;
/// In no list.
pub(super) const NONE: u32 = u32::MAX;

impl Node {
    pub(super) const LOOSE: Self = Self {
        before: NONE,
        behind: NONE,
    };

    /// The links of a free slot, which keep the next free one.
    pub(super) const fn free(next: Option<Slot>) -> Self {
        Self {
            before: NONE,
            behind: match next {
                Some(slot) => slot.0,
                None => NONE,
            },
        }
    }

    pub(super) const fn as_free(self) -> Option<Slot> {
        match self.behind {
            NONE => None,
            slot => Some(Slot(slot)),
        }
    }
}
