//! Statistics of a source: the fate of every packet.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use super::count::{Count, Named, write_loss};

/// The fate of every packet that a source was offered since it was opened.
///
/// All figures only grow; reading resets nothing. Once a source is drained,
/// `offered = delivered + left_out + dropped + invalid`; before that the difference is still in the
/// ring ([`pending`](Self::pending)).
///
/// `{}` prints them in one line, and the statistics of several captures add up:
///
/// ```
/// # fn example(mut captures: Vec<impl netring_sys::PacketSource>) -> Result<(), netring_sys::Error> {
/// use netring_sys::{Error, Stats};
///
/// let stats = captures.iter_mut().map(|capture| capture.stats());
/// let total: Stats = stats.sum::<Result<_, Error>>()?;
/// // 1,200,000 offered, 1,199,400 delivered, 600 dropped, 0.05% lost
/// println!("{total}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// Packets that passed the kernel's filter and reached the source.
    pub offered: Count,
    /// Packets that were lent to the reader, each once.
    pub delivered: Count,
    /// Packets that an adapter around the source did not lend: they did not match the filter of a
    /// [`Filtered`](crate::adapters::Filtered), or were beyond a [`Limit`](crate::adapters::Limit).
    /// Zero without an adapter.
    pub left_out: Count,
    /// Packets that were lost because the ring was full: the reader was too slow.
    pub dropped: Count,
    /// Packets that the ring announced but that could not be delivered: their header pointed out of
    /// the ring.
    pub invalid: Count,
    /// How often the ring was full and stopped until memory was returned.
    pub freezes: Count,
    /// How often the interface went down since the source was opened, not counting one that was
    /// down already. `AtLeast` if the kernel lost notifications, or a sandbox forbids them.
    pub link_downs: Count,
}

impl Stats {
    /// The statistics of a source that loses nothing, such as a file, and has lent `delivered`
    /// packets.
    pub const fn counted(delivered: u64) -> Self {
        Self {
            offered: Count::Exact(delivered),
            delivered: Count::Exact(delivered),
            left_out: Count::Exact(0),
            dropped: Count::Exact(0),
            invalid: Count::Exact(0),
            freezes: Count::Exact(0),
            link_downs: Count::Exact(0),
        }
    }

    /// Packets that were offered and not yet lent, left out, dropped or found invalid: they are in
    /// the ring. `None` unless all five figures are exact.
    pub fn pending(&self) -> Option<u64> {
        let taken = self.delivered.exact()? + self.left_out.exact()?;
        let gone = taken + self.dropped.exact()? + self.invalid.exact()?;
        // The kernel counts a packet before it is in the ring, so `gone` is never ahead for long.
        Some(self.offered.exact()?.saturating_sub(gone))
    }

    /// The share of the offered packets that was lost, dropped or invalid: 0 to 1, and 0 if none
    /// was offered. `None` if one of the three figures is not available; as exact as they are.
    pub fn loss_ratio(&self) -> Option<f64> {
        let lost = self.dropped.value()?.saturating_add(self.invalid.value()?);
        Count::from(lost).ratio_of(self.offered)
    }
}

impl Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            delivered: self.delivered + other.delivered,
            left_out: self.left_out + other.left_out,
            dropped: self.dropped + other.dropped,
            invalid: self.invalid + other.invalid,
            freezes: self.freezes + other.freezes,
            link_downs: self.link_downs + other.link_downs,
        }
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The sum of none is that of a source without packets.
impl Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.reduce(Add::add).unwrap_or(Self::counted(0))
    }
}

