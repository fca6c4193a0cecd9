//! pcap: a header, and records one after another.

use super::super::link::{LONG_PACKETS, MAX_LEN, link_type};
use super::super::order::ByteOrder;
use super::super::time::TickRate;
use super::place::{Kind, MAX_RECORD, Place, Said, Step};
use crate::LinkType;

/// Bytes of the file header in every variant.
const FILE_HEADER: usize = 24;

/// Bytes of the record header that are the same in every variant.
const RECORD_HEADER: usize = 16;

/// What the first four bytes of a file say about its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    order: ByteOrder,
    nanos: bool,
    /// Bytes before the first record.
    file_header: usize,
    /// Bytes before the data of each record.
    record_header: usize,
}

/// What the header of a file says about its records.
#[derive(Debug)]
pub(super) struct Classic {
    order: ByteOrder,
    record_header: usize,
    lengths: Lengths,
    /// The most captured bytes of a packet.
    max_len: u32,
    rate: TickRate,
    ticks_per_second: u64,
    link_type: LinkType,
}

/// The order of the two lengths of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    /// Captured, then original.
    CapturedFirst,
    /// Original, then captured: before version 2.3.
    OriginalFirst,
    /// Version 2.3 was written both ways; the smaller length is the captured one.
    SmallerCaptured,
}

impl Variant {
    /// Returns `None` if a file with these first bytes is not pcap.
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        let (order, word) = match magic {
            [0xa1, ..] | [0x1c, ..] => (ByteOrder::Big, u32::from_be_bytes(magic)),
            _ => (ByteOrder::Little, u32::from_le_bytes(magic)),
        };
        let (nanos, file_header, record_header) = match word {
            0xa1b2_c3d4 => (false, FILE_HEADER, RECORD_HEADER),
            0xa1b2_3c4d => (true, FILE_HEADER, RECORD_HEADER),
            // Kuznetsov's "modified" format: interface index, protocol, packet type and a byte of
            // padding follow.
            0xa1b2_cd34 => (false, FILE_HEADER, RECORD_HEADER + 8),
            // Ixia's hardware and software captures: the length of all records follows the file
            // header.
            0x1c00_01ac | 0x1c00_01ab => (false, FILE_HEADER + 4, RECORD_HEADER),
            _ => return None,
        };
        Some(Self {
            order,
            nanos,
            file_header,
            record_header,
        })
    }

    /// Bytes before the first record.
    pub(super) const fn file_header(self) -> usize {
        self.file_header
    }
}

impl Classic {
    /// Reads the file header. The error says what is wrong with it.
    pub(super) fn new(variant: Variant, header: &[u8]) -> Result<Self, String> {
        let order = variant.order;
        let half = |at| order.u16(header, at).ok_or(SHORT);
        let word = |at| order.u32(header, at).ok_or(SHORT);
        let version = (half(4)?, half(6)?);
        if version.0 < 2 {
            let (major, minor) = version;
            return Err(format!(
                "says pcap version {major}.{minor}; only 2.0 and later are supported"
            ));
        }
        // The upper bits describe the frame check sequence, not the link type.
        let link = u16::try_from(word(20)? & 0x03ff_ffff);
        let link = link.map_or(LinkType::UNKNOWN, link_type);
        let aix = aix_link_type(version, link);
        let nanos = variant.nanos || aix.is_some();
        let room = (MAX_RECORD - variant.record_header) as u32;
        Ok(Self {
            order,
            record_header: variant.record_header,
            lengths: Lengths::of(version),
            max_len: match word(16)? {
                0 => room,
                _ if LONG_PACKETS.contains(&link.0) => room,
                // Some writers exceed their own snap length.
                len => len.clamp(MAX_LEN, room),
            },
            rate: TickRate::new(if nanos { 9 } else { 6 }, 0),
            ticks_per_second: if nanos { 1_000_000_000 } else { 1_000_000 },
            link_type: aix.unwrap_or(link),
        })
    }

    /// The record at the start of these bytes.
    #[inline]
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Step::Short(self.record_header);
        };
        // A constant offset in an array of constant length: never `None`.
        let word = |at| self.order.u32(header, at).unwrap_or_default();
        let (first, second) = (word(8), word(12));
        let (len, wire_len) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::SmallerCaptured => (first.min(second), first.max(second)),
        };
        if len > self.max_len {
            return self.too_long(len);
        }
        let total = self.record_header + len as usize;
        if bytes.len() < total {
            return Step::Short(total);
        }
        // Broken writers store fractions of more than a second; the excess adds to the seconds.
        let ticks = u64::from(word(0)) * self.ticks_per_second + u64::from(word(4));
        let record = Place {
            time: self.rate.nanos(ticks),
            start: self.record_header as u32,
            len,
            wire_len: wire_len.max(len),
            interface: 0,
            options: 0,
            link_type: self.link_type,
            kind: Kind::Plain,
            said: Said::default(),
        };
        Step::Packet(record, total)
    }

    #[cold]
    fn too_long(&self, len: u32) -> Step {
        let max = self.max_len;
        Step::Corrupt(format!("announces {len} bytes; the maximum is {max}"))
    }
}

impl Lengths {
    /// By libpcap's rules.
    const fn of(version: (u16, u16)) -> Self {
        match version {
            // 543.0 is the tcpdump of DG/UX.
            (2, ..3) | (543, 0) => Self::OriginalFirst,
            (2, 3) => Self::SmallerCaptured,
            _ => Self::CapturedFirst,
        }
    }
}

/// The link type of a file that AIX wrote; `None` if another system did.
///
/// AIX writes version 2.2, interface types of the SNMP tables as link types, and nanoseconds.
/// Wireshark recognizes AIX files by those numbers too: as link types of such an old file they are
/// not used otherwise.
const fn aix_link_type(version: (u16, u16), link: LinkType) -> Option<LinkType> {
    match (version, link.0) {
        ((2, 2), 6) => Some(LinkType::ETHERNET),
        // Token Ring and FDDI.
        ((2, 2), 9) => Some(LinkType(6)),
        ((2, 2), 15) => Some(LinkType(10)),
        ((2, 2), 24) => Some(LinkType::NULL),
        _ => None,
    }
}

const SHORT: &str = "is too short";
