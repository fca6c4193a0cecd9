//! Statistics of a sink: the fate of every frame.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use super::count::{Count, Named, write_loss};

/// The fate of every frame since the sink was opened. All figures only grow; reading resets
/// nothing.
///
/// At any time `committed = sent + dropped + rejected + pending`.
///
/// `{}` prints them in one line, and those of several sinks add up, as for
/// [`Stats`](crate::Stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SinkStats {
    /// Frames that were committed.
    pub committed: u64,
    /// Frames that the interface took. Only the receiver can tell whether they reached the wire.
    pub sent: Count,
    /// Frames that the kernel took and then dropped: the queue of the interface was full.
    pub dropped: Count,
    /// Frames that the kernel refused.
    pub rejected: Count,
    /// Frames whose fate is not known yet: in the ring, or being sent.
    pub pending: u64,
    /// Frames that were refused before they were committed: they were too long, or empty.
    pub refused: u64,
}

impl SinkStats {
    /// The statistics of a sink that loses nothing: frames committed, and frames sent.
    pub const fn counted(committed: u64, sent: u64) -> Self {
        Self {
            committed,
            sent: Count::Exact(sent),
            dropped: Count::Exact(0),
            rejected: Count::Exact(0),
            pending: committed.saturating_sub(sent),
            refused: 0,
        }
    }

    /// The share of the committed frames that was lost, dropped or rejected: 0 to 1, and 0 if none
    /// was committed. `None` if one of the figures is not available; as exact as they are.
    pub fn loss_ratio(&self) -> Option<f64> {
        let lost = self.dropped.value()?.saturating_add(self.rejected.value()?);
        Count::from(lost).ratio_of(self.committed.into())
    }
}

impl Add for SinkStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            committed: self.committed + other.committed,
            sent: self.sent + other.sent,
            dropped: self.dropped + other.dropped,
            rejected: self.rejected + other.rejected,
            pending: self.pending + other.pending,
            refused: self.refused + other.refused,
        }
    }
}

impl AddAssign for SinkStats {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The sum of none is that of a sink without frames.
impl Sum for SinkStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.reduce(Add::add).unwrap_or(Self::counted(0, 0))
    }
}

/// One line, with the share of frames that were lost, if any were.
impl fmt::Display for SinkStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [committed, pending, refused] =
            [self.committed, self.pending, self.refused].map(Count::Exact);
        let sent = Named(self.sent, "sent");
        let dropped = Named(self.dropped, "dropped");
        let rejected = Named(self.rejected, "rejected");
        write!(
            f,
            "{committed:#} committed: {sent}, {dropped}, {rejected}, {pending:#} pending"
        )?;
        write_loss(self.loss_ratio(), f)?;
        write!(f, "; {refused:#} refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_loss_if_there_was_one() {
        let mut stats = SinkStats::counted(1_000, 997);
        assert_eq!(
            stats.to_string(),
            "1,000 committed: 997 sent, 0 dropped, 0 rejected, 3 pending; 0 refused"
        );
        stats.pending = 0;
        stats.dropped = Count::Exact(2);
        stats.rejected = Count::Exact(1);
        assert_eq!(stats.loss_ratio(), Some(0.003));
        assert_eq!(
            stats.to_string(),
            "1,000 committed: 997 sent, 2 dropped, 1 rejected, 0 pending, 0.30% lost; 0 refused"
        );
        stats.dropped = Count::Unavailable;
        assert_eq!(stats.loss_ratio(), None);
    }

    #[test]
    fn sinks_add_up_figure_by_figure() {
        let figures = |n: u64| SinkStats {
            committed: n,
            sent: Count::Exact(n + 1),
            dropped: Count::Exact(n + 2),
            rejected: Count::Exact(n + 3),
            pending: n + 4,
            refused: n + 5,
        };
        let expected = SinkStats {
            committed: 110,
            sent: Count::Exact(112),
            dropped: Count::Exact(114),
            rejected: Count::Exact(116),
            pending: 118,
            refused: 120,
        };
        let sum: SinkStats = [figures(10), figures(100)].into_iter().sum();
        assert_eq!(sum, expected);
        assert_eq!([].into_iter().sum::<SinkStats>(), SinkStats::counted(0, 0));
    }
}
