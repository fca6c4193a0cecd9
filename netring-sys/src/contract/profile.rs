//! The purpose that a capture's ring is sized for.

/// The purpose that a capture's ring is sized for. The choice is the same for every backend; each
/// builder documents the sizes that it picks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// No loss at a million packets per second, with moderate memory and few wake-ups.
    #[default]
    Default,
    /// Packets are handed over within about a millisecond.
    LowLatency,
    /// The fewest wake-ups, and the longest pause of the reader without loss, at the cost of the
    /// most memory.
    HighThroughput,
    /// A few megabytes.
    LowMemory,
    /// For frames of 9000 bytes and more.
    Jumbo,
    /// Each packet is handed over at once: the latency of a plain `recvfrom`, at the cost of more
    /// processor time per packet.
    Immediate,
}
