//! The state of a file apart from its reader.

use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;

use super::super::error::FileError;
use super::super::interface::InterfaceDescription;
use super::super::options::Iter;
use super::super::section::Section;
use super::super::statistics::InterfaceStatistics;
use super::buffer::Buffer;
use super::classic::{Classic, Variant};
use super::header::{read_header, read_magic, unrecognized};
use super::input::Input;
use super::ng::{Ng, SECTION};
use super::place::{BlockPlace, Place, Step};
use crate::{Matcher, Packet, Readiness};

/// The most packets in a batch.
const BATCH: usize = 1024;

/// The state of a file apart from its reader.
pub(super) struct Contents {
    pub(super) buffer: Buffer,
    format: Format,
    /// The packets of the next batch. The allocation is reused.
    records: Vec<Place>,
    /// How many of them were lent, by a loop that was left among them.
    lent: usize,
    /// Whether blocks without packets are lent too, and those of the next batch.
    pub(super) lends_blocks: bool,
    blocks: Vec<BlockPlace>,
    /// A section is about to begin, and what is read so far was lent or is the next batch.
    section: Boundary,
    pub(super) filter: Option<Matcher>,
    /// The packets that the filter rejected since the last batch, and in all.
    rejected: usize,
    pub(super) left_out: u64,
    pub(super) delivered: u64,
    pub(super) invalid: u64,
    /// Whether the reader reached its end.
    whole: bool,
    /// How the file ends, once that is known; reported after the packets before it were lent.
    end: Option<Result<(), FileError>>,
}

/// Where the reader is if blocks are lent: a section ends a batch even if it has no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    None,
    /// The next batch ends before a section.
    Due,
    /// That batch was lent.
    Lent,
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Ng(Ng),
}

impl Contents {
    /// Reads the beginning of a file, and finds out how it is compressed.
    pub(super) fn new<R: Read>(reader: R) -> Result<(Self, Input<R>), FileError> {
        let mut input = Input::Plain(reader);
        let mut buffer = Buffer::new();
        let mut magic = read_magic(&mut buffer, &mut input)?;
        let is_packed;
        (input, is_packed) = input.unpack(magic, buffer.unread());
        if is_packed {
            buffer.forget();
            magic = read_magic(&mut buffer, &mut input)?;
        }
        let contents = Self::beginning(magic, buffer, &mut input)?;
        Ok((contents, input))
    }

    /// Reads the header of a file, which shows its format.
    fn beginning<R: Read>(
        magic: [u8; 4],
        mut buffer: Buffer,
        input: &mut Input<R>,
    ) -> Result<Self, FileError> {
        let format = if magic == SECTION {
            Format::Ng(Ng::default())
        } else if let Some(variant) = Variant::of(magic) {
            let len = variant.file_header();
            read_header(&mut buffer, input, len)?;
            let classic = Classic::new(variant, buffer.unread()).map_err(|why| {
                let why = format!("its header {why}");
                FileError::Unrecognized { why }
            })?;
            buffer.consume(len);
            Format::Classic(classic)
        } else {
            return Err(unrecognized(magic));
        };
        let mut contents = Self {
            buffer,
            format,
            records: Vec::with_capacity(BATCH),
            lent: 0,
            lends_blocks: false,
            blocks: Vec::new(),
            section: Boundary::None,
            filter: None,
            rejected: 0,
            left_out: 0,
            delivered: 0,
            invalid: 0,
            whole: false,
            end: None,
        };
        contents.read_section(input);
        Ok(contents)
    }

