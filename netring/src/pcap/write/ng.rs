//! pcapng: one section, its interfaces, packets, and statistics at the end.

mod block;
mod copied;
mod packet;

use std::collections::HashMap;

pub(in crate::pcap) use self::block::whole_packets;
use self::block::{Block, close, pad};
use self::packet::{header, plain, push_words};

use super::extra::{Extra, check_len, refuse};
use crate::pcap::block::{
    BYTE_ORDER, COMMENT, EMPTY, EPB_DROP_COUNT, IF_TSOFFSET, IF_TSRESOL, INTERFACE, SECTION_HEADER,
    SIMPLE_PACKET, STATISTICS,
};
use crate::pcap::interface::InterfaceDescription;
use crate::pcap::options::{self, Of};
use crate::pcap::section::Section;
use crate::pcap::statistics::{InterfaceStatistics, STATISTICS_BLOCK, words};
use crate::{Error, LinkType, Packet, Timestamp};

/// The most bytes of a block that readers take.
const MAX_BLOCK: usize = 16 << 20;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A pcapng file: what was written of its interfaces.
#[derive(Clone, Debug)]
pub(in crate::pcap) struct Ng {
    section: Section,
    /// By their numbers in the file.
    interfaces: Vec<Written>,
    /// The numbers by index and link type.
    numbers: HashMap<(u32, LinkType), u32>,
    /// The interface of the packet before.
    last: Last,
    /// Drops that the next packet of an interface is written with, by index.
    dropped: Vec<(u32, u64)>,
}

/// An interface that is in the file.
#[derive(Clone, Debug)]
struct Written {
    index: u32,
    description: InterfaceDescription,
    statistics: Option<InterfaceStatistics>,
}

/// What a packet needs of its interface.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Its index and link type; `None` before the first packet.
    of: Option<(u32, LinkType)>,
    number: u32,
    /// Nanoseconds of a tick.
    tick: u64,
    /// Seconds from the epoch to tick 0.
    offset: i64,
}

impl Ng {
    pub(super) fn new(section: Option<Section>) -> Self {
        const US: &str = concat!("netring ", env!("CARGO_PKG_VERSION"));
        Self {
            section: section.unwrap_or_else(|| Section::new().with_application(US)),
            interfaces: Vec::new(),
            numbers: HashMap::new(),
            last: Last {
                of: None,
                number: 0,
                tick: 1,
                offset: 0,
            },
            dropped: Vec::new(),
        }
    }

    /// Adds an interface, which is not written yet. The error says why it cannot be added.
    pub(super) fn add(
        &mut self,
        index: u32,
        description: InterfaceDescription,
    ) -> Result<u32, String> {
        let link_type = description.link_type;
        if link_type == LinkType::UNKNOWN {
            return Err("a capture file needs a registered link type".into());
        }
        if self.knows(index, link_type) {
            return Err(format!(
                "interface {index} with {link_type:?} is in the file already"
            ));
        }
        let number = self.interfaces.len() as u32;
        self.numbers.insert((index, link_type), number);
        self.interfaces.push(Written {
            index,
            description,
            statistics: None,
        });
        Ok(number)
    }

    pub(super) fn knows(&self, index: u32, link_type: LinkType) -> bool {
        self.numbers.contains_key(&(index, link_type))
    }

    /// Appends the section and the interfaces so far.
    pub(super) fn begin(&self, to: &mut Vec<u8>) {
        let block = Block::begin(to, SECTION_HEADER);
        for word in [BYTE_ORDER, 1, u32::MAX, u32::MAX] {
            to.extend_from_slice(&word.to_le_bytes());
        }
        block.end(to, self.section.options.bytes());
        for number in 0..self.interfaces.len() {
            self.interface(to, number as u32);
        }
    }

    /// Appends the description of an interface.
    pub(super) fn interface(&self, to: &mut Vec<u8>, number: u32) {
        let description = &self.interfaces[number as usize].description;
        let block = Block::begin(to, INTERFACE);
        let link_type = u32::from(description.link_type.0);
        for word in [link_type, description.snap_len] {
            to.extend_from_slice(&word.to_le_bytes());
        }
        options::push(to, IF_TSRESOL, &[description.written_resolution()]);
        if description.offset != 0 {
            options::push(to, IF_TSOFFSET, &description.offset.to_le_bytes());
        }
        block.end(to, description.options.bytes());
    }

