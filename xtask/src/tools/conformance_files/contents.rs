//! The contents of a file, in a form that can be compared.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use netring::pcap::{CaptureFile, InterfaceStatistics, Section};
use netring::{Direction, Error, LinkType, PacketSource};

/// Blocks that are never copied, by the format.
const UNCOPIED: [u16; 2] = [19_372, 19_373];
/// The drop count, which the obsolete packet block has in its header.
const DROP_COUNT: u16 = 4;

pub(super) struct Contents {
    pub(super) packets: Vec<Packet>,
    /// The blocks that belong to no packet: their types, and their bodies in no order of bytes.
    pub(super) blocks: Vec<(u32, Vec<u8>)>,
    pub(super) sections: Vec<Section>,
    interfaces: BTreeMap<u32, Interface>,
    statistics: BTreeMap<u32, InterfaceStatistics>,
    /// How it ends.
    pub(super) end: Result<(), String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Packet {
    nanos: i64,
    data: Vec<u8>,
    wire_len: u32,
    link_type: LinkType,
    about: About,
}

/// The information that only pcapng has about a packet.
#[derive(Debug, Default, PartialEq)]
struct About {
    interface: u32,
    has_time: bool,
    direction: Option<Direction>,
    queue: Option<u32>,
    dropped: Option<u64>,
    options: Vec<(u16, Vec<u8>)>,
}

#[derive(Debug, PartialEq)]
struct Interface {
    link_type: LinkType,
    snap_len: u32,
    texts: [Option<String>; 5],
    speed: Option<u64>,
    comments: Vec<String>,
}

impl Contents {
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        Ok(Self::read(CaptureFile::open(path)?))
    }

    pub(super) fn read<R: Read>(file: CaptureFile<R>) -> Self {
        let mut file = file.lend_blocks();
        let mut contents = Self {
            packets: Vec::new(),
            blocks: Vec::new(),
            sections: Vec::new(),
            interfaces: BTreeMap::new(),
            statistics: BTreeMap::new(),
            end: Ok(()),
        };
        loop {
            let found = file.wait(None);
            contents.learn(&file);
            match found {
                Ok(netring::Readiness::Ready) => {}
                Ok(_) => break,
                Err(error) => {
                    contents.end = Err(error.to_string());
                    break;
                }
            }
            let batch = file.batch();
            contents
                .packets
                .extend(batch.records().map(|it| Packet::of(&it)));
            let blocks = batch.blocks();
            contents
                .blocks
                .extend(blocks.map(|it| (it.kind(), sorted(it.body()))));
        }
        let statistics = file.statistics();
        contents.statistics = statistics.map(|(number, it)| (number, *it)).collect();
        contents
    }

    fn learn<R: Read>(&mut self, file: &CaptureFile<R>) {
        if let Some(section) = file.section()
            && self.sections.last() != Some(section)
        {
            self.sections.push(section.clone());
        }
        for (number, it) in file.interfaces() {
            let texts = [
                it.name(),
                it.description(),
                it.filter(),
                it.os(),
                it.hardware(),
            ];
            let interface = Interface {
                link_type: it.link_type(),
                snap_len: it.snap_len(),
                texts: texts.map(|text| text.map(|text| text.into_owned())),
                speed: it.speed(),
                comments: it.comments().map(|text| text.into_owned()).collect(),
            };
            self.interfaces.insert(number, interface);
        }
    }

    /// The link type of a pcap file with these packets: Ethernet if there are none. `None` if they
    /// have several, or times before 1970 or after 2106, which pcap cannot express.
    pub(super) fn pcap_link_type(&self) -> Option<LinkType> {
        let first = self
            .packets
            .first()
            .map_or(LinkType::ETHERNET, |it| it.link_type);
        let fits = |it: &Packet| {
            let seconds = it.nanos.div_euclid(1_000_000_000);
            it.link_type == first && u32::try_from(seconds).is_ok()
        };
        self.packets.iter().all(fits).then_some(first)
    }

    /// How a copy differs.
    pub(super) fn difference(&self, copy: &Self, is_ng: bool, left_out: u64) -> Option<String> {
        let (packets, copied) = (self.packets.len(), copy.packets.len());
        if packets != copied {
            return Some(format!("{copied} packets instead of {packets}"));
        }
        let is_from_ng = !self.sections.is_empty();
        for (number, (this, that)) in self.packets.iter().zip(&copy.packets).enumerate() {
            let is_same = this.is_like(that) && (!is_ng || !is_from_ng || this.about == that.about);
            if !is_same {
                return Some(format!(
                    "packet {}: {that:?} instead of {this:?}",
                    number + 1
                ));
            }
        }
        if !is_ng || !is_from_ng {
            return None;
        }
        if self.sections != copy.sections {
            let (this, that) = (&self.sections, &copy.sections);
            return Some(format!("sections: {that:?} instead of {this:?}"));
        }
        if self.interfaces != copy.interfaces {
            let (this, that) = (&self.interfaces, &copy.interfaces);
            return Some(format!("interfaces: {that:?} instead of {this:?}"));
        }
        if self.statistics != copy.statistics {
            let (this, that) = (&self.statistics, &copy.statistics);
            return Some(format!("statistics: {that:?} instead of {this:?}"));
        }
        self.different_blocks(copy, left_out)
    }

    /// The blocks of the copy are those of the original without what was left out, in order.
    fn different_blocks(&self, copy: &Self, left_out: u64) -> Option<String> {
        if copy.blocks.len() as u64 + left_out != self.blocks.len() as u64 {
            let (this, that) = (self.blocks.len(), copy.blocks.len());
            return Some(format!(
                "{that} blocks instead of {this}, {left_out} left out"
            ));
        }
        let mut originals = self.blocks.iter();
        let missing = copy
            .blocks
            .iter()
            .find(|block| !originals.any(|it| it == *block))?;
        Some(format!("a block that the original has not: {missing:x?}"))
    }
}

impl Packet {
    fn of(record: &netring::pcap::Record<'_>) -> Self {
        let packet = record.packet();
        // The obsolete block has its drops in its header.
        let options = record
            .options()
            .filter(|(code, _)| !UNCOPIED.contains(code) && *code != DROP_COUNT);
        Self {
            nanos: packet.timestamp().as_nanos(),
            data: packet.data().to_vec(),
            wire_len: packet.wire_len(),
            link_type: packet.link_type(),
            about: About {
                interface: packet.interface(),
                has_time: record.has_time(),
                direction: packet.direction(),
                queue: packet.queue(),
                dropped: record.dropped(),
                options: options.map(|(code, value)| (code, sorted(value))).collect(),
            },
        }
    }

    pub(super) const fn has_time(&self) -> bool {
        self.about.has_time
    }

    /// Whether it is the same, except for what pcap cannot store.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.wire_len, it.link_type);
        // A time too far to be one saturates, and then has the resolution of its interface.
        let is_same_time = self.nanos == other.nanos || self.nanos == i64::MAX;
        is_same_time && key(self) == key(other) && self.data == other.data
    }
}

/// Bytes in an order that does not depend on that of a section.
fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}
