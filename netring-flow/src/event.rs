//! What a tracker reports.

mod flow_stats;
mod history;
mod tracker_stats;

use std::fmt;
use std::num::NonZeroU64;

use netring_sys::Timestamp;

use crate::extract::{FiveTupleKey, IcmpError, Orientation};
pub use flow_stats::{DirectionStats, FlowStats};
pub use history::History;
pub(crate) use history::{Letter, Seen, bit, push};
pub use tracker_stats::{EndedStats, TrackerStats, UntrackedStats};

/// Something that happened to a flow or to the tracker.
///
/// ```
/// use netring_flow::FlowEvent;
/// use netring_flow::extract::FiveTupleKey;
///
/// fn print(event: &FlowEvent<FiveTupleKey>) {
///     match event {
///         FlowEvent::Established { key, time, .. } => println!("{time} {key} is established"),
///         FlowEvent::Ended { key, reason, stats, .. } => {
///             println!("{key} ended after {:?}: {reason}", stats.duration());
///         }
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowEvent<K> {
    /// The first packet of a flow arrived.
    Started {
        /// The flow's key.
        key: K,
        /// Distinguishes this flow from others with the same key.
        flow: FlowId,
        /// When the packet was seen.
        time: Timestamp,
        /// Which end started the flow, as far as one packet shows.
        initiator: Orientation,
    },
    /// A TCP handshake is complete: the SYN-ACK acknowledges the SYN, and the initiator
    /// acknowledges the SYN-ACK. Not reported for a connection that was picked up mid-stream or
    /// seen in one direction only.
    Established {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When the last packet of the handshake was seen.
        time: Timestamp,
        /// Which end started the flow.
        initiator: Orientation,
    },
    /// A flow ended. Each tracked packet is in the statistics of exactly one such event.
    Ended {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// The packet time at which the tracker ended it; the last packet may be much older.
        time: Timestamp,
        /// Why it ended.
        reason: EndReason,
        /// What happened in it, in order.
        history: History,
        /// Its statistics.
        stats: Box<FlowStats>,
    },
    /// A flow has lived for longer than the active timeout and continues. Reported once per such
    /// period.
    Tick {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// The packet time of the report.
        time: Timestamp,
        /// Its statistics so far.
        stats: Box<FlowStats>,
    },
    /// An ICMP error quoted a packet of the flow.
    IcmpError {
        /// The key of the quoted flow.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When the error was seen.
        time: Timestamp,
        /// Which error.
        error: IcmpError,
    },
    /// Something unexpected.
    Anomaly {
        /// The key of the flow, if it concerns one.
        key: Option<K>,
        /// The flow.
        flow: Option<FlowId>,
        /// When it was seen.
        time: Timestamp,
        /// What it is.
        kind: Anomaly,
    },
}

// Events are queued and copied in batches, so a flow's statistics are behind a pointer.
const _: () = assert!(size_of::<FlowEvent<FiveTupleKey>>() <= 128);

impl<K> FlowEvent<K> {
    /// The key of the flow; `None` if the event concerns the tracker.
    pub const fn key(&self) -> Option<&K> {
        match self {
            Self::Started { key, .. }
            | Self::Established { key, .. }
            | Self::Ended { key, .. }
            | Self::Tick { key, .. }
            | Self::IcmpError { key, .. } => Some(key),
            Self::Anomaly { key, .. } => key.as_ref(),
        }
    }

    /// The flow; `None` if the event concerns the tracker.
    pub const fn flow(&self) -> Option<FlowId> {
        match self {
            Self::Started { flow, .. }
            | Self::Established { flow, .. }
            | Self::Ended { flow, .. }
            | Self::Tick { flow, .. }
            | Self::IcmpError { flow, .. } => Some(*flow),
            Self::Anomaly { flow, .. } => *flow,
        }
    }

    /// The packet time of the event.
    pub const fn time(&self) -> Timestamp {
        match self {
            Self::Started { time, .. }
            | Self::Established { time, .. }
            | Self::Ended { time, .. }
            | Self::Tick { time, .. }
            | Self::IcmpError { time, .. }
            | Self::Anomaly { time, .. } => *time,
        }
    }
}

/// Identifies a flow of one tracker: two successive flows with the same key have different
/// identifiers. They count up from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(NonZeroU64);

impl FlowId {
    /// Counted from 1; 0 is never used.
    pub(crate) const fn new(number: u64) -> Self {
        match NonZeroU64::new(number) {
            Some(number) => Self(number),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// TCP: both ends sent FIN.
    Finished,
    /// TCP: one end sent a RST that the other would accept.
    Reset,
    /// No packet arrived for as long as the flow's timeout.
    IdleTimeout,
    /// TCP: a new connection between the same ports replaced it, and its own close was not seen.
    PortReuse,
    /// Evicted: the table was nearly full, and the flow was idle for longer than the shortened
    /// timeouts allow.
    Emergency,
    /// Evicted: the table was full, and this was the least valuable flow.
    TableFull,
    /// The source ended while the flow was active.
    SourceEnded,
}

impl EndReason {
    /// A short lower-case name, as for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle",
            Self::PortReuse => "port-reuse",
            Self::Emergency => "emergency",
            Self::TableFull => "table-full",
            Self::SourceEnded => "source-ended",
        }
    }

    /// Whether the flow was dropped to make room.
    pub const fn is_eviction(self) -> bool {
        matches!(self, Self::Emergency | Self::TableFull)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something unexpected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// A TCP segment with mutually exclusive flags: two of SYN, FIN and RST. Reported once per
    /// flow.
    TcpFlags,
    /// A TCP segment with RST or FIN that its receiver would not accept, because it is outside the
    /// receiver's window (RFC 9293, RFC 5961). It counts as a packet and closes nothing.
    OutOfWindow,
    /// The table is nearly full: from now on timeouts are shortened and half-open flows are shed.
    EmergencyBegan,
    /// The table has room again.
    EmergencyOver,
    /// Packet time went back by more than a minute: another clock, or another capture. Timeouts
    /// restart from the new time.
    TimeWentBack,
}
