//! The bytes of a file, unpacked if they are compressed.

use std::io::{self, Read};
use std::sync::Arc;

use super::super::error::FileError;

/// A reader, and how its bytes are unpacked.
pub(super) enum Input<R> {
    Plain(R),
}

impl<R> Input<R> {
    /// Unpacks the bytes from now on if they begin like a compressed file that can be unpacked;
    /// `read` was read already. Returns whether it does.
    pub(super) fn unpack(&mut self, _magic: [u8; 4], _read: &[u8]) -> bool {
        false
    }

    pub(super) const fn get_mut(&mut self) -> &mut R {
        match self {
            Self::Plain(reader) => reader,
        }
    }

    /// What an error of reading means, `offset` bytes into the file.
    pub(super) fn failed(&self, error: io::Error, offset: u64) -> FileError {
        let source = Arc::new(error);
        FileError::Read { offset, source }
    }
}

impl<R: Read> Read for Input<R> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(into),
        }
    }
}
