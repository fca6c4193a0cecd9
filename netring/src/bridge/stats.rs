//! The fate of the frames of a bridge.

use std::fmt;

use crate::outgoing::Refused;
use crate::{Count, Error, SinkStats, Stats};

/// The fate of all frames of a bridge. Reading resets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BridgeStats {
    /// From side A to side B.
    pub a_to_b: BridgeDirectionStats,
    /// From side B to side A.
    pub b_to_a: BridgeDirectionStats,
}

/// The fate of the frames of one direction of a bridge. At any time, each frame is in exactly one
/// place:
///
/// ```text
/// received + split = forwarded + dropped + undecided + outgoing + refused.total() + link_down
///                  + rejected + queue_dropped + waiting + in_flight
/// ```
///
/// All figures but [`waiting`](Self::waiting) and [`in_flight`](Self::in_flight) only grow. Frames
/// that the ring of the source dropped before the bridge saw them are in [`source`](Self::source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BridgeDirectionStats {
    /// Frames that the source delivered.
    pub received: u64,
    /// Frames created by software segmentation: a packet that is sent as *n* segments adds *n* - 1.
    /// Those that the kernel segments are one frame.
    pub split: u64,
    /// Frames that the other interface took.
    pub forwarded: u64,
    /// Bytes of the frames that were handed to the sink, of which most are forwarded.
    pub bytes: u64,
    /// Frames that the decision dropped ([`Verdict::Drop`](super::Verdict::Drop)).
    pub dropped: u64,
    /// Frames for which the decision panicked. They were not sent.
    pub undecided: u64,
    /// Frames that this host sends itself, which a bridge leaves alone. 0 with a capture that does
    /// not deliver them.
    pub outgoing: u64,
    /// Frames that cannot be sent complete and correct, by reason.
    pub refused: Refused,
    /// Frames that arrived while the other interface was down.
    pub link_down: u64,
    /// Frames that the kernel refused to send.
    pub rejected: u64,
    /// Frames that the kernel took to send and then dropped.
    pub queue_dropped: u64,
    /// Frames that wait for room in the sink.
    pub waiting: u64,
    /// Frames in the sink whose fate is not known yet.
    pub in_flight: u64,
    /// How often the other interface was found to be down.
    pub link_downs: u64,
    /// The statistics of the source: drops of its ring, and how often its interface went down.
    pub source: Stats,
}

impl BridgeDirectionStats {
    /// The frames with a known fate, plus those on their way: always [`received`](Self::received) +
    /// [`split`](Self::split).
    pub const fn accounted(&self) -> u64 {
        self.forwarded
            + self.dropped
            + self.undecided
            + self.outgoing
            + self.lost()
            + self.pending()
    }

    /// Frames that were neither forwarded nor dropped by decision: the sum of all losses after the
    /// ring of the source.
    pub const fn lost(&self) -> u64 {
        self.refused.total() + self.link_down + self.rejected + self.queue_dropped
    }

    /// Frames that are on their way.
    pub const fn pending(&self) -> u64 {
        self.waiting + self.in_flight
    }
}

/// The counters of a lane itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) split: u64,
    /// Frames that were committed to the sink.
    pub(super) committed: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) undecided: u64,
    pub(super) outgoing: u64,
    pub(super) refused: Refused,
    pub(super) link_down: u64,
    pub(super) link_downs: u64,
}

impl Counts {
    /// Adds the sink's counts since `before`, when it had none of these frames.
    pub(super) fn with(
        &self,
        before: &SinkStats,
        sink: &SinkStats,
        waiting: u64,
        source: Stats,
    ) -> BridgeDirectionStats {
        let since = |now: Count, before: Count| {
            let value = |count: Count| count.value().unwrap_or_default();
            value(now).saturating_sub(value(before))
        };
        let rejected = since(sink.rejected, before.rejected);
        let queue_dropped = since(sink.dropped, before.dropped);
        let gone = rejected + queue_dropped + sink.pending;
        BridgeDirectionStats {
            received: self.received,
            split: self.split,
            forwarded: self.committed.saturating_sub(gone),
            bytes: self.bytes,
            dropped: self.dropped,
            undecided: self.undecided,
            outgoing: self.outgoing,
            refused: self.refused,
            link_down: self.link_down,
            rejected,
            queue_dropped,
            waiting,
            in_flight: sink.pending,
            link_downs: self.link_downs,
            source,
        }
    }
}

/// The counts of a sink when a bridge starts: all earlier frames are done.
pub(super) fn before(sink: &SinkStats) -> Result<SinkStats, Error> {
    match sink.pending {
        0 => Ok(*sink),
        pending => Err(Error::Config {
            setting: "sink",
            why: format!("{pending} other frames are still in flight; drain the sink first"),
        }),
    }
}

/// One line, with only the losses that occurred.
impl fmt::Display for BridgeDirectionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            received,
            forwarded,
            dropped,
            ..
        } = self;
        write!(
            f,
            "{received} received: {forwarded} forwarded, {dropped} dropped"
        )?;
        let others = [
            (self.split, "more by segmentation"),
            (self.undecided, "undecided"),
            (self.outgoing, "of this host"),
            (self.link_down, "while the link was down"),
            (self.rejected, "rejected by the kernel"),
            (self.queue_dropped, "dropped by the queue"),
            (self.waiting, "waiting"),
            (self.in_flight, "in flight"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        if self.refused.total() > 0 {
            write!(f, ", refused: {}", self.refused)?;
        }
        match self.source.dropped.value() {
            Some(count @ 1..) => write!(f, "; {count} more dropped by the ring"),
            _ => Ok(()),
        }
    }
}

/// Both directions, a line each.
impl fmt::Display for BridgeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A to B: {}\nB to A: {}", self.a_to_b, self.b_to_a)
    }
}
