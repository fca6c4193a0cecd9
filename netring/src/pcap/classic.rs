//! pcap: a header, and records one behind the other.

use pcap_parser::nom::{Err, IResult, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, PcapHeader, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

use super::record::{MAX_RECORD, Record, Step};
use super::time::TickRate;
use crate::LinkType;

/// Bytes of the header of a file.
pub(super) const FILE_HEADER: usize = 24;

/// A record longer than its file's snap length is believed up to here (libpcap's `MAXIMUM_SNAPLEN`): some writers do not keep to it.
const TOLERATED: u32 = 256 * 1024;

type Parse = fn(&[u8]) -> IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

/// What the header of a file says about its records.
#[derive(Debug)]
pub(super) struct Classic {
    parse: Parse,
    /// Bytes of the header of a record.
    header: usize,
    /// No packet's bytes are more.
    max_len: u32,
    rate: TickRate,
    ticks_per_second: u64,
    link_type: LinkType,
}

impl Classic {
    /// Whether a file that begins like this is one.
    pub(super) fn recognizes(magic: [u8; 4]) -> bool {
        // Micro- and nanoseconds in both byte orders, and the modified format in the one that the library reads.
        const MAGICS: [[u8; 4]; 5] = [
            0xa1b2_c3d4_u32.to_le_bytes(),
            0xa1b2_c3d4_u32.to_be_bytes(),
            0xa1b2_3c4d_u32.to_le_bytes(),
            0xa1b2_3c4d_u32.to_be_bytes(),
            0xa1b2_cd34_u32.to_le_bytes(),
        ];
        MAGICS.contains(&magic)
    }

    /// Reads the header of a file; what is wrong with it otherwise.
    pub(super) fn new(bytes: &[u8; FILE_HEADER]) -> Result<Self, String> {
        let (_, header) = parse_pcap_header(bytes).map_err(|_| "cannot be read".to_owned())?;
        let (major, minor) = (header.version_major, header.version_minor);
        if major != 2 || minor < 4 {
            // Up to 2.3 the two lengths of a record stand in either order, depending on who wrote it.
            return Err(format!(
                "says pcap version {major}.{minor}; only 2.4 is read: convert it with `editcap`"
            ));
        }
        let parse = Self::parse_of(&header);
        let nanos = header.is_nanosecond_precision();
        let record_header = if header.is_modified_format() { 24 } else { 16 };
        let room = (MAX_RECORD - record_header) as u32;
        Ok(Self {
            parse,
            header: record_header,
            max_len: match header.snaplen {
                0 => room,
                len => len.clamp(TOLERATED, room),
            },
            rate: TickRate::new(if nanos { 9 } else { 6 }, 0),
            ticks_per_second: if nanos { 1_000_000_000 } else { 1_000_000 },
            link_type: link_type(header.network.0),
        })
    }

    fn parse_of(header: &PcapHeader) -> Parse {
        if header.is_modified_format() {
            parse_pcap_frame_modified
        } else if header.is_bigendian() {
            parse_pcap_frame_be
        } else {
            parse_pcap_frame
        }
    }

    /// The record at the start of these bytes.
    #[inline]
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let (rest, block) = match (self.parse)(bytes) {
            Ok(parsed) => parsed,
            Err(Err::Incomplete(Needed::Size(more))) => {
                let total = bytes.len().saturating_add(more.get());
                let len = total.saturating_sub(self.header);
                if len > self.max_len as usize {
                    return self.too_long(len);
                }
                return Step::Short(total);
            }
            Err(_) => return Step::Corrupt("cannot be read".into()),
        };
        if block.caplen > self.max_len {
            return self.too_long(block.caplen as usize);
        }
        let total = bytes.len() - rest.len();
        // A fraction of more than a second, as broken writers have it, moves the stamp on.
        let ticks = u64::from(block.ts_sec) * self.ticks_per_second + u64::from(block.ts_usec);
        let record = Record {
            time: self.rate.nanos(ticks),
            start: (total - block.data.len()) as u32,
            len: block.data.len() as u32,
            wire_len: block.origlen,
            interface: 0,
            link_type: self.link_type,
        };
        Step::Packet(record, total)
    }

    #[cold]
    fn too_long(&self, len: usize) -> Step {
        let max = self.max_len;
        Step::Corrupt(format!("announces {len} bytes; the most is {max}"))
    }
}

/// The link type of a file. The upper bits of its word tell about the frame check sequence, not about the type.
fn link_type(word: i32) -> LinkType {
    u16::try_from(word & 0x03ff_ffff).map_or(LinkType::UNKNOWN, LinkType)
}
