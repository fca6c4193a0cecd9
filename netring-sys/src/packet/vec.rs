//! Many owned packets, with their bytes in one piece of memory.

use super::{Meta, Packet};

/// Packets that own their bytes: a batch that can be kept, or sent to another thread.
///
/// The bytes of all packets are in one allocation and their metadata in another, however many
/// packets there are; [`clear`](Self::clear) keeps both for the next ones. It is a
/// [`PacketBatch`](crate::PacketBatch).
///
/// ```
/// use netring_sys::{LinkType, Packet, PacketVec, Timestamp};
///
/// let mut kept = PacketVec::new();
/// kept.push(&Packet::new(b"one", Timestamp::EPOCH, LinkType::ETHERNET));
/// kept.push(&Packet::new(b"three", Timestamp::EPOCH, LinkType::ETHERNET));
/// let lengths: Vec<_> = kept.iter().map(|packet| packet.wire_len()).collect();
/// assert_eq!(lengths, [3, 5]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PacketVec {
    bytes: Vec<u8>,
    /// The end of each packet in `bytes`, and its metadata.
    packets: Vec<(usize, Meta)>,
}

impl PacketVec {
    /// Creates an empty one, which allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Creates an empty one that allocates room for this many packets and bytes of theirs.
    pub fn with_capacity(packets: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            packets: Vec::with_capacity(packets),
        }
    }

    /// Appends a copy of the packet.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>) {
        self.bytes.extend_from_slice(packet.data);
        self.packets.push((self.bytes.len(), packet.meta));
    }

    /// The number of packets.
    #[inline]
    pub const fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are no packets.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The captured bytes of all packets together.
    #[inline]
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The packet with this index, counted from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Packet<'_>> {
        let &(end, meta) = self.packets.get(index)?;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.packets[before].0);
        let data = &self.bytes[start..end];
        Some(Packet { data, meta })
    }

    /// The packets, oldest first.
    #[inline]
    pub fn iter(&self) -> PacketVecIter<'_> {
        PacketVecIter {
            bytes: &self.bytes,
            start: 0,
            packets: self.packets.iter(),
        }
    }

    /// Removes all packets and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

impl<'a> IntoIterator for &'a PacketVec {
    type Item = Packet<'a>;
    type IntoIter = PacketVecIter<'a>;

    fn into_iter(self) -> PacketVecIter<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<Packet<'a>> for PacketVec {
    fn from_iter<I: IntoIterator<Item = Packet<'a>>>(packets: I) -> Self {
        let mut vec = Self::new();
        packets.into_iter().for_each(|packet| vec.push(&packet));
        vec
    }
}

/// The packets of a [`PacketVec`], oldest first.
#[derive(Clone, Debug)]
pub struct PacketVecIter<'a> {
    bytes: &'a [u8],
    start: usize,
    packets: std::slice::Iter<'a, (usize, Meta)>,
}

impl<'a> Iterator for PacketVecIter<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        let &(end, meta) = self.packets.next()?;
        let data = &self.bytes[self.start..end];
        self.start = end;
        Some(Packet { data, meta })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.packets.size_hint()
    }
}

impl ExactSizeIterator for PacketVecIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, LinkType, Timestamp, VlanTag};

    #[test]
    fn packets_come_back_in_order_with_every_word() {
        let time = Timestamp::from_nanos(7, Clock::Hardware);
        let tag = Some(VlanTag {
            tpid: 0x88a8,
            tci: 0xe005,
        });
        let packets = [
            Packet::new(b"abc", time, LinkType::RAW_IP).with_vlan(tag),
            Packet::new(b"", time, LinkType::ETHERNET).with_wire_len(9),
            Packet::new(b"defg", time, LinkType::ETHERNET).with_queue(Some(3)),
        ];
        let mut vec: PacketVec = packets.into_iter().collect();
        assert_eq!((vec.len(), vec.byte_len(), vec.is_empty()), (3, 7, false));
        assert_eq!(vec.iter().len(), 3);
        assert!(vec.iter().eq(packets));
        assert!((&vec).into_iter().eq(packets));
        assert!((0..3).map_while(|index| vec.get(index)).eq(packets));
        assert_eq!(vec.get(3), None);
        let room = PacketVec::with_capacity(3, 100);
        assert!(room.is_empty() && room.bytes.capacity() >= 100);

        let memory = vec.bytes.as_ptr();
        vec.clear();
        assert!(vec.is_empty() && vec.iter().next().is_none());
        vec.push(&packets[2]);
        assert!(vec.iter().eq([packets[2]]));
        assert_eq!(vec.bytes.as_ptr(), memory);
    }
}
