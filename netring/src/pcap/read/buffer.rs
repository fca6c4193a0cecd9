//! The bytes of a file that are in memory.

use std::io::{self, Read};

use super::place::MAX_RECORD;

const INITIAL: usize = 256 * 1024;

/// A window that moves forward over a file.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the file before `start`.
    offset: u64,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; INITIAL],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// A window over a file of which these bytes were read.
    #[cfg(feature = "compression")]
    pub(super) fn holding(bytes: &[u8]) -> Self {
        let mut buffer = Self::new();
        let len = bytes.len().min(INITIAL);
        buffer.bytes[..len].copy_from_slice(&bytes[..len]);
        buffer.end = len;
        buffer
    }

    /// Forgets all bytes and begins at the start of another file.
    pub(super) const fn forget(&mut self) {
        (self.start, self.end, self.offset) = (0, 0, 0);
    }

    /// All bytes in memory, which the records of a batch point into. They stay unchanged until the
    /// next [`fill`](Self::fill).
    #[inline]
    pub(super) fn memory(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that are not consumed yet.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the unread bytes begin in [`memory`](Self::memory).
    #[inline]
    pub(super) const fn position(&self) -> usize {
        self.start
    }

    /// Where the unread bytes begin in the file.
    #[inline]
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Reads once. Returns the number of bytes read, 0 at the end of the file.
    ///
    /// The window grows only when it is full, so that it is never more than twice as large as the
    /// bytes that are really in the file.
    pub(super) fn fill(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            let grown = (self.bytes.len() * 2).min(MAX_RECORD);
            self.bytes.resize(grown, 0);
        }
        let room = &mut self.bytes[self.end..];
        let capacity = room.len();
        loop {
            match reader.read(room) {
                // Do not trust a reader that claims to have read more than fits.
                Ok(read) => {
                    let read = read.min(capacity);
                    self.end += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
