//! The bytes of a file, unpacked if they are compressed.

#[cfg(feature = "compression")]
mod gzip;
#[cfg(feature = "compression")]
mod packed;
#[cfg(feature = "compression")]
mod zstd;

use std::io::{self, Read};
use std::sync::Arc;

use super::super::error::FileError;

/// A reader, and how its bytes are unpacked.
pub(super) enum Input<R> {
    Plain(R),
    #[cfg(feature = "compression")]
    Gzip(Box<gzip::Gzip<R>>),
    #[cfg(feature = "compression")]
    Zstd(Box<zstd::Zstd<R>>),
}

impl<R> Input<R> {
    /// Unpacks the bytes of a file that begins like a compressed one; `read` was read of it.
    /// Returns whether it does.
    #[cfg(feature = "compression")]
    pub(super) fn unpack(self, magic: [u8; 4], read: &[u8]) -> (Self, bool) {
        match (self, magic) {
            (Self::Plain(reader), [0x1f, 0x8b, ..]) => {
                let packed = packed::Packed::new(reader, read);
                (Self::Gzip(Box::new(gzip::Gzip::new(packed))), true)
            }
            (Self::Plain(reader), zstd::FRAME | [0x50..=0x5f, 0x2a, 0x4d, 0x18]) => {
                let packed = packed::Packed::new(reader, read);
                (Self::Zstd(Box::new(zstd::Zstd::new(packed))), true)
            }
            (input, _) => (input, false),
        }
    }

    /// Without the libraries that unpack, no file is one that can be unpacked.
    #[cfg(not(feature = "compression"))]
    pub(super) fn unpack(self, _: [u8; 4], _: &[u8]) -> (Self, bool) {
        (self, false)
    }

    pub(super) fn get_mut(&mut self) -> &mut R {
        match self {
            Self::Plain(reader) => reader,
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => gzip.get_mut(),
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => zstd.get_mut(),
        }
    }

    /// What an error of reading means, `offset` bytes into the file.
    pub(super) fn failed(&self, error: io::Error, offset: u64) -> FileError {
        #[cfg(feature = "compression")]
        if let Some(damage) = error.get_ref().and_then(|it| it.downcast_ref()) {
            let packed::Damage { offset, why } = damage;
            return FileError::Compressed {
                by: if matches!(self, Self::Gzip(_)) {
                    "gzip"
                } else {
                    "zstd"
                },
                offset: *offset,
                why: why.clone(),
            };
        }
        let source = Arc::new(error);
        FileError::Read { offset, source }
    }
}

impl<R: Read> Read for Input<R> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(into),
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => gzip.read(into),
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => zstd.read(into),
        }
    }
}
