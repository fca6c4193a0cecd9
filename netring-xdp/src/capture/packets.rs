//! The packets of a batch, with what is known of each.

use netring_sys::{Packet, Timestamp};

use super::Batch;
use crate::program::Metadata;
use crate::receive::Frames;

/// The packets of a batch, oldest first.
///
/// Those without metadata are all in `plain`, which is empty where there is metadata: the loop over it has nothing else in it.
#[derive(Debug)]
pub(super) struct Packets<'a> {
    batch: &'a Batch<'a>,
    plain: Frames<'a>,
    /// The number of the next packet with metadata.
    at: u32,
}

impl Batch<'_> {
    #[inline]
    pub(super) fn all(&self) -> Packets<'_> {
        Packets {
            batch: self,
            plain: if self.lent.is_described() {
                self.lent.no_frames()
            } else {
                self.lent.frames()
            },
            at: 0,
        }
    }

    #[inline]
    fn packet<'a>(&self, bytes: &'a [u8], timestamp: Timestamp) -> Packet<'a> {
        Packet::new(bytes, timestamp, self.link_type)
            .with_interface(self.interface)
            .with_queue(Some(self.queue))
    }

    /// The next packet with metadata, and the number of the one behind. None where no metadata is read.
    ///
    /// Nothing of the iterator is borrowed for it, or none of that could stay in registers.
    #[inline]
    fn described(&self, at: u32) -> (Option<Packet<'_>>, u32) {
        if !self.lent.is_described() {
            return (None, at);
        }
        let (unread, at) = self.lent.unread(at);
        let packet = unread.map(|(bytes, before)| {
            let metadata = before.and_then(Metadata::read).unwrap_or_default();
            let timestamp = metadata.timestamp.filter(|_| self.card_time);
            self.packet(bytes, timestamp.unwrap_or(self.timestamp))
                .with_rx_hash(metadata.hash)
                .with_vlan(metadata.vlan)
        });
        (packet, at)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        if let Some(bytes) = self.plain.next() {
            return Some(self.batch.packet(bytes, self.batch.timestamp));
        }
        let (packet, at) = self.batch.described(self.at);
        self.at = at;
        packet
    }

    #[inline]
    fn fold<B, F: FnMut(B, Packet<'a>) -> B>(self, init: B, mut f: F) -> B {
        let (batch, mut at) = (self.batch, self.at);
        let mut folded = self.plain.fold(init, |folded, bytes| {
            f(folded, batch.packet(bytes, batch.timestamp))
        });
        while let (Some(packet), next) = batch.described(at) {
            folded = f(folded, packet);
            at = next;
        }
        folded
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let described = match self.batch.lent.is_described() {
            true => self.batch.lent.len(),
            false => 0,
        };
        let (least, most) = self.plain.size_hint();
        (least, most.map(|most| most + described))
    }
}