    /// Appends the statistics that were set.
    pub(super) fn end(&self, to: &mut Vec<u8>) {
        for (number, interface) in self.interfaces.iter().enumerate() {
            if let Some(statistics) = &interface.statistics {
                statistics_block(to, number as u32, interface, statistics, &[]);
            }
        }
    }

    #[cfg(feature = "rotation")]
    #[inline]
    pub(super) fn end_len(&self) -> usize {
        (self.interfaces.len() + 1) * STATISTICS_BLOCK
    }

    /// Appends a packet, behind its interface if that is new.
    #[inline]
    pub(super) fn packet(
        &mut self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        extra: Extra<'_>,
    ) -> Result<(), Error> {
        if self.last.of != Some((packet.interface(), packet.link_type())) {
            self.switch(to, packet, extra)?;
        }
        let bytes = packet.wire_bytes();
        check_len(bytes.len(), packet.link_type())?;
        let Some(ticks) = self.last.ticks(packet.timestamp()) else {
            return out_of_range(packet.timestamp());
        };
        if matches!(extra, Extra::None) && self.dropped.is_empty() && packet.queue().is_none() {
            plain(to, packet, &bytes, self.last.number, ticks);
            return Ok(());
        }
        self.packet_with(to, packet, ticks, extra)
    }

    /// Appends a packet with what is more than usual.
    fn packet_with(
        &mut self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        ticks: u64,
        extra: Extra<'_>,
    ) -> Result<(), Error> {
        let start = to.len();
        if let Extra::Record(record) = extra
            && !record.has_time()
            && self.is_simple(packet)
        {
            for word in [SIMPLE_PACKET, 0, packet.wire_len()] {
                to.extend_from_slice(&word.to_le_bytes());
            }
            to.extend_from_slice(packet.data());
            pad(to, start);
            close(to, start);
            return Ok(());
        }
        let bytes = packet.wire_bytes();
        to.extend_from_slice(&header(packet, self.last.number, ticks, bytes.len(), 0));
        for piece in bytes.pieces() {
            to.extend_from_slice(piece);
        }
        pad(to, start);
        self.options(to, packet, extra, start)?;
        close(to, start);
        Ok(())
    }

    /// Whether a block without an interface and a captured length says enough of a packet.
    fn is_simple(&self, packet: &Packet<'_>) -> bool {
        let snap_len = self.interfaces[self.last.number as usize]
            .description
            .snap_len;
        let len = match snap_len {
            0 => packet.wire_len(),
            snap_len => packet.wire_len().min(snap_len),
        };
        self.last.number == 0 && packet.data().len() == len as usize
    }

    /// Appends the options of a packet.
    fn options(
        &mut self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        extra: Extra<'_>,
        start: usize,
    ) -> Result<(), Error> {
        let before = to.len();
        if let Extra::Record(record) = extra {
            let found = record.raw_options();
            let order = found.order();
            let mut has_drops = false;
            for (code, value) in found {
                options::push_read(to, order, Of::Packet, code, value);
                has_drops |= code == EPB_DROP_COUNT;
            }
            // The obsolete block has a count of drops in its header instead.
            if let Some(dropped) = record.dropped().filter(|_| !has_drops) {
                options::push(to, EPB_DROP_COUNT, &dropped.to_le_bytes());
            }
        } else {
            if let Extra::Comment(text) = extra {
                if text.len() > usize::from(u16::MAX) {
                    to.truncate(start);
                    let why = format!("the comment has {} bytes; the maximum is 65535", text.len());
                    return refuse("write_commented", why);
                }
                options::push(to, COMMENT, text.as_bytes());
            }
            let index = packet.interface();
            if let Some(place) = self.dropped.iter().position(|(other, _)| *other == index) {
                let (_, packets) = self.dropped.swap_remove(place);
                options::push(to, EPB_DROP_COUNT, &packets.to_le_bytes());
            }
            push_words(to, packet);
        }
        if to.len() - start > MAX_BLOCK - EMPTY {
            to.truncate(start);
            return refuse("write", "its options make it longer than 16 MiB".into());
        }
        if to.len() > before {
            to.extend_from_slice(&[0; 4]);
        }
        Ok(())
    }

