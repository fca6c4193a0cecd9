//! Statistics of IP packets that the tracker reassembles from fragments.

/// IP packets with fragments kept for reassembly; see
/// [`TrackerConfig::defragment`](crate::TrackerConfig::defragment).
///
/// `begun = reassembled + incomplete.total() + open` at any moment. If both a tunnel's packets and
/// the packets they carry are fragmented, both count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DefragmentStats {
    /// Packets with at least one data-carrying fragment.
    pub begun: u64,
    /// Packets that were reassembled; the innermost ones are passed to visitors.
    pub reassembled: u64,
    /// Packets that were given up, by cause. Their later fragments are passed to visitors as they
    /// are.
    pub incomplete: IncompleteStats,
    /// Packets that are waiting for more fragments now.
    pub open: u64,
    /// Memory in use now, in bytes, as counted against the bound.
    pub memory: u64,
    /// Peak memory so far, in bytes.
    pub memory_peak: u64,
}

/// Packets that were not reassembled, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct IncompleteStats {
    /// A fragment did not come within
    /// [`TrackerConfig::fragment_timeout`](crate::TrackerConfig::fragment_timeout) after the first
    /// that was seen.
    pub timed_out: u64,
    /// There was no room, because of
    /// [`TrackerConfig::max_fragmented`](crate::TrackerConfig::max_fragmented) or the memory bound:
    /// newer packets displaced it, or it is too large.
    pub displaced: u64,
    /// IPv6 fragments overlap: no receiver takes any of them (RFC 5722).
    pub overlapping: u64,
    /// Two different ends, bytes beyond the end, more bytes than an IP packet can have, or a
    /// fragment other than the last that ends within a unit of 8 bytes.
    pub contradictory: u64,
    /// A fragment came twice with different bytes, and the checksum of the packet is wrong: its
    /// fragments belong to two packets with the same identification. Detected only if the packet
    /// has a checksum (TCP, UDP or ICMP).
    pub mixed: u64,
    /// A snap length cut a fragment, or a fragment is shorter than its header says.
    pub cut: u64,
    /// The first fragment of a packet in another flow has the same identification.
    pub reused: u64,
    /// The reassembled packet does not belong to the flow in which its fragments count, for example
    /// because the first fragment had no ports; or that flow is no longer tracked.
    pub unreadable: u64,
    /// The source ended.
    pub source_ended: u64,
}

/// Why a packet was not reassembled: the counter of the same name.
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
