//! Statistics of a source: the fate of every packet.

use std::fmt;

/// A figure, and how exact it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Count {
    /// Exactly this many.
    Exact(u64),
    /// At least this many.
    AtLeast(u64),
    /// This backend cannot know it.
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

    /// The figure, if it is exact.
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

/// The fate of every packet that a source was offered since it was opened.
///
/// All figures only grow; reading resets nothing. Once a source is drained,
/// `offered = delivered + left_out + dropped + invalid`; before that the difference is still in the
/// ring ([`pending`](Self::pending)).
///
/// ```
/// use netring_sys::{Count, Error, PacketSource};
///
/// /// Whether a source has lost packets, as far as it can tell.
/// fn lost(source: &mut impl PacketSource) -> Result<bool, Error> {
///     Ok(match source.stats()?.dropped {
///         Count::Exact(packets) | Count::AtLeast(packets) => packets > 0,
///         _ => false,
///     })
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
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
    /// The figures of a source that loses nothing, such as a file, and has lent `delivered`
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
}
