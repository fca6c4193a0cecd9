//! The compressed bytes of a file, and errors in them.

use std::fmt;
use std::io::{self, Read};

use super::super::buffer::Buffer;

/// A reader of compressed bytes, and those that were read and not unpacked.
pub(super) struct Packed<R> {
    reader: R,
    buffer: Buffer,
}

impl<R> Packed<R> {
    /// `read` was read already.
    pub(super) fn new(reader: R, read: &[u8]) -> Self {
        let buffer = Buffer::holding(read);
        Self { reader, buffer }
    }

    pub(super) const fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.buffer.consume(len);
    }

    /// An error at the bytes that are unpacked next.
    pub(super) fn damage(&self, why: impl Into<String>) -> Damage {
        Damage {
            offset: self.buffer.offset(),
            why: why.into(),
        }
    }
}

impl<R: Read> Packed<R> {
    /// Reads until this many bytes are there; false if the file ends before. It can be called again
    /// after an error.
    pub(super) fn need(&mut self, len: usize) -> io::Result<bool> {
        while self.buffer.unread().len() < len {
            if self.buffer.fill(&mut self.reader)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Compressed bytes that cannot be unpacked, or that end too early.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    /// Bytes of the compressed file before them.
    pub(super) offset: u64,
    pub(super) why: String,
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

pub(super) const CUT_SHORT: &str = "it ends in the middle of its data";
