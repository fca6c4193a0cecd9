//! Writing capture files.

mod builder;
mod classic;
mod copy;
mod encoder;
mod extra;
mod format;
mod ng;
mod out;

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

pub use self::builder::WriterBuilder;
pub(in crate::pcap) use self::encoder::Encoder;
use self::extra::Extra;
pub use self::format::Format;
use self::out::Out;
use super::interface::InterfaceDescription;
use super::read::Record;
use super::statistics::InterfaceStatistics;
use crate::{Error, Packet, PacketWriter};

/// Writes packets to a pcapng or pcap file.
///
/// A pcapng file keeps each packet's bytes, timestamp in nanoseconds, wire length, interface with
/// link type, direction and queue. Interfaces are those of the packets
/// ([`Packet::interface`](crate::Meta::interface)), learned as packets come; [`describe`] gives
/// them names. The clock, the hash and the checksum state are left out.
///
/// A pcap file has one link type, and keeps bytes, timestamps in nanoseconds and wire lengths.
///
/// In both, a VLAN tag that was moved out of the bytes is put back in its place.
///
/// Packets go through a buffer of 64 KiB, so that one system call serves many; it is written in
/// whole records, so that the file of a killed program is valid up to its last records. At the end
/// call [`finish`](Self::finish), which reports an error in the last bytes. Dropping a writer
/// completes the file too, but hides an error.
///
/// A file that is removed while being written loses its packets: the next write reports
/// [`FileError::Removed`](super::FileError::Removed), and all packets are
/// [`unwritten`](Self::unwritten).
///
/// Writing to a slow disk blocks. In a live capture, packets wait in the ring meanwhile, and those
/// that do not fit count in [`Stats::dropped`](crate::Stats::dropped).
///
/// ```
/// use netring::pcap::{CaptureFile, CaptureWriter, Format, InterfaceDescription};
/// use netring::{Clock, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Timestamp};
///
/// let mut writer = CaptureWriter::new(Vec::new(), Format::PcapNg)?;
/// writer.describe(4, InterfaceDescription::new(LinkType::ETHERNET).with_name("eth0"))?;
/// let time = Timestamp::from_nanos(1_700_000_000_123_456_789, Clock::Unknown);
/// let packet = Packet::new(&[7; 60], time, LinkType::ETHERNET).with_wire_len(1514);
/// writer.write(&packet.with_interface(4))?;
/// let file = writer.finish()?;
///
/// let mut file = CaptureFile::new(&file[..])?;
/// let batch = file.next_batch()?.expect("it has a packet");
/// let read = batch.packets().next().expect("it has a packet");
/// assert_eq!((read.timestamp(), read.wire_len(), read.interface()), (time, 1514, 1));
/// drop(batch);
/// let uplink = file.interface(1).expect("it is described");
/// assert_eq!(uplink.name().as_deref(), Some("eth0"));
/// # Ok::<(), netring::Error>(())
/// ```
///
/// [`describe`]: Self::describe
pub struct CaptureWriter<W: Write = File> {
    out: Out<W>,
    encoder: Encoder,
    /// Blocks that a copy left out.
    left_out: u64,
}

impl CaptureWriter {
    /// Creates the file of this path, or replaces it. [`WriterBuilder::create_new`] does not
    /// replace one.
    ///
    /// ```no_run
    /// use netring::LinkType;
    /// use netring::pcap::{CaptureWriter, Format};
    ///
    /// let pcapng = CaptureWriter::create("trace.pcapng", Format::PcapNg)?;
    /// let pcap = CaptureWriter::create("trace.pcap", LinkType::ETHERNET)?;
    /// # Ok::<(), netring::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`](super::FileError) if the file cannot be created or
    /// written; [`Error::Config`] for a pcap file of [`LinkType::UNKNOWN`](crate::LinkType).
    pub fn create(path: impl AsRef<Path>, format: impl Into<Format>) -> Result<Self, Error> {
        Self::builder(format).create(path)
    }

    /// Settings for a file; for pcapng also the description of its machine and its interfaces.
    pub fn builder(format: impl Into<Format>) -> WriterBuilder {
        WriterBuilder::new(format.into())
    }
}

impl<W: Write> CaptureWriter<W> {
    /// Writes a capture file to anything that takes its bytes. A writer that answers `WouldBlock`
    /// ends it with that error.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`](super::FileError) if it cannot be written to;
    /// [`Error::Config`] for a pcap file of [`LinkType::UNKNOWN`](crate::LinkType).
    pub fn new(to: W, format: impl Into<Format>) -> Result<Self, Error> {
        CaptureWriter::builder(format).write_to(to)
    }

    /// Begins a file: its header is written at once, so that a file without packets is valid too.
    fn begin(mut out: Out<W>, encoder: Encoder) -> Result<Self, Error> {
        encoder.begin(out.buffer());
        let mut writer = Self {
            out,
            encoder,
            left_out: 0,
        };
        writer.out.pass(&writer.encoder)?;
        Ok(writer)
    }

    /// The format of the file.
    pub const fn format(&self) -> Format {
        self.encoder.format()
    }

    /// Packets that were taken, including those that have not reached the file yet, or never will
    /// after an error.
    pub const fn packets(&self) -> u64 {
        self.out.packets()
    }

    /// Packets that were taken and are not in the file: they are buffered, or an error kept them
    /// out. For a compressed file: those since the last flush, after an error too.
    pub const fn unwritten(&self) -> u64 {
        self.out.unwritten()
    }

