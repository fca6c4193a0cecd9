//! What a replay did.

use std::fmt;
use std::time::Duration;

/// What a replay did, in all its runs. Reading resets nothing.
///
/// Every packet that was read is in one place: `read = committed + refused.total() + unsent`.
/// Committed frames were handed to the sink, whose
/// [`stats`](crate::PacketSink::stats) tell the fate of each. `{}` prints the figures in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReplayStats {
    /// Packets that were read.
    pub read: u64,
    /// Packets that were committed to the sink, whole or in segments.
    pub committed: u64,
    /// Packets that were not sent, by the reason.
    pub refused: Refused,
    /// Packets of the last batch that were not sent because the replay was stopped or failed. Some
    /// segments of one of them may have been committed.
    pub unsent: u64,
    /// Those of the committed packets that were sent as segments.
    pub segmented: u64,
    /// Frames that were committed: packets, and segments of packets.
    pub frames: u64,
    /// Bytes of these frames.
    pub bytes: u64,
    /// Frames that the sink had not sent when the last run ended.
    pub in_flight: u64,
    /// Packets that are older than the one before. They were sent without a gap.
    pub backwards: u64,
    /// How often the interface went down.
    pub link_downs: u64,
    /// The time of all runs.
    pub duration: Duration,
    /// The longest delay of a packet after its time, when it was committed: up to 100 ms, more is
    /// [`lost`](Self::lost).
    pub latest: Duration,
    /// The time that was not made up for, because the sink or the system held the replay up for
    /// longer than 100 ms. While it is zero, the speed was kept.
    pub lost: Duration,
}

/// Packets that were not sent, by the reason.
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
pub(super) enum Reason {
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

    pub(super) const fn add(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Cut => &mut self.cut,
            Reason::LinkType => &mut self.link_type,
            Reason::TooLong => &mut self.too_long,
            Reason::Unsegmentable => &mut self.unsegmentable,
            Reason::Checksum => &mut self.checksum,
            Reason::TooShort => &mut self.too_short,
        };
        *count += 1;
    }
}

/// The reasons that there were: `1 cut, 2 too long`, or `none`.
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

impl fmt::Display for ReplayStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            read,
            committed,
            refused,
            unsent,
            segmented,
            frames,
            bytes,
            in_flight,
            ..
        } = self;
        write!(
            f,
            "{read} read: {committed} committed, {} refused ({refused}), {unsent} unsent; \
             {frames} frames, {bytes} bytes, {segmented} segmented, {in_flight} in flight",
            refused.total()
        )
    }
}
