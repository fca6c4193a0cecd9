//! What became of packets that were to be put together.

/// IP packets of which fragments were kept to put them together; see
/// [`TrackerConfig::defragment`](crate::TrackerConfig::defragment).
///
/// `begun = put_together + incomplete.total() + open`, at any moment. If a tunnel's packets are
/// fragmented as well as what they carry, both count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DefragmentStats {
    /// Packets of which a fragment with data was seen.
    pub begun: u64,
    /// Packets that were put together, and shown if they are the innermost.
    pub put_together: u64,
    /// Packets that were given up, by cause. Fragments of them that come later are shown as they
    /// are.
    pub incomplete: IncompleteStats,
    /// Packets that wait for more fragments now.
    pub open: u64,
    /// Memory now, in bytes, as it counts for the bound.
    pub memory: u64,
    /// The most of it so far, in bytes.
    pub memory_peak: u64,
}

/// Packets that were not put together, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct IncompleteStats {
    /// A fragment did not come within
    /// [`TrackerConfig::fragment_timeout`](crate::TrackerConfig::fragment_timeout) after the first
    /// that was seen.
    pub timed_out: u64,
    /// There was no room, because of
    /// [`TrackerConfig::max_fragmented`](crate::TrackerConfig::max_fragmented) or the bound of
    /// memory: newer packets displaced it, or it is too large.
    pub displaced: u64,
    /// IPv6 fragments overlap: no receiver takes any of them (RFC 5722).
    pub overlapping: u64,
    /// Two different ends, bytes behind the end, more bytes than an IP packet can have, or a
    /// fragment other than the last that ends within a unit of 8 bytes.
    pub contradictory: u64,
    /// A fragment came twice with different bytes, and the checksum of the packet is wrong: its
    /// fragments are of two packets with the same identification. Without a checksum in the packet
    /// (that of TCP, UDP or ICMP) this is not known.
    pub mixed: u64,
    /// A fragment was cut by a snap length, or is shorter than its header says.
    pub cut: u64,
    /// The first fragment of a packet of another flow has its identification.
    pub reused: u64,
    /// What was put together is not a packet of the flow in which the fragments count, because the
    /// first fragment had no ports, for example; or that flow is not tracked any more.
    pub unreadable: u64,
    /// The source ended.
    pub source_ended: u64,
}

/// Why a packet was not put together: the figure of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incomplete {
    TimedOut,
    Displaced,
    Overlapping,
    Contradictory,
    Mixed,
    Cut,
    Reused,
    Unreadable,
    SourceEnded,
}

impl IncompleteStats {
    /// All causes together.
    pub const fn total(&self) -> u64 {
        self.timed_out
            + self.displaced
            + self.overlapping
            + self.contradictory
            + self.mixed
            + self.cut
            + self.reused
            + self.unreadable
            + self.source_ended
    }

    pub(crate) const fn count(&mut self, cause: Incomplete) {
        let counter = match cause {
            Incomplete::TimedOut => &mut self.timed_out,
            Incomplete::Displaced => &mut self.displaced,
            Incomplete::Overlapping => &mut self.overlapping,
            Incomplete::Contradictory => &mut self.contradictory,
            Incomplete::Mixed => &mut self.mixed,
            Incomplete::Cut => &mut self.cut,
            Incomplete::Reused => &mut self.reused,
            Incomplete::Unreadable => &mut self.unreadable,
            Incomplete::SourceEnded => &mut self.source_ended,
        };
        *counter += 1;
    }
}
