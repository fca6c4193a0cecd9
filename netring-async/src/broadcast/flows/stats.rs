//! The figures of a broadcast of flows.

use std::fmt;
use std::time::Duration;

use netring_flow::TrackerStats;
use netring_sys::{Count, Stats};

use crate::Published;
use crate::broadcast::figures::{Answered, TaskFigures};

/// A snapshot of the figures of a broadcast, from
/// [`FlowBroadcast::stats`](crate::FlowBroadcast::stats), or of one worker of
/// [`FlowWorkers`](crate::FlowWorkers::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BroadcastStats {
    /// The fate of every packet.
    pub capture: Stats,
    /// The fate of every flow.
    pub tracker: TrackerStats,
    /// Flows that have started and not ended.
    pub active_flows: usize,
    /// Events published, with or without subscribers. A subscriber has received all that were
    /// published since it subscribed, except those it lost.
    pub events: u64,
    /// How often the broadcast waited for lossless subscribers; for workers, the sum over all.
    pub waits: u64,
    /// How long it waited, including a wait that is not over.
    pub waited: Duration,
}

impl TaskFigures for BroadcastStats {
    fn with_waits(mut self, published: Published) -> Self {
        (self.waits, self.waited) = (published.waits, published.waited);
        self
    }
}

/// The figures, or why they cannot be read.
pub(crate) type Figures = Answered<BroadcastStats>;

/// One line: the capture, the tracker, the broadcast; and the waits, if there were any.
impl fmt::Display for BroadcastStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [active, events, waits] =
            [self.active_flows as u64, self.events, self.waits].map(Count::Exact);
        write!(
            f,
            "{}; {}; {active:#} flows active, {events:#} events published",
            self.capture, self.tracker
        )?;
        if self.waits > 0 {
            write!(f, "; waited {waits:#} times, {:?} in all", self.waited)?;
        }
        Ok(())
    }
}
