//! pcapng: sections of blocks.

mod ahead;

use std::collections::BTreeMap;

use self::ahead::Ahead;
use super::super::block::{
    BEFORE_BODY, BYTE_ORDER, EMPTY, ENHANCED_PACKET, INTERFACE, OBSOLETE_PACKET, SECTION_HEADER,
    SIMPLE_PACKET, STATISTICS,
};
use super::super::interface::InterfaceDescription;
use super::super::options::{Iter, Of};
use super::super::order::ByteOrder;
use super::super::section::Section;
use super::super::statistics::InterfaceStatistics;
use super::interface::Known;
use super::place::{BlockPlace, Kind, MAX_RECORD, Place, Said, Step, is_lent};

/// The first bytes of a section, in either byte order.
pub(super) const SECTION: [u8; 4] = SECTION_HEADER.to_be_bytes();

/// The most interfaces of a section. More count as damage, so that memory stays bounded whatever
/// the file says.
const MAX_INTERFACES: usize = 65_536;

/// The most bytes of options that are kept of a section and its interfaces.
const MAX_OPTIONS: usize = 1024 * 1024;

/// The state of reading a pcapng file.
#[derive(Clone, Debug, Default)]
pub(super) struct Ng {
    order: ByteOrder,
    /// What the current section says about itself.
    about: Section,
    /// The interfaces of the current section.
    interfaces: Vec<Known>,
    /// The last statistics of interfaces, by their numbers.
    statistics: BTreeMap<u32, InterfaceStatistics>,
    /// Bytes that are left for the options of the section.
    room: usize,
    /// The number of interfaces in earlier sections.
    before: u32,
    /// The time of the previous packet, which a packet without a time takes.
    time: Option<i64>,
    /// The search for a time, while neither an earlier packet nor the bytes read so far have one.
    ahead: Option<Box<Ahead>>,
    ignored_options: u64,
    /// The number of sections so far.
    sections: u64,
}

/// A complete block.
struct Block<'a> {
    kind: u32,
    body: &'a [u8],
    /// The bytes that it takes up in the file.
    total: usize,
}

