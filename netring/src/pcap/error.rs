//! Why a capture file cannot be read, or not any further, or cannot be written.

use std::io;
use std::sync::Arc;

/// Why a capture file cannot be read, or not any further, or cannot be written.
///
/// This is the source of the [`Error::Source`](crate::Error::Source) that a
/// [`CaptureFile`](super::CaptureFile) or [`CaptureWriter`](super::CaptureWriter) reports. The text
/// of that error is the name of the file followed by the same sentence.
///
/// ```
/// use netring::pcap::{CaptureFile, FileError};
/// use std::error::Error as _;
///
/// let error = CaptureFile::new(&b"\x1f\x8b\x08\x00"[..]).unwrap_err();
/// let cause = error.source().and_then(|cause| cause.downcast_ref());
/// assert!(matches!(cause, Some(FileError::Unrecognized { .. })));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file could not be opened.
    #[error("it cannot be opened: {0}")]
    Open(#[source] Arc<io::Error>),

    /// The reader failed.
    #[error("reading failed at byte {offset}: {source}")]
    Read {
        /// Bytes that were read before the failure.
        offset: u64,
        /// The error of the reader.
        source: Arc<io::Error>,
    },

    /// Writing it failed.
    #[error("writing failed: {0}")]
    Write(#[source] Arc<io::Error>),

    /// It is not a capture file, or of a kind that is not supported.
    #[error("{why}")]
    Unrecognized {
        /// What it is instead, as far as is known.
        why: String,
    },

    /// It ends in the middle of something. Every packet before that is complete and was lent.
    #[error(
        "it is cut short: {what} begins at byte {offset}, and at least {missing} of its bytes are missing"
    )]
    CutShort {
        /// What the file ends in: a packet, a block, or the file header.
        what: &'static str,
        /// Bytes from the start of the file to the start of that.
        offset: u64,
        /// Bytes missing at its end, as far as its length is known.
        missing: u64,
    },

    /// It contradicts itself, or the format.
    #[error("it is corrupt: {what} at byte {offset} {why}")]
    Corrupt {
        /// Where the contradiction is: in a packet or a block.
        what: &'static str,
        /// Bytes from the start of the file to the start of that.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl FileError {
    /// Converts this to the error of a packet source, with the name of the file in front.
    pub(super) fn of(self, file: &str) -> crate::Error {
        crate::Error::Source {
            what: format!("{file}: {self}"),
            source: Box::new(self),
        }
    }
}
