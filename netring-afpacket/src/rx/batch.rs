//! The batches that a capture lends: the packets of one block.

use std::cell::Cell;

use netring_sys::{Packet, PacketBatch};

use super::parse::Counts;
use super::reader::Reader;

/// The packets of one block (with [`Profile::Immediate`](crate::Profile::Immediate) one packet), or
/// the rest of it after [`Capture::try_for_each`](crate::Capture::try_for_each) broke in the
/// middle.
///
/// Dropping it returns the block to the kernel. Until then the kernel fills the other blocks, and
/// stops when it reaches this one again. A batch that is leaked (`mem::forget`) is lent once more.
#[derive(Debug)]
pub struct Batch<'a> {
    reader: &'a mut Reader,
    /// The result of an iteration over all packets.
    counts: Cell<Option<Counts>>,
}

impl<'a> Batch<'a> {
    #[inline]
    pub(crate) const fn new(reader: &'a mut Reader) -> Self {
        Self {
            reader,
            counts: Cell::new(None),
        }
    }

    /// The number of the block: 1 for the first that the kernel opened, and one more for each after
    /// it. With [`Profile::Immediate`](crate::Profile::Immediate) the number of the packet. 0 for a
    /// batch that lends nothing.
    #[doc(alias = "seq_num")]
    pub fn sequence(&self) -> u64 {
        self.reader.sequence()
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.reader.packets(&self.counts)
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.reader.release(self.counts.get());
    }
}
