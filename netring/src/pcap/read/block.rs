//! The blocks of a pcapng file that belong to no packet.

use super::super::block::STATISTICS;
use super::super::options::Iter;
use super::super::order::ByteOrder;
use super::super::statistics::InterfaceStatistics;
use super::contents::Contents;
use super::place::BlockPlace;

/// A block of a pcapng file that belongs to no packet: name records, decryption secrets,
/// statistics, a journal entry, a custom block of an organisation, or a block of unknown kind.
///
/// [`CaptureWriter::write_block`](crate::pcap::CaptureWriter::write_block) writes it to another
/// file.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "NRB")]
#[doc(alias = "DSB")]
pub struct Block<'a> {
    place: BlockPlace,
    contents: &'a Contents,
}

impl<'a> Block<'a> {
    pub(super) const fn new(contents: &'a Contents, place: BlockPlace) -> Self {
        Self { place, contents }
    }

    /// Its type: 4 for names, 5 for statistics, 9 for an entry of a journal, 10 for secrets, 0xBAD
    /// and 0x40000BAD for a block that an organisation defines, of which the second is not to be
    /// copied.
    pub const fn kind(&self) -> u32 {
        self.place.kind
    }

    /// Its bytes between the two lengths, in the byte order of its section.
    pub fn body(&self) -> &'a [u8] {
        let BlockPlace { start, len, .. } = self.place;
        let body = self.contents.memory().get(start as usize..);
        body.and_then(|body| body.get(..len as usize))
            .unwrap_or_default()
    }

    /// Whether the integers of its section are in big-endian order.
    pub fn is_big_endian(&self) -> bool {
        self.place.order == ByteOrder::Big
    }

    /// How many packets of the batch precede it.
    pub const fn packets_before(&self) -> usize {
        let lent = self.contents.lent();
        (self.place.before as usize).saturating_sub(lent)
    }

    pub(in crate::pcap) const fn order(&self) -> ByteOrder {
        self.place.order
    }

    /// The number of the interface, its statistics, and all their options; `None` if it is another
    /// block or invalid.
    pub(in crate::pcap) fn statistics(&self) -> Option<(u32, InterfaceStatistics, Iter<'a>)> {
        (self.kind() == STATISTICS)
            .then(|| self.contents.parse_statistics(self.body()))
            .flatten()
    }
}
