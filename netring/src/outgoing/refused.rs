//! Packets that cannot be sent, by reason.

use std::fmt;

/// Packets that were not sent, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Refused {
    /// A snap length cut them.
    pub cut: u64,
    /// Their link type is not that of the sink.
    pub link_type: u64,
    /// They are longer than the sink or its MTU allows, and cannot be segmented.
    pub too_long: u64,
    /// Their IP length is 0, or their metadata says that they are several frames, and they cannot
    /// be segmented.
    pub unsegmentable: u64,
    /// Their checksum was left to the interface, and is not one of TCP or UDP.
    pub checksum: u64,
    /// They are shorter than the link layer header: 14 bytes on Ethernet, or else 1.
    pub too_short: u64,
}

/// Why a packet is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Cut,
    LinkType,
    TooLong,
    Unsegmentable,
    Checksum,
    TooShort,
}

impl Refused {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.cut
            + self.link_type
            + self.too_long
            + self.unsegmentable
            + self.checksum
            + self.too_short
    }

    pub(crate) const fn add(&mut self, reason: Reason) {
        self.add_all(reason, 1);
    }

    pub(crate) const fn add_all(&mut self, reason: Reason, packets: u64) {
        let count = match reason {
            Reason::Cut => &mut self.cut,
            Reason::LinkType => &mut self.link_type,
            Reason::TooLong => &mut self.too_long,
            Reason::Unsegmentable => &mut self.unsegmentable,
            Reason::Checksum => &mut self.checksum,
            Reason::TooShort => &mut self.too_short,
        };
        *count += packets;
    }
}

/// The nonzero reasons: `1 cut, 2 too long`, or `none`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.cut, "cut"),
            (self.link_type, "of another link type"),
            (self.too_long, "too long"),
            (self.unsegmentable, "unsegmentable"),
            (self.checksum, "without a checksum"),
            (self.too_short, "too short"),
        ];
        let mut separator = "";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}
