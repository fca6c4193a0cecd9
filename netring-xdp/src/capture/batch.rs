//! The batches that a capture lends.

use netring_sys::{Clock, LinkType, Packet, PacketBatch, Timestamp};

use crate::program::Metadata;
use crate::socket::rx::RxBatch;

/// Packets of one queue, up to 256 at once: an eighth of a smaller receive ring, but not fewer than
/// 64.
///
/// Dropping it returns their chunks to the kernel. Until then the kernel has the others.
#[derive(Debug)]
pub struct Batch<'a> {
    batch: RxBatch<'a>,
    timestamp: Timestamp,
    link_type: LinkType,
    interface: u32,
    queue: u32,
    card_time: bool,
}

impl<'a> Batch<'a> {
    #[inline]
    pub(super) fn new(
        (queue, batch): (u32, RxBatch<'a>),
        link_type: LinkType,
        interface: u32,
        card_time: bool,
    ) -> Self {
        Self {
            batch,
            timestamp: Timestamp::now().with_clock(Clock::Process),
            link_type,
            interface,
            queue,
            card_time,
        }
    }

    /// The queue through which its packets arrived.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// Gives back the first `packets`; the others are lent again.
    pub(super) fn leave_after(self, packets: u64) {
        self.batch.leave_after(packets);
    }

    #[inline]
    fn packet<'p>(&self, bytes: &'p [u8], before: Option<&[u8; Metadata::LEN]>) -> Packet<'p> {
        let metadata = before.and_then(Metadata::read).unwrap_or_default();
        let timestamp = metadata.timestamp.filter(|_| self.card_time);
        let timestamp = timestamp.unwrap_or(self.timestamp);
        Packet::new(bytes, timestamp, self.link_type)
            .with_interface(self.interface)
            .with_queue(Some(self.queue))
            .with_rx_hash(metadata.hash)
            .with_vlan(metadata.vlan)
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let raw = self.batch.raw_metadata();
        raw.map(|(bytes, before)| self.packet(bytes, before))
    }
}
