//! pcapng: sections of blocks.

use pcap_parser::nom::Err;
use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, InterfaceDescriptionBlock, OptionCode, SHB_MAGIC, SPB_MAGIC,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_unknownblock_be,
    parse_unknownblock_le,
};

use super::record::{MAX_RECORD, Record, Step};
use super::time::TickRate;
use crate::LinkType;

/// The first bytes of a section, in either byte order.
pub(super) const SECTION: [u8; 4] = SHB_MAGIC.to_be_bytes();

/// The packet block of the first drafts.
const OBSOLETE_PACKET: u32 = 2;

/// Bytes of a block before its body: type and length.
const BEFORE_BODY: usize = 8;

/// Bytes of a block without a body.
const EMPTY: usize = 12;

/// A section with more interfaces is a fault: memory is bounded whatever the file says.
const MAX_INTERFACES: usize = 65_536;

/// Where a walk stands in a file.
#[derive(Debug, Default)]
pub(super) struct Ng {
    big_endian: bool,
    /// Those of the current section.
    interfaces: Vec<Interface>,
    /// Interfaces in the sections before.
    before: u32,
}

#[derive(Debug)]
struct Interface {
    link_type: LinkType,
    snap_len: u32,
    rate: TickRate,
}

impl Ng {
    /// The block at the start of these bytes.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if bytes.starts_with(&SECTION) {
            // A section tells its own byte order, without which not even its length can be read.
            match bytes.get(8..12) {
                None => return Step::Short(12),
                Some(order) if order == BOM_MAGIC.to_le_bytes() => self.big_endian = false,
                Some(order) if order == BOM_MAGIC.to_be_bytes() => self.big_endian = true,
                Some(_) => return Step::Corrupt("has no byte-order magic".into()),
            }
        }
        let Some(announced) = self.u32(bytes, 4).map(|len| len as usize) else {
            return Step::Short(EMPTY);
        };
        if announced > MAX_RECORD {
            return Step::Corrupt(format!(
                "announces {announced} bytes; the most is {MAX_RECORD}"
            ));
        }
        let parse = if self.big_endian {
            parse_unknownblock_be
        } else {
            parse_unknownblock_le
        };
        let (rest, block) = match parse(bytes) {
            Ok(parsed) => parsed,
            Err(Err::Incomplete(_)) => return Step::Short(announced.max(EMPTY)),
            Err(_) => {
                return Step::Corrupt(format!(
                    "announces {announced} bytes; an empty one has {EMPTY}"
                ));
            }
        };
        let again = block.block_len2 as usize;
        if announced != again {
            return Step::Corrupt(format!(
                "has two lengths: {announced} bytes at its start, {again} at its end"
            ));
        }
        if announced % 4 != 0 {
            return Step::Corrupt(format!(
                "has a length of {announced} bytes, which is not a multiple of 4"
            ));
        }
        let total = bytes.len() - rest.len();
        let kind = self.u32(bytes, 0);
        let parsed = match kind {
            Some(EPB_MAGIC) => self.enhanced_packet(block.data).map(Some),
            Some(SPB_MAGIC) => self.simple_packet(block.data).map(Some),
            Some(OBSOLETE_PACKET) => self.obsolete_packet(block.data).map(Some),
            Some(IDB_MAGIC) => self.interface(&bytes[..total]).map(|()| None),
            Some(SHB_MAGIC) => self.section(block.data).map(|()| None),
            _ => Ok(None),
        };
        match parsed {
            Ok(Some(record)) => Step::Packet(record, total),
            Ok(None) => Step::Skip(total),
            Err(why) => Step::Corrupt(why),
        }
    }

    /// Whether the block at the start of these bytes is one of a packet.
    pub(super) fn is_packet(&self, bytes: &[u8]) -> bool {
        matches!(
            self.u32(bytes, 0),
            Some(EPB_MAGIC | SPB_MAGIC | OBSOLETE_PACKET)
        )
    }

    fn section(&mut self, body: &[u8]) -> Result<(), String> {
        let major = self.u16(body, 4).ok_or("is too short for a section")?;
        if major != 1 {
            return Err(format!(
                "is a section of pcapng version {major}; only 1 is read"
            ));
        }
        self.before = self.before.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, block: &[u8]) -> Result<(), String> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(format!(
                "is one interface more than the {MAX_INTERFACES} that a section may have"
            ));
        }
        let parse = if self.big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        let (_, block) = parse(block).map_err(|_| "is too short for an interface")?;
        self.interfaces.push(Interface {
            link_type: u16::try_from(block.linktype.0).map_or(LinkType::UNKNOWN, LinkType),
            snap_len: block.snaplen,
            rate: self.rate(&block)?,
        });
        Ok(())
    }

    /// The clock of an interface. The library's own reading of these options knows no powers of two, and no other byte order.
    fn rate(&self, block: &InterfaceDescriptionBlock<'_>) -> Result<TickRate, String> {
        let (mut resolution, mut offset) = (6, 0);
        let options = block.options.iter();
        for option in options.take_while(|option| option.code != OptionCode::EndOfOpt) {
            let value = option.as_bytes().unwrap_or_default();
            match option.code {
                OptionCode::IfTsresol => {
                    let [byte] = *value else {
                        return Err(format!("has an if_tsresol of {} bytes", value.len()));
                    };
                    resolution = byte;
                }
                OptionCode::IfTsoffset => {
                    let bytes = value
                        .try_into()
                        .map_err(|_| format!("has an if_tsoffset of {} bytes", value.len()))?;
                    offset = if self.big_endian {
                        i64::from_be_bytes(bytes)
                    } else {
                        i64::from_le_bytes(bytes)
                    };
                }
                _ => {}
            }
        }
        Ok(TickRate::new(resolution, offset))
    }

    fn enhanced_packet(&self, body: &[u8]) -> Result<Record, String> {
        let interface = self.u32(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface)
    }

    fn obsolete_packet(&self, body: &[u8]) -> Result<Record, String> {
        // The other half of the word counts drops, or is all ones.
        let interface = self.u16(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface.into())
    }

    /// A packet block, which from its second word on is the same in its old and its new form.
    fn stamped_packet(&self, body: &[u8], interface: u32) -> Result<Record, String> {
        const HEADER: usize = 20;
        let word = |at| self.u32(body, at).ok_or(SHORT);
        let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
        let (len, wire_len) = (word(12)?, word(16)?);
        let room = body.len() - HEADER;
        if len as usize > room {
            return Err(format!(
                "announces a packet of {len} bytes, and has room for {room}"
            ));
        }
        let known = self.known(interface)?;
        Ok(Record {
            time: known.rate.nanos(ticks),
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len,
            interface: self.number(interface),
            link_type: known.link_type,
        })
    }

    /// A packet without a stamp, of the first interface; how much of it was captured follows from the snap length there.
    fn simple_packet(&self, body: &[u8]) -> Result<Record, String> {
        const HEADER: usize = 4;
        let wire_len = self.u32(body, 0).ok_or(SHORT)?;
        let known = self.known(0)?;
        let len = match known.snap_len {
            0 => wire_len,
            snap_len => wire_len.min(snap_len),
        };
        let room = body.len() - HEADER;
        if len as usize > room {
            return Err(format!(
                "announces a packet of {len} bytes, and has room for {room}"
            ));
        }
        Ok(Record {
            time: 0,
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len,
            interface: self.number(0),
            link_type: known.link_type,
        })
    }

    fn known(&self, interface: u32) -> Result<&Interface, String> {
        let known = self.interfaces.get(interface as usize);
        known.ok_or_else(|| {
            let count = self.interfaces.len();
            format!("is of interface {interface}, and the section has described {count}")
        })
    }

    const fn number(&self, interface: u32) -> u32 {
        self.before.saturating_add(interface).saturating_add(1)
    }

    #[inline]
    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    #[inline]
    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }
}

const SHORT: &str = "is too short for a packet";
