//! What both formats come to: packets at places in the buffer.

use crate::{Clock, LinkType, Packet, Timestamp};

/// The most bytes that a record or block may have with its header; a larger one is a fault of the file.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// A packet in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Nanoseconds since the epoch.
    pub(super) time: i64,
    /// Where its bytes begin: in the record, and once it is in a batch, in the buffer.
    pub(super) start: u32,
    /// How many there are.
    pub(super) len: u32,
    /// How many the wire had.
    pub(super) wire_len: u32,
    /// The number of its interface in the file, from 1 on; 0 where the format has none.
    pub(super) interface: u32,
    pub(super) link_type: LinkType,
}

/// What is at the start of some bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet, in so many bytes.
    Packet(Record, usize),
    /// Something without a packet, in so many bytes.
    Skip(usize),
    /// Not enough to tell: it has at least so many bytes.
    Short(usize),
    /// A contradiction.
    Corrupt(String),
}

impl Record {
    /// The packet in the buffer; `None` where it would not be inside.
    #[inline]
    pub(super) fn packet<'a>(&self, buffer: &'a [u8]) -> Option<Packet<'a>> {
        let data = buffer
            .get(self.start as usize..)?
            .get(..self.len as usize)?;
        let time = Timestamp::from_nanos(self.time, Clock::Unknown);
        Some(
            Packet::new(data, time, self.link_type)
                .with_wire_len(self.wire_len)
                .with_interface(self.interface),
        )
    }
}
