//! Statistics of a broadcast that need no answer from its task.

use std::time::Duration;

/// How much a broadcast has published, and how long it waited for lossless subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Published {
    /// Events, packets or messages published, with or without subscribers.
    pub events: u64,
    /// How often a task waited because the queue of the lossless subscribers was full.
    pub waits: u64,
    /// The total time of all waits, including those that are not over. If several tasks wait at the
    /// same time, each counts.
    pub waited: Duration,
}

/// The figures of one subscriber.
///
/// They count events before the subscriber's filter, in the sequence sent to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SubscriberStats {
    /// The number of the subscriber, counted from 0 in the order in which they joined.
    pub id: u64,
    /// Whether the capture waits for it.
    pub lossless: bool,
    /// Events it took from the queue.
    pub received: u64,
    /// Events lost to it, as reported to it so far.
    pub lost: u64,
    /// Events published since it joined that it has not yet taken, including those that are already
    /// lost to it.
    pub behind: u64,
    /// The highest that `behind` has been.
    pub most_behind: u64,
}
