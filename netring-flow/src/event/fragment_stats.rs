//! What became of fragments.

use super::DefragmentStats;

/// Fragments of IP packets, whole packets not included.
///
/// Later fragments without a flow are in
/// [`UntrackedStats::fragments`](crate::UntrackedStats::fragments), and in
/// [`UntrackedStats::waiting`](crate::UntrackedStats::waiting) while their first may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FragmentStats {
    /// First fragments.
    pub first: u64,
    /// Later fragments that count in the flow of their first, also those that came before it.
    pub followed: u64,
    /// Fragments with the bounds of one of the last eight fragments of the same packet.
    pub duplicate: u64,
    /// Fragments that contain bytes of another fragment of the same packet without being a
    /// duplicate. No honest sender makes them: which of two contents a receiver takes depends on
    /// its system. Up to four ranges of a packet that are apart are
    /// known.
    pub overlapping: u64,
    /// Fragments that spread a TCP, UDP or SCTP header over two (RFC 1858), so that a filter that
    /// reads single fragments misses a part of it.
    pub tiny: u64,
    /// First fragments with the identification of a packet of another flow, whose end had not been
    /// seen and whose time had not passed. Later fragments follow the newer one.
    pub reused: u64,
    /// Packets that newer ones displaced before their last fragment came and their time had passed,
    /// those whose first fragment was missing included; see
    /// [`TrackerConfig::max_fragmented`](crate::TrackerConfig::max_fragmented).
    pub forgotten: u64,
    /// Packets that were to be put together.
    pub defragment: DefragmentStats,
}
