//! The data written with a packet, and refusals.

use crate::pcap::link::{LONG_PACKETS, MAX_LEN};
use crate::pcap::read::Record;
use crate::{Error, LinkType};

/// The data written with a packet.
#[derive(Clone, Copy)]
pub(super) enum Extra<'a> {
    None,
    Comment(&'a str),
    /// The options of a packet of a file.
    Record(&'a Record<'a>),
}

impl Extra<'_> {
    /// The most bytes of options.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Comment(text) => text.len(),
            Self::Record(record) => record.options_len(),
        }
    }
}

/// An error after which the file continues.
#[cold]
pub(super) fn refuse<T>(request: &'static str, why: String) -> Result<T, Error> {
    Err(Error::Request { request, why })
}

/// Refuses packets that other programs would not read.
#[inline]
pub(super) fn check_len(len: usize, link_type: LinkType) -> Result<(), Error> {
    if len > MAX_LEN as usize && !(LONG_PACKETS.contains(&link_type.0) && len <= LONG) {
        return refuse(
            "write",
            format!("{len} bytes is out of range (up to {MAX_LEN} in a capture file)"),
        );
    }
    Ok(())
}

/// The most bytes of a packet of which there may be long ones: less than readers take of a record.
pub(super) const LONG: usize = (16 << 20) - (128 << 10);
