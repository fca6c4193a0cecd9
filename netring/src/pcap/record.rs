//! What both formats are read into: packets at positions in the buffer.

use crate::{Clock, LinkType, Packet, Timestamp};

/// The most bytes of a record or block, its header included. A larger one counts as damage.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// A packet in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
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
    pub(super) link_type: LinkType,
}

/// What the next bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet, and the bytes that it takes up.
    Packet(Record, usize),
    /// Something without a packet that takes up this many bytes.
    Skip(usize),
    /// Too few bytes to know; at least this many are needed.
    Short(usize),
    /// A contradiction, described.
    Corrupt(String),
}

impl Record {
    /// The packet in the buffer; `None` if it does not lie within.
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
