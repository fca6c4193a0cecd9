//! A capture file, and the batches that it lends.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::buffer::Buffer;
use super::classic::{Classic, Variant};
use super::error::FileError;
use super::header::{read_header, unrecognized};
use super::ng::{Ng, SECTION};
use super::record::{Record, Step};
use crate::{Count, Error, Filter, Matcher, Packet, PacketBatch, PacketSource, Readiness, Stats};

/// The most packets in a batch.
const BATCH: usize = 1024;

/// Reads the packets of a pcap or pcapng file, or of any other reader of such bytes.
///
/// Packets are lent from the read buffer, without a copy or an allocation per packet. Their
/// timestamps have [`Clock::Unknown`](crate::Clock::Unknown), because a file does not name its
/// clock. Their `interface` is the number of the interface in the file, starting at 1 and counted
/// through all its sections; 0 in pcap, which has no interfaces.
///
/// With a reader that blocks, [`ready`](PacketSource::ready) never returns
/// [`Empty`](Readiness::Empty): it reads until it has a packet or reaches the end of the file,
/// which is [`Ended`](Readiness::Ended). If the reader returns
/// [`WouldBlock`](io::ErrorKind::WouldBlock), `ready` returns `Empty`.
pub struct CaptureFile<R = File> {
    reader: R,
    /// The name that errors use for it.
    name: String,
    contents: Contents,
}

/// Up to 1024 packets of a file, without those that its filter rejects: it may have none.
///
/// Dropping it moves on to the packets after them. A batch that is leaked is lent again.
#[derive(Debug)]
pub struct Batch<'a> {
    contents: &'a mut Contents,
}

/// The state of a file apart from its reader.
struct Contents {
    buffer: Buffer,
    format: Format,
    /// The packets of the next batch. The allocation is reused.
    records: Vec<Record>,
    /// How many of them were lent, by a loop that was left among them.
    lent: usize,
    filter: Option<Matcher>,
    /// The packets that the filter rejected since the last batch, and in all.
    rejected: usize,
    left_out: u64,
    delivered: u64,
    invalid: u64,
    /// Whether the reader reached its end.
    whole: bool,
    /// How the file ends, once that is known; reported after the packets before it were lent.
    end: Option<Result<(), FileError>>,
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Ng(Ng),
}

impl CaptureFile {
    /// Opens a file.
    ///
    /// # Errors
    /// Returns [`Error::Source`] with a [`FileError`] if the file cannot be opened or
    /// does not begin like a capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::named(file, name),
            Err(error) => Err(FileError::Open(Arc::new(error)).of(&name)),
        }
    }
}

impl<R: Read> CaptureFile<R> {
    /// Reads a file from any reader, which needs no buffer of its own. The first bytes are read at
    /// once.
    ///
    /// ```
    /// use netring::{PacketSource, pcap::CaptureFile};
    ///
    /// // A pcap file of Ethernet without packets.
    /// let bytes = [
    ///     0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
    /// ];
    /// let mut file = CaptureFile::new(&bytes[..])?;
    /// assert!(file.next_batch()?.is_none());
    /// # Ok::<(), netring::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Source`] with a [`FileError`] if reading failed or the bytes
    /// do not begin like a capture file.
    pub fn new(reader: R) -> Result<Self, Error> {
        Self::named(reader, "the capture file".into())
    }

    fn named(mut reader: R, name: String) -> Result<Self, Error> {
        match Contents::new(&mut reader) {
            Ok(contents) => Ok(Self {
                reader,
                name,
                contents,
            }),
            Err(error) => Err(error.of(&name)),
        }
    }

    /// Lends only the packets that a [`Filter`] selects. The others are counted in
    /// [`Stats::left_out`].
    ///
    /// It means the same as [`Filtered`](crate::adapters::Filtered) around the file, and
    /// [`try_for_each`](Self::try_for_each) goes by it too. A packet for which the expression has
    /// no meaning, because of its link type, ends the file with an error, after the packets before
    /// it.
    ///
    /// ```no_run
    /// use netring::pcap::CaptureFile;
    /// use netring::{Filter, PacketSource};
    ///
    /// let filter: Filter = "tcp port 443".parse()?;
    /// let mut file = CaptureFile::open("trace.pcapng")?.filter(filter)?;
    /// file.for_each(|packet| println!("{}", packet.timestamp()))?;
    /// # Ok::<(), netring::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Matcher::new`].
    pub fn filter(mut self, filter: impl Into<Filter>) -> Result<Self, Error> {
        self.contents.filter = Some(Matcher::new(filter)?);
        Ok(self)
    }

    /// The reader. Its position may be past the packets that were lent.
    pub const fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// How many options of interface descriptions were ignored so far because they make no sense;
    /// 0 in pcap, which has no options.
    ///
    /// These are an `if_tsresol` that is not 1 byte long, an `if_tsoffset` that is not 8 bytes
    /// long, a repetition of either, an option that runs past the end of its block, and an end of
    /// options with a length. The packets are read nevertheless. If a resolution or an offset was
    /// ignored, the default applies (microseconds, no offset), which may not be what the writer
    /// meant.
    pub const fn ignored_options(&self) -> u64 {
        match &self.contents.format {
            Format::Classic(_) => 0,
            Format::Ng(ng) => ng.ignored_options(),
        }
    }

