//! Statistics of IP fragments.

use super::DefragmentStats;

/// Fragments of IP packets, excluding whole packets.
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
    /// Later fragments that count in the flow of their first, including those that arrived before
    /// it.
    pub followed: u64,
    /// Fragments with the bounds of one of the last eight fragments of the same packet.
    pub duplicate: u64,
    /// Fragments that contain bytes of another fragment of the same packet without being a
    /// duplicate. No honest sender makes them: operating systems differ in which content they keep.
    /// At most four separate ranges per packet are tracked.
    pub overlapping: u64,
    /// Fragments that split a TCP, UDP or SCTP header (RFC 1858), so that a filter that reads
    /// single fragments misses part of it.
    pub tiny: u64,
    /// First fragments with the identification of an unfinished packet of another flow that had not
    /// timed out. Later fragments follow the newer one.
    pub reused: u64,
    /// Packets that newer ones displaced before their last fragment arrived or they timed out,
    /// including those with a missing first fragment; see
    /// [`TrackerConfig::max_fragmented`](crate::TrackerConfig::max_fragmented).
    pub forgotten: u64,
    /// Reassembly of fragmented packets.
    pub defragment: DefragmentStats,
}
