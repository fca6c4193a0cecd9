//! What became of every packet.

use std::fmt;

/// A figure of a backend, and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Count {
    /// So many, no more and no less.
    Exact(u64),
    /// So many or more.
    AtLeast(u64),
    /// This backend cannot say.
    #[default]
    Unavailable,
}

impl Count {
    /// The figure, exact or not.
    #[inline]
    pub const fn value(self) -> Option<u64> {
        match self {
            Self::Exact(n) | Self::AtLeast(n) => Some(n),
            Self::Unavailable => None,
        }
    }

    /// The figure, where it is exact.
    #[inline]
    pub const fn exact(self) -> Option<u64> {
        match self {
            Self::Exact(n) => Some(n),
            Self::AtLeast(_) | Self::Unavailable => None,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(n) => write!(f, "{n}"),
            Self::AtLeast(n) => write!(f, "at least {n}"),
            Self::Unavailable => f.write_str("not available"),
        }
    }
}

/// What became of every packet that a source was offered, since it was opened.
///
/// All figures grow only; reading resets nothing. Once a source is drained,
/// `offered = delivered + dropped + invalid`; before that the difference is still in the ring
/// ([`pending`](Self::pending)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Packets that passed the filter and reached the source.
    pub offered: Count,
    /// Packets that were lent to the reader, each once.
    pub delivered: Count,
    /// Packets that were lost because the reader was too slow and the ring was full.
    pub dropped: Count,
    /// Packets that the ring announced and could not give: their header pointed out of the ring.
    pub invalid: Count,
    /// How often the ring went full and stopped until memory was given back.
    pub freezes: Count,
    /// How often the interface went down since the source was opened; one that was down then did not go down. `AtLeast` if notifications
    /// of the kernel were lost, or a sandbox forbids them.
    pub link_downs: Count,
}

impl Stats {
    /// The figures of a source that loses nothing, such as a file: so many packets were lent.
    pub const fn counted(delivered: u64) -> Self {
        Self {
            offered: Count::Exact(delivered),
            delivered: Count::Exact(delivered),
            dropped: Count::Exact(0),
            invalid: Count::Exact(0),
            freezes: Count::Exact(0),
            link_downs: Count::Exact(0),
        }
    }

    /// Packets that were offered and not yet lent, dropped or found invalid: they are in the ring.
    /// `None` unless all four figures are exact.
    pub fn pending(&self) -> Option<u64> {
        let gone = self.delivered.exact()? + self.dropped.exact()? + self.invalid.exact()?;
        // The kernel counts a packet before it is in the ring, so `gone` is never ahead for long.
        Some(self.offered.exact()?.saturating_sub(gone))
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
        stats.dropped = Count::AtLeast(2);
        assert_eq!(stats.pending(), None);
    }
}
