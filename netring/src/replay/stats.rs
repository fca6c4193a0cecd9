//! The statistics of a replay.

use std::fmt;
use std::time::Duration;

pub use crate::outgoing::Refused;

/// The statistics of a replay over all its runs. Reading resets nothing.
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
    /// Packets that were not sent, by reason.
    pub refused: Refused,
    /// Packets of the last batch that were not sent because the replay was stopped or failed. Some
    /// segments of one of them may have been committed.
    pub unsent: u64,
    /// Committed packets that were sent as segments.
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
    /// The longest delay of a packet after its due time, when it was committed: up to 100 ms; more
    /// is [`lost`](Self::lost).
    pub latest: Duration,
    /// Time that the replay did not catch up, because the sink or the system delayed it by more
    /// than 100 ms. While it is zero, the speed was kept.
    pub lost: Duration,
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