/// One line: packets offered, delivered and dropped, then every other counter that is not zero.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            left_out,
            invalid,
            freezes,
            link_downs,
            ..
        } = self;
        let offered = Named(self.offered, "offered");
        let delivered = Named(self.delivered, "delivered");
        let dropped = Named(self.dropped, "dropped");
        write!(f, "{offered}, {delivered}, ")?;
        if left_out.is_some() {
            write!(f, "{left_out:#} left out, ")?;
        }
        write!(f, "{dropped}")?;
        if invalid.is_some() {
            write!(f, ", {invalid:#} invalid")?;
        }
        if let Some(pending @ 1..) = self.pending() {
            write!(f, ", {:#} pending", Count::Exact(pending))?;
        }
        write_loss(self.loss_ratio(), f)?;
        for (count, what) in [(freezes, "freezes"), (link_downs, "link downs")] {
            if count.is_some() {
                write!(f, "; {what}: {count:#}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_is_what_is_still_in_the_ring() {
        let mut stats = Stats::counted(10);
        assert_eq!(stats.pending(), Some(0));
        stats.offered = Count::Exact(15);
        stats.dropped = Count::Exact(2);
        assert_eq!(stats.pending(), Some(3));
        stats.left_out = Count::Exact(1);
        assert_eq!(stats.pending(), Some(2));
        stats.dropped = Count::AtLeast(2);
        assert_eq!(stats.pending(), None);
    }

    #[test]
    fn a_line_has_what_there_is_to_say() {
        let mut stats = Stats::counted(1_199_400);
        assert_eq!(
            stats.to_string(),
            "1,199,400 offered, 1,199,400 delivered, 0 dropped"
        );
        stats.offered = Count::Exact(1_200_005);
        stats.dropped = Count::Exact(600);
        stats.link_downs = Count::AtLeast(2);
        assert_eq!(
            stats.to_string(),
            "1,200,005 offered, 1,199,400 delivered, 600 dropped, 5 pending, 0.05% lost; \
             link downs: at least 2"
        );
        stats.left_out = Count::Exact(3);
        stats.invalid = Count::Exact(2);
        stats.freezes = Count::Exact(1);
        stats.link_downs = Count::Unavailable;
        assert_eq!(
            stats.to_string(),
            "1,200,005 offered, 1,199,400 delivered, 3 left out, 600 dropped, 2 invalid, \
             0.05% lost; freezes: 1"
        );
        assert_eq!(
            Stats::default().to_string(),
            "offered not available, delivered not available, dropped not available"
        );
    }

    #[test]
    fn a_loss_is_a_share_of_what_was_offered_and_never_rounded_to_none() {
        let mut stats = Stats::counted(0);
        assert_eq!(stats.loss_ratio(), Some(0.0));
        stats.offered = Count::Exact(400);
        stats.dropped = Count::Exact(60);
        stats.invalid = Count::Exact(40);
        assert_eq!(stats.loss_ratio(), Some(0.25));
        stats.dropped = Count::Unavailable;
        assert_eq!(stats.loss_ratio(), None);

        let mut stats = Stats::counted(99_999_999);
        stats.offered = Count::Exact(100_000_000);
        stats.dropped = Count::Exact(1);
        let line = stats.to_string();
        assert!(line.ends_with("1 dropped, less than 0.01% lost"), "{line}");
    }

    #[test]
    fn captures_add_up_figure_by_figure() {
        let figures = |n: u64| Stats {
            offered: Count::Exact(n),
            delivered: Count::Exact(n + 1),
            left_out: Count::Exact(n + 2),
            dropped: Count::Exact(n + 3),
            invalid: Count::Exact(n + 4),
            freezes: Count::Exact(n + 5),
            link_downs: Count::Exact(n + 6),
        };
        let mut sum = figures(10) + figures(100);
        sum += Stats::counted(0);
        let expected = Stats {
            offered: Count::Exact(110),
            delivered: Count::Exact(112),
            left_out: Count::Exact(114),
            dropped: Count::Exact(116),
            invalid: Count::Exact(118),
            freezes: Count::Exact(120),
            link_downs: Count::Exact(122),
        };
        assert_eq!(sum, expected);
        assert_eq!(
            [figures(10), figures(100)].into_iter().sum::<Stats>(),
            expected
        );
        assert_eq!([].into_iter().sum::<Stats>(), Stats::counted(0));
    }
}