    /// Reads the section that begins the file, as far as it is there. What is wrong with it is
    /// reported when packets are read.
    fn read_section<R: Read>(&mut self, input: &mut Input<R>) {
        while let Format::Ng(ng) = &mut self.format
            && self.end.is_none()
        {
            match ng.step(self.buffer.unread(), self.whole, false) {
                Step::Skip(len) => return self.buffer.consume(len),
                Step::Short(total) if !self.whole => {
                    if !self.refill(input, total) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// All bytes in memory, which the places of packets point into.
    #[inline]
    pub(super) fn memory(&self) -> &[u8] {
        self.buffer.memory()
    }

    /// What the current section says about itself; `None` in pcap.
    pub(super) const fn section(&self) -> Option<&Section> {
        match &self.format {
            Format::Classic(_) => None,
            Format::Ng(ng) => Some(ng.about()),
        }
    }

    /// The interface of this number, if it is in the current section.
    pub(super) fn interface(&self, number: u32) -> Option<InterfaceDescription> {
        match &self.format {
            Format::Classic(_) => None,
            Format::Ng(ng) => ng.interface(number),
        }
    }

    /// The interfaces of the current section from this one on, counted from 0, with their numbers.
    pub(super) fn interfaces_from(
        &self,
        first: usize,
    ) -> impl Iterator<Item = (u32, InterfaceDescription)> {
        let ng = match &self.format {
            Format::Classic(_) => None,
            Format::Ng(ng) => Some(ng),
        };
        ng.into_iter().flat_map(move |ng| {
            let numbers = ng.numbers().skip(first);
            numbers.filter_map(|number| Some((number, ng.interface(number)?)))
        })
    }

    /// The last statistics of interfaces, with their numbers.
    pub(super) fn statistics(&self) -> impl Iterator<Item = (u32, &InterfaceStatistics)> {
        let ng = match &self.format {
            Format::Classic(_) => None,
            Format::Ng(ng) => Some(ng),
        };
        let all = ng.into_iter().flat_map(|ng| ng.statistics());
        all.map(|(number, statistics)| (*number, statistics))
    }

    /// How many options were ignored.
    pub(super) const fn ignored_options(&self) -> u64 {
        match &self.format {
            Format::Classic(_) => 0,
            Format::Ng(ng) => ng.ignored_options(),
        }
    }

    /// The packets of the batch that are not lent yet.
    #[inline]
    pub(super) fn left(&self) -> &[Place] {
        self.records.get(self.lent..).unwrap_or_default()
    }

    /// How many packets of the batch were lent.
    pub(super) const fn lent(&self) -> usize {
        self.lent
    }

    /// The blocks without packets of the batch.
    pub(super) fn blocks(&self) -> &[BlockPlace] {
        &self.blocks
    }

    /// The number of sections so far; 0 in pcap.
    pub(super) const fn sections(&self) -> u64 {
        match &self.format {
            Format::Classic(_) => 0,
            Format::Ng(ng) => ng.sections(),
        }
    }

    pub(super) fn parse_statistics<'a>(
        &self,
        body: &'a [u8],
    ) -> Option<(u32, InterfaceStatistics, Iter<'a>)> {
        match &self.format {
            Format::Classic(_) => None,
            Format::Ng(ng) => ng.parse_statistics(body),
        }
    }

    /// Whether there is anything to lend.
    #[inline]
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.blocks.is_empty()
    }

    /// Moves on to the packets after the batch.
    #[inline]
    pub(super) fn next(&mut self) {
        self.records.clear();
        self.blocks.clear();
        if self.section == Boundary::Due {
            self.section = Boundary::Lent;
        }
        self.lent = 0;
        self.rejected = 0;
    }

    /// Calls `f` with the packets of the batch, and stays behind the one that it breaks at.
    pub(super) fn each<B>(
        &mut self,
        f: &mut impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        let memory = self.buffer.memory();
        let mut broke = None;
        // The place and the count are written before each call, so they are right even if it
        // panics.
        while let Some(record) = self.records.get(self.lent) {
            self.lent += 1;
            self.delivered += 1;
            if let Some(packet) = record.packet(memory)
                && let ControlFlow::Break(value) = f(packet)
            {
                broke = Some(value);
                break;
            }
        }
        if self.left().is_empty() {
            self.next();
        }
        broke
    }

    /// Reads until there is a packet to lend, or the file ends.
    pub(super) fn look<R: Read>(&mut self, reader: &mut Input<R>) -> Result<Readiness, FileError> {
        loop {
            // An empty batch after many rejected packets, so that no call takes for ever.
            if !self.is_empty() || self.rejected >= BATCH || self.section == Boundary::Due {
                return Ok(Readiness::Ready);
            }
            if let Some(end) = &self.end {
                return end.clone().map(|()| Readiness::Ended);
            }
            let Some(total) = self.scan() else { continue };
            if self.whole {
                self.close(total);
                continue;
            }
            if !self.refill(reader, total) {
                return Ok(Readiness::Empty);
            }
        }
    }

    /// Reads until `total` bytes are in memory or the reader ends; false if the reader would block.
    fn refill<R: Read>(&mut self, reader: &mut Input<R>, total: usize) -> bool {
        loop {
            match self.buffer.fill(reader) {
                Ok(0) => self.whole = true,
                Ok(_) if self.buffer.unread().len() < total => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    let offset = self.buffer.offset() + self.buffer.unread().len() as u64;
                    let error = reader.failed(error, offset);
                    // A packet that is announced before the damage is not contained.
                    let is_cut = matches!(error, FileError::Compressed { .. });
                    if is_cut && !self.buffer.unread().is_empty() {
                        self.what();
                    }
                    self.end = Some(Err(error));
                }
            }
            return true;
        }
    }

    /// Finds the packets that are in memory. If there is none, returns how many bytes the next one
    /// needs.
    fn scan(&mut self) -> Option<usize> {
        while self.records.len() + self.blocks.len() + self.rejected < BATCH {
            let unread = self.buffer.unread();
            let step = match &mut self.format {
                Format::Classic(classic) => classic.step(unread),
                Format::Ng(ng) => {
                    let is_open = self.lends_blocks && self.section == Boundary::None;
                    let has_more = !self.records.is_empty() || !self.blocks.is_empty();
                    ng.step(unread, self.whole, has_more || is_open)
                }
            };
            match step {
                Step::Packet(mut record, len) => {
                    record.start += self.buffer.position() as u32;
                    self.buffer.consume(len);
                    if self.keeps(&record) {
                        self.records.push(record);
                    } else {
                        self.rejected += 1;
                        self.left_out += 1;
                        if self.end.is_some() {
                            break;
                        }
                    }
                }
                Step::Skip(len) => {
                    self.section = Boundary::None;
                    self.buffer.consume(len);
                }
                Step::Block(mut place, len) => {
                    if self.lends_blocks {
                        place.start += self.buffer.position() as u32;
                        place.before = self.records.len() as u32;
                        self.blocks.push(place);
                    }
                    self.buffer.consume(len);
                }
                Step::Section => {
                    if self.lends_blocks {
                        self.section = Boundary::Due;
                    }
                    break;
                }
                Step::Short(total) => return self.is_empty().then_some(total),
                Step::Corrupt(why) => {
                    let what = self.what();
                    let offset = self.buffer.offset();
                    self.end = Some(Err(FileError::Corrupt { what, offset, why }));
                    break;
                }
            }
        }
        None
    }

    /// Whether the filter selects a packet. The file ends behind one that it says nothing about.
    fn keeps(&mut self, place: &Place) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        let Some(packet) = place.packet(self.buffer.memory()) else {
            return true;
        };
        filter.try_matches(&packet).unwrap_or_else(|error| {
            let why = error.to_string();
            self.end = Some(Err(FileError::Filter { why }));
            false
        })
    }

    /// Ends the file: the reader has no more bytes, and `total` were wanted.
    fn close(&mut self, total: usize) {
        let unread = self.buffer.unread().len();
        self.end = Some(if unread == 0 {
            Ok(())
        } else {
            Err(FileError::CutShort {
                what: self.what(),
                offset: self.buffer.offset(),
                missing: total.saturating_sub(unread) as u64,
            })
        });
    }

    /// Names what the unread bytes begin with, which is not whole. Counts it if it is a packet.
    fn what(&mut self) -> &'static str {
        let is_packet = match &self.format {
            Format::Classic(_) => true,
            Format::Ng(ng) => ng.is_packet(self.buffer.unread()),
        };
        self.invalid += u64::from(is_packet);
        if is_packet { "a packet" } else { "a block" }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("format", &self.format)
            .field("offset", &self.buffer.offset())
            .field("delivered", &self.delivered)
            .field("invalid", &self.invalid)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
