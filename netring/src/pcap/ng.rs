//! pcapng: sections of blocks.

mod ahead;

use self::ahead::Ahead;
use super::interface::Interface;
use super::order::ByteOrder;
use super::record::{MAX_RECORD, Record, Step};

/// The first bytes of a section, in either byte order.
pub(super) const SECTION: [u8; 4] = SECTION_HEADER.to_be_bytes();

/// Follows the length of a section header, in the byte order of the section.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

// Types of blocks.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// The packet block of the first drafts.
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Bytes of a block before its body: type and length.
const BEFORE_BODY: usize = 8;

/// Bytes of a block without a body.
const EMPTY: usize = 12;

/// A section with more interfaces is a fault: memory is bounded whatever the file says.
const MAX_INTERFACES: usize = 65_536;

/// Where a walk stands in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Ng {
    order: ByteOrder,
    /// Those of the current section.
    interfaces: Vec<Interface>,
    /// Interfaces in the sections before.
    before: u32,
    /// The time of the packet before, which a packet without one takes.
    time: Option<i64>,
    /// The search for a time, while there is neither one before nor, in the bytes so far, one behind.
    ahead: Option<Box<Ahead>>,
    ignored_options: u64,
}

/// A block that is whole.
struct Block<'a> {
    kind: u32,
    body: &'a [u8],
    /// Its bytes in the file.
    total: usize,
}

