//! Writing capture files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use super::error::FileError;
use crate::{Error, LinkType, Packet, PacketWriter};

/// Marks a little-endian file with timestamps in nanoseconds.
const NANOS: u32 = 0xa1b2_3c4d;
/// The largest number of bytes of a packet that other readers take (`MAXIMUM_SNAPLEN` of libpcap).
const MAX_LEN: usize = 262_144;

/// Writes packets to a pcap file: their bytes, timestamps in nanoseconds, and wire lengths.
///
/// A pcap file has one link type, given when it is made. A VLAN tag that was moved out of the bytes
/// is put back in its place. What pcap has no place for is left out: the interface, the direction,
/// the clock, the queue and the hash.
///
/// Packets go through a buffer of 64 KiB, so that a system call serves many. Call
/// [`finish`](Self::finish), or [`flush`](PacketWriter::flush), at the end: an error of the last
/// bytes would otherwise be lost when the writer is dropped.
///
/// ```
/// use netring::pcap::{CaptureFile, CaptureWriter};
/// use netring::{Clock, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Timestamp};
///
/// let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET)?;
/// let time = Timestamp::from_nanos(1_700_000_000_123_456_789, Clock::Unknown);
/// let packet = Packet::new(&[7; 60], time, LinkType::ETHERNET).with_wire_len(1514);
/// writer.write(&packet)?;
/// let file = writer.finish()?;
///
/// let mut file = CaptureFile::new(&file[..])?;
/// let batch = file.next_batch()?.expect("it has a packet");
/// let read = batch.packets().next().expect("it has a packet");
/// assert_eq!((read.timestamp(), read.wire_len()), (time, 1514));
/// # Ok::<(), netring::Error>(())
/// ```
pub struct CaptureWriter<W: Write = File> {
    to: BufWriter<W>,
    /// How errors call it.
    name: String,
    link_type: LinkType,
    /// A part of a record may be missing: nothing can be written behind it.
    is_lost: bool,
}

impl CaptureWriter {
    /// Creates the file of this path, or replaces it, for packets of this link type.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`] if the file cannot be created or
    /// written; [`Error::Config`] for [`LinkType::UNKNOWN`].
    pub fn create(path: impl AsRef<Path>, link_type: LinkType) -> Result<Self, Error> {
        let name = path.as_ref().display().to_string();
        let file =
            File::create(path).map_err(|error| FileError::Open(Arc::new(error)).of(&name))?;
        Self::named(file, name, link_type)
    }
}

impl<W: Write> CaptureWriter<W> {
    /// Writes a capture file to anything that takes its bytes, for packets of this link type. A
    /// writer that answers `WouldBlock` ends it with that error.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`] if it cannot be written to;
    /// [`Error::Config`] for [`LinkType::UNKNOWN`].
    pub fn new(to: W, link_type: LinkType) -> Result<Self, Error> {
        Self::named(to, "the capture file".into(), link_type)
    }

    fn named(to: W, name: String, link_type: LinkType) -> Result<Self, Error> {
        if link_type == LinkType::UNKNOWN {
            return Err(Error::Config {
                setting: "link_type",
                why: "a capture file needs a registered link type".into(),
            });
        }
        let mut writer = Self {
            to: BufWriter::with_capacity(64 << 10, to),
            name,
            link_type,
            is_lost: false,
        };
        let mut header = [0; 24];
        header[..4].copy_from_slice(&NANOS.to_le_bytes());
        // Version 2.4; time zone and accuracy are 0 in every file.
        header[4..8].copy_from_slice(&[2, 0, 4, 0]);
        header[16..20].copy_from_slice(&(MAX_LEN as u32).to_le_bytes());
        header[20..].copy_from_slice(&u32::from(link_type.0).to_le_bytes());
        let written = writer.to.write_all(&header);
        writer.check(written)?;
        Ok(writer)
    }

    /// The link type of the file.
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Writes what is still buffered, and gives the writer inside back.
    ///
    /// # Errors
    /// [`Error::Source`] if that fails, [`Error::Closed`] after an earlier failure.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush()?;
        let name = self.name;
        self.to
            .into_inner()
            .map_err(|error| failed(error.into_error(), &name))
    }

    fn check(&mut self, written: io::Result<()>) -> Result<(), Error> {
        written.map_err(|error| {
            self.is_lost = true;
            failed(error, &self.name)
        })
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.is_lost {
            return Err(Error::Closed);
        }
        Ok(())
    }
}

impl<W: Write> PacketWriter for CaptureWriter<W> {
    /// Writes a packet; there is always room.
    ///
    /// # Errors
    /// [`Error::Request`], after which the file goes on, for a packet that a pcap file cannot have:
    /// one of another link type, of more than 262,144 bytes, or of a time before 1970 or after
    /// 2106. [`Error::Source`] if writing fails, and [`Error::Closed`] after that.
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        self.check_open()?;
        let bytes = packet.wire_bytes();
        let header = self.header(packet, bytes.len())?;
        let mut pieces = std::iter::once(&header[..]).chain(bytes.pieces());
        let written = pieces.try_for_each(|piece| self.to.write_all(piece));
        self.check(written)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.check_open()?;
        let flushed = self.to.flush();
        self.check(flushed)?;
        Ok(true)
    }
}

impl<W: Write> CaptureWriter<W> {
    /// The header of a record.
    fn header(&self, packet: &Packet<'_>, len: usize) -> Result<[u8; 16], Error> {
        const NANOS_PER_SECOND: i64 = 1_000_000_000;
        let refuse = |why| {
            let request = "write";
            Err(Error::Request { request, why })
        };
        if packet.link_type() != self.link_type {
            return refuse(format!(
                "{:?} in a file of {:?}; a pcap file has one link type",
                packet.link_type(),
                self.link_type
            ));
        }
        if len > MAX_LEN {
            return refuse(format!("{len} bytes; a pcap file has up to {MAX_LEN}"));
        }
        let nanos = packet.timestamp().as_nanos();
        let Ok(seconds) = u32::try_from(nanos.div_euclid(NANOS_PER_SECOND)) else {
            let time = packet.timestamp();
            return refuse(format!("{time} s; a pcap file has times from 1970 to 2106"));
        };
        let nanos = nanos.rem_euclid(NANOS_PER_SECOND) as u32;
        let words = [seconds, nanos, len as u32, packet.wire_len()];
        let mut header = [0; 16];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Ok(header)
    }
}

impl<W: Write> fmt::Debug for CaptureWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter")
            .field("name", &self.name)
            .field("link_type", &self.link_type)
            .field("is_lost", &self.is_lost)
            .finish_non_exhaustive()
    }
}

fn failed(error: io::Error, name: &str) -> Error {
    FileError::Write(Arc::new(error)).of(name)
}
