//! Statistics of frames.

use netring_sys::{Count, SinkStats};

/// Committed frames that were not sent, by reason: the parts of [`SinkStats::rejected`]. All
/// counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectStats {
    /// Longer than the MTU allows: without the tag that would allow it four bytes more, or the MTU
    /// was reduced after they were committed.
    pub too_long: u64,
    /// Shorter than the header of the link layer.
    pub too_short: u64,
    /// Refused by the kernel for another reason.
    pub invalid: u64,
}

impl RejectStats {
    pub(crate) const fn total(&self) -> u64 {
        self.too_long + self.too_short + self.invalid
    }
}

/// Everything that an injector counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) committed: u64,
    pub(crate) sent: u64,
    pub(crate) discarded: u64,
    pub(crate) rejected: RejectStats,
    /// Frames that were not accepted.
    pub(crate) refused: u64,
    pub(crate) kicks: u64,
}

impl Counts {
    pub(crate) const fn pending(&self) -> u64 {
        self.committed - self.sent - self.discarded - self.rejected.total()
    }

    pub(crate) fn stats(&self) -> SinkStats {
        let mut stats = SinkStats::counted(self.committed, self.sent);
        stats.dropped = Count::Exact(self.discarded);
        stats.rejected = Count::Exact(self.rejected.total());
        stats.pending = self.pending();
        stats.refused = self.refused;
        stats
    }
}
