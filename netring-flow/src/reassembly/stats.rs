//! Statistics of the payload of subscribed flows.

/// The outcome of each captured payload byte of the subscribed TCP flows, and the missing bytes.
///
/// `received` is the sum of `delivered`, `duplicate`, `discarded` and `held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReassemblyStats {
    /// Subscribed flows, including those that are not TCP.
    pub subscribed: u64,
    /// Bytes of TCP payload that arrived.
    pub received: u64,
    /// Bytes that were delivered.
    pub delivered: u64,
    /// Bytes that had arrived before: retransmissions, keep-alives, and bytes that lost against
    /// others for the same place.
    pub duplicate: u64,
    /// Bytes that were neither delivered nor duplicates, by cause.
    pub discarded: Discarded,
    /// Bytes that are held now, because others before them are missing.
    pub held: u64,
    /// Gaps that were reported.
    pub gaps: u64,
    /// Bytes missing in those gaps.
    pub missing: u64,
    /// Gaps that were declared early to stay within a bound.
    pub forced_gaps: u64,
    /// Reports of conflicting contents for the same range.
    pub inconsistencies: u64,
    /// Flows that were given up to stay within a bound.
    pub given_up: u64,
    /// TCP segments without a readable header, and fragments other than the first.
    pub unreadable: u64,
    /// Memory for held bytes now, as counted against the bounds.
    pub memory: usize,
    /// Peak memory so far.
    pub memory_peak: usize,
}

/// Captured bytes that were not delivered, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discarded {
    /// In a RST segment: at best a reason for the reset.
    pub reset: u64,
    /// In a RST that its receiver would not accept.
    pub out_of_window: u64,
    /// After the end of the stream.
    pub after_end: u64,
    /// In a SYN that is not of this connection.
    pub other_syn: u64,
    /// Behind a hole larger than [`ReassemblyConfig::max_hole`](super::ReassemblyConfig::max_hole)
    /// that the receiver's acknowledgements contradict.
    pub forged: u64,
    /// Urgent bytes ([`UrgentPolicy::OutOfBand`](super::UrgentPolicy::OutOfBand)).
    pub urgent: u64,
    /// Of a flow that was given up.
    pub given_up: u64,
    /// Of a flow with an ended subscription, or with first bytes that were not of interest.
    pub unwanted: u64,
}

impl Discarded {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.reset
            + self.out_of_window
            + self.after_end
            + self.other_syn
            + self.forged
            + self.urgent
            + self.given_up
            + self.unwanted
    }
}
