//! The bytes of a file on their way to it.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

#[cfg(feature = "compression")]
use flate2::write::GzEncoder;

use super::encoder::Encoder;
use crate::Error;
use crate::pcap::error::FileError;

/// Bytes that are passed on together.
const BUFFER: usize = 64 * 1024;

/// More than a record or block has apart from its packet and its options.
const OVERHEAD: usize = 256;

/// A buffer of whole records in front of a writer.
pub(super) struct Out<W: Write> {
    /// `None` once the file is complete.
    to: Option<Output<W>>,
    buffer: Vec<u8>,
    /// How errors call it.
    name: String,
    /// Whether the file of this writer was removed.
    removed: Option<fn(&W) -> bool>,
    /// A part of a record may be missing: nothing can be written behind it.
    is_lost: bool,
    /// Packets that were taken.
    packets: u64,
    /// Packets that are in the file.
    written: u64,
}

/// A writer, and how bytes are packed for it.
pub(super) enum Output<W: Write> {
    Plain(Counted<W>),
    #[cfg(feature = "compression")]
    Gzip(Box<GzEncoder<Counted<W>>>),
}

/// A writer, and how many bytes it took.
pub(super) struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Out<W> {
    pub(super) fn new(to: Output<W>, name: String) -> Self {
        Self {
            to: Some(to),
            buffer: Vec::with_capacity(BUFFER),
            name,
            removed: None,
            is_lost: false,
            packets: 0,
            written: 0,
        }
    }

    /// Looks whether the file was removed, whenever bytes were passed on.
    pub(super) const fn watch(&mut self, removed: fn(&W) -> bool) {
        self.removed = Some(removed);
    }

    /// The bytes that were not passed on.
    #[inline]
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Counts a packet that is in the buffer.
    #[inline]
    pub(super) const fn count(&mut self) {
        self.packets += 1;
    }

    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) const fn unwritten(&self) -> u64 {
        self.packets - self.written
    }

    /// Bytes that are in the file; those of a complete file are not known here any more.
    pub(super) fn bytes(&self) -> u64 {
        self.to.as_ref().map_or(0, |to| to.counted().bytes)
    }

    /// The bytes of the file with a record of this many bytes of data and options, or a few more;
    /// of a compressed file those that were passed on.
    #[cfg(feature = "rotation")]
    #[inline]
    pub(super) fn len_with(&self, len: usize) -> u64 {
        match &self.to {
            Some(Output::Plain(to)) => to.bytes + (self.buffer.len() + len + OVERHEAD) as u64,
            _ => self.bytes(),
        }
    }

    #[cfg(feature = "rotation")]
    pub(super) fn get_ref(&self) -> Option<&W> {
        self.to.as_ref().map(|to| &to.counted().to)
    }

    #[inline]
    pub(super) const fn check_open(&self) -> Result<(), Error> {
        if self.is_lost || self.to.is_none() {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Makes room for a record with this many bytes of data and options.
    #[inline]
    pub(super) fn make_room(&mut self, encoder: &Encoder, len: usize) -> Result<(), Error> {
        if self.buffer.len() + len + OVERHEAD > BUFFER {
            self.pass(encoder)?;
        }
        Ok(())
    }

    /// Passes the buffer on.
    #[cold]
    pub(super) fn pass(&mut self, encoder: &Encoder) -> Result<(), Error> {
        let Some(to) = &mut self.to else {
            return Err(Error::Closed);
        };
        let (written, end) = write_all(to, &self.buffer);
        match end {
            Ok(()) => {
                if to.is_plain() {
                    self.written = self.packets;
                }
                self.buffer.clear();
                // A packet of unusual size does not keep its memory.
                self.buffer.shrink_to(BUFFER);
                self.check_removed()
            }
            Err(error) => {
                if to.is_plain() {
                    self.written += encoder.whole_packets(&self.buffer[..written]);
                }
                Err(self.fail(error))
            }
        }
    }

    /// Passes everything on, to the medium as far as the writer does.
    pub(super) fn flush(&mut self, encoder: &Encoder) -> Result<(), Error> {
        self.pass(encoder)?;
        let flushed = self.to.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| self.fail(error))?;
        self.written = self.packets;
        Ok(())
    }

    /// Completes the file. Nothing can be written behind it.
    pub(super) fn end(&mut self, encoder: &Encoder) -> Result<W, Error> {
        encoder.end(&mut self.buffer);
        self.flush(encoder)?;
        match self.to.take() {
            Some(to) => to.finish().map_err(|error| self.fail(error)),
            None => Err(Error::Closed),
        }
    }

    /// An error if the file is gone, and all its packets with it.
    fn check_removed(&mut self) -> Result<(), Error> {
        let (Some(removed), Some(to)) = (self.removed, &self.to) else {
            return Ok(());
        };
        if !removed(&to.counted().to) {
            return Ok(());
        }
        self.is_lost = true;
        self.written = 0;
        Err(FileError::Removed.of(&self.name))
    }

    fn fail(&mut self, error: io::Error) -> Error {
        self.is_lost = true;
        FileError::Write(Arc::new(error)).of(&self.name)
    }
}

impl<W: Write> Output<W> {
    pub(super) const fn plain(to: W) -> Self {
        Self::Plain(Counted { to, bytes: 0 })
    }

    /// Packs as fast as possible: the levels above take several times as long for a few per cent.
    #[cfg(feature = "compression")]
    pub(super) fn gzip(to: W) -> Self {
        let to = Counted { to, bytes: 0 };
        Self::Gzip(Box::new(GzEncoder::new(to, flate2::Compression::fast())))
    }

    /// Whether bytes that were taken are in the file.
    const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn counted(&self) -> &Counted<W> {
        match self {
            Self::Plain(to) => to,
            #[cfg(feature = "compression")]
            Self::Gzip(to) => to.get_ref(),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(to) => Ok(to.to),
            #[cfg(feature = "compression")]
            Self::Gzip(to) => Ok(to.finish()?.to),
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes),
            #[cfg(feature = "compression")]
            Self::Gzip(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            #[cfg(feature = "compression")]
            Self::Gzip(to) => to.flush(),
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Do not trust a writer that claims to have taken more than there was.
        let len = self.to.write(bytes)?.min(bytes.len());
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes all bytes, and returns how many of them were written if that failed.
fn write_all(to: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

impl<W: Write> fmt::Debug for Out<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("name", &self.name)
            .field("packets", &self.packets)
            .field("written", &self.written)
            .field("is_lost", &self.is_lost)
            .finish_non_exhaustive()
    }
}
