//! What both formats are read into: packets at positions in the buffer.

use super::super::block::{EPB_FLAGS, EPB_QUEUE, INTERFACE, SECTION_HEADER};
use super::super::flags;
use super::super::options::Iter;
use super::super::order::ByteOrder;
use crate::{Clock, Direction, LinkType, Packet, Timestamp};

/// The most bytes of a record or block, its header included. A larger one counts as damage.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// A packet in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Nanoseconds since the epoch.
    pub(super) time: i64,
    /// Where its bytes begin: in the record and, once it is in a batch, in the buffer.
    pub(super) start: u32,
    /// How many bytes were captured.
    pub(super) len: u32,
    /// How many bytes were on the wire.
    pub(super) wire_len: u32,
    /// The number of its interface in the file, starting at 1; 0 if the format has no interfaces.
    pub(super) interface: u32,
    /// Bytes of options, behind its padding.
    pub(super) options: u32,
    pub(super) link_type: LinkType,
    pub(super) kind: Kind,
    /// What its options say that packets have a word for.
    pub(super) said: Said,
}

/// A block in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockPlace {
    pub(super) kind: u32,
    pub(super) order: ByteOrder,
    /// Packets of the batch before it.
    pub(super) before: u32,
    /// Where its body begins: in the block and, once it is in a batch, in the buffer.
    pub(super) start: u32,
    pub(super) len: u32,
}

/// Whether a block of this kind, which is none with a packet, is lent.
pub(super) const fn is_lent(kind: u32) -> bool {
    !matches!(kind, SECTION_HEADER | INTERFACE)
}

/// The kind of record or block, and its byte order if it matters once it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record of pcap.
    Plain,
    /// A block without a time.
    Simple,
    Enhanced(ByteOrder),
    Obsolete(ByteOrder),
}

/// What the options of a packet say, in a byte: they are read once, and a packet may be lent often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said(u8);

/// What the next bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet, and the bytes that it takes up.
    Packet(Place, usize),
    /// Something without a packet that takes up this many bytes.
    Skip(usize),
    /// The same, which is lent on request.
    Block(BlockPlace, usize),
    /// A section of this many bytes begins; it is to be taken in when the packets before it are
    /// lent.
    Section,
    /// Too few bytes to know; at least this many are needed.
    Short(usize),
    /// A contradiction, described.
    Corrupt(String),
}

impl Place {
    /// The packet in the buffer; `None` if it does not lie within.
    #[inline]
    pub(super) fn packet<'a>(&self, buffer: &'a [u8]) -> Option<Packet<'a>> {
        let data = buffer
            .get(self.start as usize..)?
            .get(..self.len as usize)?;
        let time = Timestamp::from_nanos(self.time, Clock::Unknown);
        let packet = Packet::new(data, time, self.link_type)
            .with_wire_len(self.wire_len)
            .with_interface(self.interface);
        if self.said == Said::default() {
            return Some(packet);
        }
        let packet = packet.with_direction(self.said.direction());
        Some(if self.said.has_queue() {
            packet.with_queue(self.queue(buffer))
        } else {
            packet
        })
    }

    #[cold]
    fn queue(&self, buffer: &[u8]) -> Option<u32> {
        let order = self.order();
        let mut options = Iter::new(order, self.options(buffer));
        let (_, value) = options.find(|(code, _)| *code == EPB_QUEUE)?;
        order.u32(value, 0)
    }

    /// The byte order of its options.
    pub(super) const fn order(&self) -> ByteOrder {
        match self.kind {
            Kind::Enhanced(order) | Kind::Obsolete(order) => order,
            Kind::Plain | Kind::Simple => ByteOrder::Little,
        }
    }

    /// The bytes of its options.
    #[inline]
    pub(super) fn options<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize + (self.len as usize).next_multiple_of(4);
        let end = start + self.options as usize;
        buffer.get(start..end).unwrap_or_default()
    }

    /// The count of drops in the header of an obsolete packet block, before its data.
    pub(super) fn obsolete_drops(&self, buffer: &[u8]) -> Option<u64> {
        let at = (self.start as usize).checked_sub(18)?;
        let drops = self.order().u16(buffer, at)?;
        (drops != u16::MAX).then_some(drops.into())
    }
}

impl Said {
    const QUEUE: u8 = 0x80;

    /// What these options say.
    #[inline]
    pub(super) fn of(kind: Kind, options: Iter<'_>) -> Self {
        let order = options.order();
        let mut said = Self::default();
        for (code, value) in options {
            match (code, kind) {
                (EPB_FLAGS, _) => {
                    let word = order.u32(value, 0).unwrap_or_default();
                    said.0 = said.0 & Self::QUEUE | (word as u8 & flags::STATED);
                }
                (EPB_QUEUE, Kind::Enhanced(_)) => said.0 |= Self::QUEUE,
                _ => {}
            }
        }
        said
    }

    #[inline]
    const fn direction(self) -> Option<Direction> {
        flags::direction(self.0 as u32)
    }

    #[inline]
    const fn has_queue(self) -> bool {
        self.0 & Self::QUEUE != 0
    }
}