    /// Bytes of the file so far, without those that are buffered.
    pub fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    /// Describes the interface of the packets with this index and link type: its name, filter, snap
    /// length and resolution. Otherwise its description is taken from its first packet.
    ///
    /// # Errors
    /// [`Error::Request`], after which the file continues, in a pcap file, if the interface is
    /// already in the file, or if it is of [`LinkType::UNKNOWN`](crate::LinkType). The errors of
    /// [`write`](PacketWriter::write).
    pub fn describe(
        &mut self,
        interface: u32,
        description: InterfaceDescription,
    ) -> Result<(), Error> {
        self.out.check_open()?;
        self.out
            .make_room(&self.encoder, description.options.bytes().len())?;
        self.encoder
            .describe(self.out.buffer(), interface, description)
    }

    /// Writes a packet with a comment.
    ///
    /// # Errors
    /// [`Error::Request`], after which the file continues, in a pcap file, which has no comments,
    /// or if the comment has more than 65,535 bytes. The errors of [`write`](PacketWriter::write).
    #[doc(alias = "opt_comment")]
    pub fn write_commented(&mut self, packet: &Packet<'_>, comment: &str) -> Result<bool, Error> {
        self.put(packet, Extra::Comment(comment))
    }

    /// Writes a packet of a file with all its options, and describes its interface as the file
    /// does. In a pcap file the options are left out.
    ///
    /// # Errors
    /// The errors of [`write`](PacketWriter::write).
    pub fn write_record(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        self.put(&record.packet(), Extra::Record(record))
    }

    /// Notes that packets of an interface were dropped. The next packet of the interface is written
    /// with the sum.
    ///
    /// # Errors
    /// [`Error::Request`] in a pcap file, which has no place for it.
    #[doc(alias = "epb_dropcount")]
    pub fn note_dropped(&mut self, interface: u32, packets: u64) -> Result<(), Error> {
        self.encoder.note_dropped(interface, packets)
    }

    /// Sets the statistics of an interface, which are written at the end of the file; the last ones
    /// count.
    ///
    /// ```no_run
    /// use netring::adapters::Tee;
    /// use netring::pcap::{CaptureWriter, Format};
    /// use netring::{Capture, Error, PacketSource};
    ///
    /// # fn example(mut tee: Tee<Capture, CaptureWriter>) -> Result<(), Error> {
    /// let (stats, index) = (tee.stats()?, tee.get_ref().interface().index);
    /// tee.writer_mut().set_statistics(index, stats)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Request`] in a pcap file, which has none, or if the interface is neither described
    /// nor that of a packet in the file.
    #[doc(alias = "ISB")]
    pub fn set_statistics(
        &mut self,
        interface: u32,
        statistics: impl Into<InterfaceStatistics>,
    ) -> Result<(), Error> {
        self.encoder.set_statistics(interface, statistics.into())
    }

    /// Writes the statistics of an interface now, after the packets so far.
    ///
    /// # Errors
    /// As [`set_statistics`](Self::set_statistics), and the errors of
    /// [`write`](PacketWriter::write).
    pub fn write_statistics(
        &mut self,
        interface: u32,
        statistics: impl Into<InterfaceStatistics>,
    ) -> Result<(), Error> {
        self.out.check_open()?;
        self.out.make_room(&self.encoder, 0)?;
        let buffer = self.out.buffer();
        self.encoder
            .write_statistics(buffer, interface, &statistics.into())
    }

    /// Completes the file, and returns the writer inside.
    ///
    /// # Errors
    /// [`Error::Source`] if that fails, [`Error::Closed`] after an earlier failure.
    pub fn finish(mut self) -> Result<W, Error> {
        self.end()
    }

    /// Completes the file: nothing can be written after it.
    pub(in crate::pcap) fn end(&mut self) -> Result<W, Error> {
        self.out.check_open()?;
        self.out.end(&self.encoder)
    }

    /// The start of another file with the same interfaces.
    #[cfg(feature = "rotation")]
    pub(in crate::pcap) fn encoder(&self) -> Encoder {
        self.encoder.clone()
    }

    /// The bytes of the complete file if a packet with this many bytes of data and options is
    /// added, or a few more.
    #[cfg(feature = "rotation")]
    #[inline]
    pub(in crate::pcap) fn complete_len(&self, len: usize) -> u64 {
        self.out.len_with(len) + self.encoder.end_len() as u64
    }

    /// The writer inside; `None` once the file is complete.
    #[cfg(feature = "rotation")]
    pub(in crate::pcap) fn get_ref(&self) -> Option<&W> {
        self.out.get_ref()
    }

    #[inline]
    fn put(&mut self, packet: &Packet<'_>, extra: Extra<'_>) -> Result<bool, Error> {
        self.out.check_open()?;
        self.out
            .make_room(&self.encoder, packet.data().len() + extra.len())?;
        self.encoder.packet(self.out.buffer(), packet, extra)?;
        self.out.count();
        Ok(true)
    }
}

impl<W: Write> PacketWriter for CaptureWriter<W> {
    /// Writes a packet; there is always room.
    ///
    /// # Errors
    /// [`Error::Request`], after which the file continues, for a packet that the file cannot hold:
    /// one of an unknown link type, of more than 262,144 bytes, or of a time before 1970; in pcap
    /// also one of another link type than the file's, or of a time after 2106. [`Error::Source`] if
    /// writing fails, and [`Error::Closed`] after that.
    #[inline]
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        self.put(packet, Extra::None)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.out.check_open()?;
        self.out.flush(&self.encoder)?;
        Ok(true)
    }
}

/// Completes the file.
impl<W: Write> Drop for CaptureWriter<W> {
    fn drop(&mut self) {
        if self.out.check_open().is_ok() {
            // An error cannot be reported here; `finish` reports it.
            let _ = self.out.end(&self.encoder);
        }
    }
}

impl<W: Write> fmt::Debug for CaptureWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter")
            .field("out", &self.out)
            .field("format", &self.format())
            .finish_non_exhaustive()
    }
}