impl Ng {
    /// Reads the block at the start of these bytes; `whole` if the file ends with them. A new
    /// section is not begun while there are packets of the one before to be lent (`has_packets`).
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8], whole: bool, has_packets: bool) -> Step {
        if has_packets && bytes.starts_with(&SECTION) {
            return Step::Section;
        }
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
                return match self.describe(&block) {
                    Ok(()) => self.passed(&block),
                    Err(why) => Step::Corrupt(why),
                };
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

    /// Whether the block at the start of these bytes contains a packet.
    pub(super) fn is_packet(&self, bytes: &[u8]) -> bool {
        matches!(
            self.order.u32(bytes, 0),
            Some(ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET)
        )
    }

    /// The number of options of interface descriptions that could not be used.
    pub(super) const fn ignored_options(&self) -> u64 {
        self.ignored_options
    }

    /// The number of sections so far.
    pub(super) const fn sections(&self) -> u64 {
        self.sections
    }

    /// What the current section says about itself.
    pub(super) const fn about(&self) -> &Section {
        &self.about
    }

    /// The interface of this number, if it is in the current section.
    pub(super) fn interface(&self, number: u32) -> Option<InterfaceDescription> {
        let place = number.checked_sub(self.before)?.checked_sub(1)?;
        Some(self.interfaces.get(place as usize)?.description())
    }

    /// The numbers of the interfaces of the current section.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.number(0)..self.number(self.interfaces.len() as u32)
    }

    /// The last statistics of interfaces, by their numbers.
    pub(super) const fn statistics(&self) -> &BTreeMap<u32, InterfaceStatistics> {
        &self.statistics
    }

    /// Finds the ends of the block at the start of these bytes.
    #[inline]
    fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<Block<'a>, Step> {
        if bytes.starts_with(&SECTION) {
            // A section states its own byte order, which is needed even to read its length.
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
        // Some writers omit the padding of the body from the length, but not from the block.
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

    /// What a block without a packet is to the reader of the packets.
    fn passed(&self, block: &Block<'_>) -> Step {
        if !is_lent(block.kind) {
            return Step::Skip(block.total);
        }
        let place = BlockPlace {
            kind: block.kind,
            order: self.order,
            before: 0,
            start: BEFORE_BODY as u32,
            len: block.body.len() as u32,
        };
        Step::Block(place, block.total)
    }

    /// Takes in a block without a packet.
    fn describe(&mut self, block: &Block<'_>) -> Result<(), String> {
        match block.kind {
            SECTION_HEADER => self.section(block.body),
            INTERFACE => self.learn(block.body),
            STATISTICS => {
                self.learn_statistics(block.body);
                Ok(())
            }
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
                "is a section of pcapng version {major}; only version 1 is supported"
            ));
        }
        self.before = self.before.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        self.sections += 1;
        self.room = MAX_OPTIONS;
        self.about = Section::new();
        for option in Iter::new(self.order, body.get(16..).unwrap_or_default()) {
            let options = &mut self.about.options;
            let kept = options.keep(self.order, Of::Section, option, &mut self.room);
            self.ignored_options += u64::from(!kept);
        }
        Ok(())
    }

    fn learn(&mut self, body: &[u8]) -> Result<(), String> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(format!(
                "describes an interface too many; a section may have {MAX_INTERFACES}"
            ));
        }
        let interface = Known::parse(self.order, body, &mut self.ignored_options, &mut self.room);
        self.interfaces
            .push(interface.ok_or("is too short for an interface")?);
        Ok(())
    }

    /// Takes in statistics; those that make no sense are ignored.
    fn learn_statistics(&mut self, body: &[u8]) {
        let Some((number, read, _)) = self.parse_statistics(body) else {
            self.ignored_options += 1;
            return;
        };
        if self.statistics.len() == MAX_INTERFACES {
            self.statistics.pop_first();
        }
        self.statistics.insert(number, read);
    }

    /// The number of an interface, its statistics, and all their options; `None` if they make no
    /// sense.
    pub(super) fn parse_statistics<'a>(
        &self,
        body: &'a [u8],
    ) -> Option<(u32, InterfaceStatistics, Iter<'a>)> {
        const HEADER: usize = 12;
        let word = |at| self.order.u32(body, at);
        let (interface, high, low) = (word(0)?, word(4)?, word(8)?);
        let rate = self.known(interface).ok()?.rate;
        let time = rate.nanos(u64::from(high) << 32 | u64::from(low));
        let options = Iter::new(self.order, &body[HEADER..]);
        let read = InterfaceStatistics::parse(time, options.clone(), |ticks| rate.nanos(ticks));
        Some((self.number(interface), read, options))
    }

    fn enhanced_packet(&self, body: &[u8]) -> Result<Place, String> {
        let interface = self.order.u32(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface, Kind::Enhanced(self.order))
    }

    fn obsolete_packet(&self, body: &[u8]) -> Result<Place, String> {
        // The other half of the word counts dropped packets, or is all ones.
        let interface = self.order.u16(body, 0).ok_or(SHORT)?;
        self.stamped_packet(body, interface.into(), Kind::Obsolete(self.order))
    }

    /// Reads a packet block. Its obsolete and enhanced forms are the same from the second word on.
    fn stamped_packet(&self, body: &[u8], interface: u32, kind: Kind) -> Result<Place, String> {
        const HEADER: usize = 20;
        let word = |at| self.order.u32(body, at).ok_or(SHORT);
        let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
        let (len, wire_len) = (word(12)?, word(16)?);
        let room = body.len() - HEADER;
        if len as usize > room {
            return Err(no_room(len, room));
        }
        let known = self.known(interface)?;
        let options = body.get(HEADER + (len as usize).next_multiple_of(4)..);
        let options = options.unwrap_or_default();
        let said = match options.is_empty() {
            true => Said::default(),
            false => Said::of(kind, Iter::new(self.order, options)),
        };
        Ok(Place {
            time: known.rate.nanos(ticks),
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len: wire_len.max(len),
            interface: self.number(interface),
            options: options.len() as u32,
            link_type: known.link_type,
            kind,
            said,
        })
    }

    /// Reads a packet without a time, of the first interface. Its captured length follows from the
    /// snap length of that interface.
    fn simple_packet(&self, body: &[u8], time: i64) -> Result<Place, String> {
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
        Ok(Place {
            time,
            start: (BEFORE_BODY + HEADER) as u32,
            len,
            wire_len,
            interface: self.number(0),
            options: 0,
            link_type: known.link_type,
            kind: Kind::Simple,
            said: Said::default(),
        })
    }

    /// Finds the time of the first packet that has one, for those before it. The error is the
    /// number of bytes needed to continue the search.
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

    fn known(&self, interface: u32) -> Result<&Known, String> {
        let known = self.interfaces.get(interface as usize);
        known.ok_or_else(|| {
            let count = self.interfaces.len();
            format!("refers to interface {interface}, but the section describes only {count}")
        })
    }

    const fn number(&self, interface: u32) -> u32 {
        self.before.saturating_add(interface).saturating_add(1)
    }
}

#[cold]
fn no_room(len: u32, room: usize) -> String {
    format!("announces a packet of {len} bytes, but has room for only {room}")
}

#[cold]
fn out_of_range(announced: usize) -> Step {
    Step::Corrupt(if announced > MAX_RECORD {
        format!("announces {announced} bytes; the maximum is {MAX_RECORD}")
    } else {
        format!("announces {announced} bytes; an empty block has {EMPTY}")
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
