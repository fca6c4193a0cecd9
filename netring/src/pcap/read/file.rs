//! A capture file, and the batches that it lends.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::error::FileError;
use super::super::interface::InterfaceDescription;
use super::super::section::Section;
use super::super::statistics::InterfaceStatistics;
use super::block::Block;
use super::contents::Contents;
use super::input::Input;
use super::record::Record;
use crate::{Count, Error, Filter, Matcher, Packet, PacketBatch, PacketSource, Readiness, Stats};

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
    reader: Input<R>,
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
    /// Reads a file from any reader, which needs no buffer. The first bytes are read at once.
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

    fn named(reader: R, name: String) -> Result<Self, Error> {
        let (contents, reader) = Contents::new(reader).map_err(|error| error.of(&name))?;
        Ok(Self {
            reader,
            name,
            contents,
        })
    }

    /// Lends only the packets that a [`Filter`] selects. The others are counted in
    /// [`Stats::left_out`].
    ///
    /// It means the same as [`Filtered`](crate::adapters::Filtered) around the file, and
    /// [`try_for_each`](Self::try_for_each) obeys it too. A packet for which the expression has no
    /// meaning, because of its link type, ends the file with an error, after the packets before it.
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

    /// Also lends the blocks that belong to no packet: [`Batch::blocks`]. A batch may then have
    /// blocks and no packets. [`CaptureWriter::copy`](crate::pcap::CaptureWriter::copy) sets it.
    #[must_use]
    pub const fn lend_blocks(mut self) -> Self {
        self.contents.lends_blocks = true;
        self
    }

    /// Sets whether blocks are lent, and returns whether they were.
    pub(in crate::pcap) const fn set_lending(&mut self, lends: bool) -> bool {
        std::mem::replace(&mut self.contents.lends_blocks, lends)
    }

    /// The number of sections so far; 0 in pcap.
    pub(in crate::pcap) const fn sections(&self) -> u64 {
        self.contents.sections()
    }

    /// The reader. Its position may be past the packets that were lent.
    pub fn get_mut(&mut self) -> &mut R {
        self.reader.get_mut()
    }

    /// The file section's description of the machine and the program that made it; `None` in pcap.
    /// It is the section of the packets lent last: a batch ends where a section does.
    pub fn section(&self) -> Option<&Section> {
        self.contents.section()
    }

    /// The interface of this number in the current section: that of
    /// [`Packet::interface`](crate::Meta::interface). `None` in pcap.
    pub fn interface(&self, number: u32) -> Option<InterfaceDescription> {
        self.contents.interface(number)
    }

    /// The interfaces of the current section as far as they were read, with their numbers; none in
    /// pcap.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, InterfaceDescription)> {
        self.interfaces_from(0)
    }

    /// The same, starting from this interface of the section, counted from 0.
    pub(in crate::pcap) fn interfaces_from(
        &self,
        first: usize,
    ) -> impl Iterator<Item = (u32, InterfaceDescription)> {
        self.contents.interfaces_from(first)
    }

    /// The last statistics that were read of each interface, in any section, by its number. They
    /// are usually at the end of a file. Those of the 65,536 interfaces with the highest numbers
    /// are kept.
    pub fn statistics(&self) -> impl Iterator<Item = (u32, &InterfaceStatistics)> {
        self.contents.statistics()
    }

    /// How many invalid options were ignored so far; 0 in pcap, which has no options.
    ///
    /// These are an `if_tsresol` that is not 1 byte long, an `if_tsoffset` that is not 8 bytes
    /// long, a repetition of either, an option that runs past the end of its block, and an end of
    /// options with a length. The packets are read nevertheless. If a resolution or an offset was
    /// ignored, the default applies (microseconds, no offset), which may not be what the writer
    /// meant. Statistics without a known interface are ignored too, and so are options of a
    /// section and its interfaces beyond 1 MiB.
    pub const fn ignored_options(&self) -> u64 {
        self.contents.ignored_options()
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

impl Batch<'_> {
    /// The packets with all their information in the file.
    ///
    /// ```
    /// use netring::PacketSource;
    /// use netring::pcap::CaptureFile;
    ///
    /// /// The comments on the packets of a file.
    /// fn comments(mut file: CaptureFile) -> Result<Vec<String>, netring::Error> {
    ///     let mut comments = Vec::new();
    ///     while let Some(batch) = file.next_batch()? {
    ///         for record in batch.records() {
    ///             comments.extend(record.comments().map(|text| text.into_owned()));
    ///         }
    ///     }
    ///     Ok(comments)
    /// }
    /// ```
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let places = self.contents.left().iter();
        places.filter_map(|place| Record::new(self.contents, place))
    }

    /// The blocks that belong to no packet, in the order of the file, if the file
    /// [lends](CaptureFile::lend_blocks) them.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        let places = self.contents.blocks().iter();
        places.map(|place| Block::new(self.contents, *place))
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let memory = self.contents.memory();
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