    /// Finds the interface of a packet, or adds it, and makes it the last one.
    #[cold]
    fn switch(
        &mut self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        extra: Extra<'_>,
    ) -> Result<(), Error> {
        let (index, link_type) = (packet.interface(), packet.link_type());
        let number = match self.numbers.get(&(index, link_type)) {
            Some(number) => *number,
            None => {
                let read = match extra {
                    Extra::Record(record) => record.interface(),
                    _ => None,
                };
                let description = read.unwrap_or_else(|| self.like(index, link_type));
                let added = self.add(index, description);
                let number = added.or_else(|why| refuse("write", why))?;
                self.interface(to, number);
                number
            }
        };
        let description = &self.interfaces[number as usize].description;
        self.last = Last {
            of: Some((index, link_type)),
            number,
            tick: description.tick(),
            offset: description.offset,
        };
        Ok(())
    }

    /// A description for an interface of this index that was described with another link type, or
    /// not at all.
    fn like(&self, index: u32, link_type: LinkType) -> InterfaceDescription {
        let other = self.interfaces.iter().find(|other| other.index == index);
        let description = other.map(|other| InterfaceDescription {
            link_type,
            ..other.description.clone()
        });
        description.unwrap_or_else(|| InterfaceDescription::new(link_type))
    }

    pub(super) fn note_dropped(&mut self, index: u32, packets: u64) {
        if packets == 0 {
            return;
        }
        match self.dropped.iter_mut().find(|(other, _)| *other == index) {
            Some((_, sum)) => *sum = sum.saturating_add(packets),
            None => self.dropped.push((index, packets)),
        }
    }

    pub(super) fn set_statistics(
        &mut self,
        index: u32,
        statistics: InterfaceStatistics,
    ) -> Result<(), String> {
        let number = self.number(index)?;
        self.interfaces[number].statistics = Some(statistics);
        Ok(())
    }

    pub(super) fn write_statistics(
        &self,
        to: &mut Vec<u8>,
        index: u32,
        statistics: &InterfaceStatistics,
    ) -> Result<(), String> {
        let number = self.number(index)?;
        statistics_block(to, number as u32, &self.interfaces[number], statistics, &[]);
        Ok(())
    }

    /// The number of the first interface of this index.
    fn number(&self, index: u32) -> Result<usize, String> {
        let number = self.interfaces.iter().position(|it| it.index == index);
        number.ok_or_else(|| format!("interface {index} is not in the file; describe it first"))
    }
}

impl Last {
    /// The ticks of a time; `None` if there are none.
    #[inline]
    fn ticks(&self, time: Timestamp) -> Option<u64> {
        let nanos = time.as_nanos();
        if self.offset == 0 && self.tick == 1 {
            return u64::try_from(nanos).ok();
        }
        ticks(time, self.tick, self.offset)
    }
}

/// The ticks of a time, rounded down; `None` if they do not fit.
fn ticks(time: Timestamp, tick: u64, offset: i64) -> Option<u64> {
    let since = i128::from(time.as_nanos()) - i128::from(offset) * NANOS_PER_SECOND;
    u64::try_from(since.div_euclid(i128::from(tick))).ok()
}

fn statistics_block(
    to: &mut Vec<u8>,
    number: u32,
    interface: &Written,
    statistics: &InterfaceStatistics,
    more: &[u8],
) {
    let description = &interface.description;
    let ticks = |time| ticks(time, description.tick(), description.offset);
    let block = Block::begin(to, STATISTICS);
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&words(ticks(statistics.time).unwrap_or(0)));
    let mut options = Vec::with_capacity(STATISTICS_BLOCK);
    statistics.encode(&mut options, ticks);
    options.extend_from_slice(more);
    block.end(to, &options);
}

#[cold]
fn out_of_range(time: Timestamp) -> Result<(), Error> {
    let why = format!("{time} s; the interface has times from 1970, or from its offset");
    refuse("write", why)
}
