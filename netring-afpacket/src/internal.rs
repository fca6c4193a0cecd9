//! Not for users, and without stability: the parser over any bytes, and blocks to parse, for tests,
//! benchmarks and the fuzz target.

mod block;

use std::cell::Cell;

use netring_sys::Packet;

use crate::rx::{Context, Counts, Packets, Position, prepare_block};

pub use block::BlockBuilder;
#[cfg(test)]
pub(crate) use block::{DESC, MAC};

/// Parses blocks as a capture without a snap length does.
#[derive(Debug)]
pub struct Parser {
    context: Context,
    counts: Cell<Option<Counts>>,
}

impl Parser {
    /// `features` is the `tp_feature_req_word` of the ring.
    pub const fn new(features: u32) -> Self {
        let context = Context {
            snap_len: usize::MAX,
            features,
            offload: false,
            vlan_in_bytes: false,
        };
        Self {
            context,
            counts: Cell::new(None),
        }
    }

    /// Parses blocks with tags that are put back into the bytes, and with the state of offloads.
    pub const fn with_tags_and_offload(features: u32) -> Self {
        let mut parser = Self::new(features);
        parser.context.offload = true;
        parser.context.vlan_in_bytes = true;
        parser
    }

    /// The packets of a block that is prepared first, as a capture does once for each block.
    pub fn prepared<'a>(&'a self, block: &'a mut [u8]) -> impl Iterator<Item = Packet<'a>> {
        let first = prepare_block(block, Position::first(block), &self.context);
        Packets::new(block, &self.context, first, &self.counts)
    }

    /// The packets of a block.
    #[inline]
    pub fn packets<'a>(&'a self, block: &'a [u8]) -> impl Iterator<Item = Packet<'a>> {
        let first = Position::first(block);
        Packets::new(block, &self.context, first, &self.counts)
    }

    /// What the last iterator that reached its end found: packets delivered, packets invalid.
    pub fn found(&self) -> Option<(u64, u64)> {
        let counts = self.counts.get()?;
        Some((counts.delivered, counts.invalid))
    }

    /// The same figures, as counted for a batch that is dropped without iteration.
    pub fn count(&self, block: &[u8]) -> (u64, u64) {
        let counts = Position::first(block).counts(block, &self.context);
        (counts.delivered, counts.invalid)
    }
}
