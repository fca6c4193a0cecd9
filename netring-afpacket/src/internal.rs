//! Not for users: the walk of a block over any bytes, for the bench and the fuzz target. It changes
//! without notice.

use std::cell::Cell;

use netring_sys::Packet;

use crate::rx::{Context, Packets, Position, Tally};

/// A walk as a capture without a snap length makes it.
#[derive(Debug)]
pub struct Walk {
    context: Context,
    tally: Cell<Option<Tally>>,
}

impl Walk {
    /// `features` is the `tp_feature_req_word` of the ring.
    pub const fn new(features: u32) -> Self {
        let context = Context {
            snap_len: usize::MAX,
            features,
        };
        Self {
            context,
            tally: Cell::new(None),
        }
    }

    /// The packets of a block.
    #[inline]
    pub fn packets<'a>(&'a self, block: &'a [u8]) -> impl Iterator<Item = Packet<'a>> {
        let first = Position::first(block);
        Packets::new(block, &self.context, first, &self.tally)
    }

    /// What the last iterator that reached its end found: packets delivered, packets invalid.
    pub fn found(&self) -> Option<(u64, u64)> {
        self.tally
            .get()
            .map(|tally| (tally.delivered, tally.invalid))
    }

    /// The same figures by the other way to them, the count that a batch makes which nobody walked.
    pub fn count(&self, block: &[u8]) -> (u64, u64) {
        let tally = Position::first(block).tally(block, &self.context);
        (tally.delivered, tally.invalid)
    }
}