    /// Calls `f` with each packet until it breaks. Returns `Some` of the value that it breaks with,
    /// or `None` at the end of the file. For a loop that never breaks,
    /// [`for_each`](PacketSource::for_each) is shorter.
    ///
    /// A loop that breaks keeps its place: the next loop, or the next batch, begins with the packet
    /// after the one that broke.
    ///
    /// # Errors
    /// The errors of [`ready`](PacketSource::ready).
    pub fn try_for_each<B>(
        &mut self,
        mut f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        while self.wait(None)? == Readiness::Ready {
            if let Some(value) = self.contents.each(&mut f) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl<R: Read> PacketSource for CaptureFile<R> {
    type Batch<'a>
        = Batch<'a>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.contents
            .look(&mut self.reader)
            .map_err(|error| error.of(&self.name))
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        Batch {
            contents: &mut self.contents,
        }
    }

    /// Never waits for longer than its reader does.
    ///
    /// # Errors
    /// Also if the reader returned [`WouldBlock`](io::ErrorKind::WouldBlock): nothing reports when
    /// there is more.
    fn wait(&mut self, _: Option<Duration>) -> Result<Readiness, Error> {
        match self.ready()? {
            Readiness::Empty => {
                let offset = self.contents.buffer.offset();
                let source = Arc::new(io::ErrorKind::WouldBlock.into());
                Err(FileError::Read { offset, source }.of(&self.name))
            }
            found => Ok(found),
        }
    }

    /// A file drops nothing: of what was read so far, `offered = delivered + left_out + invalid`.
    fn stats(&mut self) -> Result<Stats, Error> {
        let Contents {
            delivered,
            left_out,
            invalid,
            ..
        } = &self.contents;
        let left = self.contents.left().len() as u64;
        let mut stats = Stats::counted(*delivered);
        stats.offered = Count::Exact(delivered + left_out + invalid + left);
        stats.left_out = Count::Exact(*left_out);
        stats.invalid = Count::Exact(*invalid);
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        false
    }
}

impl<R> fmt::Debug for CaptureFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureFile")
            .field("name", &self.name)
            .field("contents", &self.contents)
            .finish_non_exhaustive()
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let memory = self.contents.buffer.memory();
        let records = self.contents.left().iter();
        records.filter_map(move |record| record.packet(memory))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.contents.delivered += self.contents.left().len() as u64;
        self.contents.next();
    }
}

impl Contents {
    fn new(reader: &mut impl Read) -> Result<Self, FileError> {
        let mut buffer = Buffer::new();
        read_header(&mut buffer, reader, 4)?;
        let magic = *buffer.unread().first_chunk().expect("that many were read");
        let format = if magic == SECTION {
            Format::Ng(Ng::default())
        } else if let Some(variant) = Variant::of(magic) {
            let len = variant.file_header();
            read_header(&mut buffer, reader, len)?;
            let classic = Classic::new(variant, buffer.unread()).map_err(|why| {
                let why = format!("its header {why}");
                FileError::Unrecognized { why }
            })?;
            buffer.consume(len);
            Format::Classic(classic)
        } else {
            return Err(unrecognized(magic));
        };
        Ok(Self {
            buffer,
            format,
            records: Vec::with_capacity(BATCH),
            lent: 0,
            filter: None,
            rejected: 0,
            left_out: 0,
            delivered: 0,
            invalid: 0,
            whole: false,
            end: None,
        })
    }

    /// The packets of the batch that are not lent yet.
    #[inline]
    fn left(&self) -> &[Record] {
        self.records.get(self.lent..).unwrap_or_default()
    }

    /// Moves on to the packets after the batch.
    #[inline]
    fn next(&mut self) {
        self.records.clear();
        self.lent = 0;
        self.rejected = 0;
    }

    /// Calls `f` with the packets of the batch, and stays behind the one that it breaks at.
    fn each<B>(&mut self, f: &mut impl FnMut(Packet<'_>) -> ControlFlow<B>) -> Option<B> {
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
    fn look(&mut self, reader: &mut impl Read) -> Result<Readiness, FileError> {
        loop {
            // An empty batch after many rejected packets, so that no call takes for ever.
            if !self.records.is_empty() || self.rejected >= BATCH {
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
    fn refill(&mut self, reader: &mut impl Read, total: usize) -> bool {
        loop {
            match self.buffer.fill(reader) {
                Ok(0) => self.whole = true,
                Ok(_) if self.buffer.unread().len() < total => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    let offset = self.buffer.offset() + self.buffer.unread().len() as u64;
                    let source = Arc::new(error);
                    self.end = Some(Err(FileError::Read { offset, source }));
                }
            }
            return true;
        }
    }

    /// Finds the packets that are in memory. If there is none, returns how many bytes the next one
    /// needs.
    fn scan(&mut self) -> Option<usize> {
        while self.records.len() + self.rejected < BATCH {
            let unread = self.buffer.unread();
            let step = match &mut self.format {
                Format::Classic(classic) => classic.step(unread),
                Format::Ng(ng) => ng.step(unread, self.whole),
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
                Step::Skip(len) => self.buffer.consume(len),
                Step::Short(total) => return self.records.is_empty().then_some(total),
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
    fn keeps(&mut self, record: &Record) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        let Some(packet) = record.packet(self.buffer.memory()) else {
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