impl Ng {
    /// The block at the start of these bytes; `whole` if the file ends with them.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8], whole: bool) -> Step {
        let block = match self.block(bytes) {
            Ok(block) => block,
            Err(step) => return step,
        };
        let record = match block.kind {
            ENHANCED_PACKET => self.enhanced_packet(block.body),
            OBSOLETE_PACKET => self.obsolete_packet(block.body),
            SIMPLE_PACKET => {
                let time = match self.time {
                    Some(time) => time,
                    None => match self.time_ahead(bytes, whole) {
                        Ok(time) => time,
                        Err(needed) => return Step::Short(needed),
                    },
                };
                self.simple_packet(block.body, time)
            }
            _ => {
                let learned = self.describe(&block);
                return learned.map_or_else(Step::Corrupt, |()| Step::Skip(block.total));
            }
        };
        match record {
            Ok(record) => {
                self.time = Some(record.time);
                Step::Packet(record, block.total)
            }
            Err(why) => Step::Corrupt(why),
        }
    }

    /// Whether the block at the start of these bytes is one of a packet.
    pub(super) fn is_packet(&self, bytes: &[u8]) -> bool {
        matches!(
            self.order.u32(bytes, 0),
            Some(ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET)
        )
    }

    /// Options of interface descriptions that could not be used.
    pub(super) const fn ignored_options(&self) -> u64 {
        self.ignored_options
    }

    /// Finds the ends of the block at the start of these bytes.
    #[inline]
    fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<Block<'a>, Step> {
        if bytes.starts_with(&SECTION) {
            // A section states its own byte order, without which not even its length can be read.
            self.order = match bytes.get(8..12) {
                None => return Err(Step::Short(EMPTY)),
                Some(order) if order == BYTE_ORDER.to_le_bytes() => ByteOrder::Little,
                Some(order) if order == BYTE_ORDER.to_be_bytes() => ByteOrder::Big,
                Some(_) => return Err(Step::Corrupt("has no byte-order magic".into())),
            };
        }
        let (Some(kind), Some(announced)) = (self.order.u32(bytes, 0), self.order.u32(bytes, 4))
        else {
            return Err(Step::Short(EMPTY));
        };
        let announced = announced as usize;
        if !(EMPTY..=MAX_RECORD).contains(&announced) {
            return Err(out_of_range(announced));
        }
        // Some writers leave the padding of the body out of the length, though not out of the block.
        let total = announced.next_multiple_of(4);
        let Some(again) = self.order.u32(bytes, total - 4) else {
            return Err(Step::Short(total));
        };
        if announced != again as usize {
            return Err(two_lengths(announced, again));
        }
        Ok(Block {
            kind,
            body: &bytes[BEFORE_BODY..BEFORE_BODY + (announced - EMPTY)],
            total,
        })
    }

    /// Learns from a block without a packet.
    fn describe(&mut self, block: &Block<'_>) -> Result<(), String> {
        match block.kind {
            SECTION_HEADER => self.section(block.body),
            INTERFACE => self.interface(block.body),
            _ => Ok(()),
        }
    }

    fn section(&mut self, body: &[u8]) -> Result<(), String> {
        let major = self
            .order
            .u16(body, 4)
            .ok_or("is too short for a section")?;
        if major != 1 {
            return Err(format!(
                "is a section of pcapng version {major}; only 1 is read"
            ));
        }
        self.before = self.before.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), String> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(format!(
                "is one interface more than the {MAX_INTERFACES} that a section may have"
            ));
        }
        let interface = Interface::parse(self.order, body, &mut self.ignored_options);
        self.interfaces
            .push(interface.ok_or("is too short for an interface")?);
        Ok(())
    }

    fn enhanced_packet(&self, body: &[u8]) -> Result<Record, String> {
        let interface = self.order.u32(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface)
    }

    fn obsolete_packet(&self, body: &[u8]) -> Result<Record, String> {
        // The other half of the word counts drops, or is all ones.
        let interface = self.order.u16(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface.into())
    }

    /// A packet block, which from its second word on is the same in its old and its new form.
    fn stamped_packet(&self, body: &[u8], interface: u32) -> Result<Record, String> {
        const HEADER: usize = 20;
        let word = |at| self.order.u32(body, at).ok_or(SHORT);
        let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
        let (len, wire_len) = (word(12)?, word(16)?);
        let room = body.len() - HEADER;
        if len as usize > room {
            return Err(no_room(len, room));
        }
        let known = self.known(interface)?;
        Ok(Record {
            time: known.rate.nanos(ticks),
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len: wire_len.max(len),
            interface: self.number(interface),
            link_type: known.link_type,
        })
    }

    /// A packet without a time, of the first interface; how much of it was captured follows from the snap length there.
    fn simple_packet(&self, body: &[u8], time: i64) -> Result<Record, String> {
        const HEADER: usize = 4;
        let wire_len = self.order.u32(body, 0).ok_or(SHORT)?;
        let known = self.known(0)?;
        let len = match known.snap_len {
            0 => wire_len,
            snap_len => wire_len.min(snap_len),
        };
        let room = body.len() - HEADER;
        if len as usize > room {
            return Err(no_room(len, room));
        }
        Ok(Record {
            time,
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len,
            interface: self.number(0),
            link_type: known.link_type,
        })
    }

    /// The time of the first packet that has one, for those before it; otherwise how many bytes it takes to go on looking.
    #[cold]
    fn time_ahead(&mut self, bytes: &[u8], whole: bool) -> Result<i64, usize> {
        let ahead = self.ahead.take();
        let mut ahead = ahead.unwrap_or_else(|| Box::new(Ahead::of(self)));
        let time = ahead.time(bytes, whole);
        if time.is_err() {
            self.ahead = Some(ahead);
        }
        time
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
}

#[cold]
fn no_room(len: u32, room: usize) -> String {
    format!("announces a packet of {len} bytes, and has room for {room}")
}

#[cold]
fn out_of_range(announced: usize) -> Step {
    Step::Corrupt(if announced > MAX_RECORD {
        format!("announces {announced} bytes; the most is {MAX_RECORD}")
    } else {
        format!("announces {announced} bytes; an empty one has {EMPTY}")
    })
}

#[cold]
fn two_lengths(announced: usize, again: u32) -> Step {
    Step::Corrupt(if announced.is_multiple_of(4) {
        format!("has two lengths: {announced} bytes at its start, {again} at its end")
    } else {
        format!("has a length of {announced} bytes, which is not a multiple of 4, and no padding")
    })
}

const SHORT: &str = "is too short for a packet";
