//! Why a capture file cannot be read, or not any further, or cannot be written.

use std::sync::Arc;
use std::{fmt, io};

/// Why a capture file cannot be read, or not any further, or cannot be written.
///
/// A [`CaptureFile`](super::CaptureFile) or [`CaptureWriter`](super::CaptureWriter) reports it
/// inside an [`Error::Source`](crate::Error::Source), whose text is the name of the file followed
/// by the text of this.
///
/// ```
/// use netring::pcap::{CaptureFile, FileError};
///
/// let error = CaptureFile::new(&b"\xfd7zXZ"[..]).unwrap_err();
/// let cause = error.downcast_ref::<FileError>();
/// assert!(matches!(cause, Some(FileError::Unrecognized { .. })));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum FileError {
    /// The file could not be opened.
    Open(Arc<io::Error>),

    /// The reader failed.
    Read {
        /// Bytes that were read before the failure.
        offset: u64,
        /// The error of the reader.
        source: Arc<io::Error>,
    },

    /// Writing it failed.
    Write(Arc<io::Error>),

    /// It was the oldest of the kept files and could not be deleted.
    Delete(Arc<io::Error>),

    /// It or its directory was removed while it was being written: its packets are lost.
    Removed,

    /// It is not a capture file, or its kind is not supported.
    Unrecognized {
        /// What it is instead, as far as is known.
        why: String,
    },

    /// It ends in the middle of a record. Every packet before that is complete and was lent.
    CutShort {
        /// What the file ends in: a packet, a block, or the file header.
        what: &'static str,
        /// Bytes from the start of the file to the start of that.
        offset: u64,
        /// Bytes missing at its end, if its length is known; otherwise a minimum.
        missing: u64,
    },

    /// Its compressed data is damaged, or ends too early. Every packet before that was lent.
    Compressed {
        /// What compressed it: gzip or zstd.
        by: &'static str,
        /// Bytes of the compressed file before the damage, or before the block that has it.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },

    /// It contradicts itself, or the format.
    Corrupt {
        /// Where the contradiction is: in a packet or a block.
        what: &'static str,
        /// Bytes from the start of the file to the start of that.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },

    /// The filter has no meaning for a packet. Every earlier packet that the filter selects was
    /// lent.
    Filter {
        /// The link type or the term, and why.
        why: String,
    },
}

impl FileError {
    /// Converts this to the error of a packet source, with the name of the file in front.
    pub(super) fn of(self, file: &str) -> crate::Error {
        crate::Error::Source {
            what: file.to_owned(),
            source: Box::new(self),
        }
    }
}

/// The errors of the reader and the writer are part of the text, and so not its causes.
impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "it cannot be opened: {error}"),
            Self::Read { offset, source } => write!(f, "reading failed at byte {offset}: {source}"),
            Self::Write(error) => write!(f, "writing failed: {error}"),
            Self::Delete(error) => write!(f, "it cannot be deleted: {error}"),
            Self::Removed => f.write_str("it was removed while being written"),
            Self::Unrecognized { why } | Self::Filter { why } => f.write_str(why),
            Self::CutShort {
                what,
                offset,
                missing,
            } => write!(
                f,
                "it is cut short: {what} begins at byte {offset}, and at least {missing} of its bytes are missing"
            ),
            Self::Compressed { by, offset, why } => {
                write!(
                    f,
                    "it cannot be unpacked from byte {offset} of its {by} data on: {why}"
                )
            }
            Self::Corrupt { what, offset, why } => {
                write!(f, "it is corrupt: {what} at byte {offset} {why}")
            }
        }
    }
}

/// Writes the text.
impl fmt::Debug for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
