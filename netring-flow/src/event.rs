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

/// What happened to a flow, or to the tracker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowEvent<K> {
    /// The first packet of a flow.
    Started {
        /// The flow's key.
        key: K,
        /// The flow, told from others of the same key.
        flow: FlowId,
        /// When the packet was seen.
        time: Timestamp,
        /// Which end began, as far as can be told from one packet.
        initiator: Orientation,
    },
    /// A TCP handshake is complete: the SYN-ACK acknowledges the SYN, and the initiator the
    /// SYN-ACK. Not reported for a connection that was picked up in its middle, nor for one of
    /// which only one end is heard.
    Established {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When the last packet of the handshake was seen.
        time: Timestamp,
        /// Which end began.
        initiator: Orientation,
    },
    /// A flow is over. Each packet that was tracked is in the figures of exactly one such event.
    Ended {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// The packet time at which the tracker ended it; the last packet may be long before.
        time: Timestamp,
        /// Why it is over.
        reason: EndReason,
        /// What happened in it, in order.
        history: History,
        /// Its figures.
        stats: Box<FlowStats>,
    },
    /// A flow lives for longer than the active time-out; it goes on. Reported once for each such
    /// time.
    Tick {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// The packet time of the report.
        time: Timestamp,
        /// Its figures up to now.
        stats: Box<FlowStats>,
    },
    /// An ICMP error quotes a packet of the flow.
    IcmpError {
        /// The key of the flow that is quoted.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When the error was seen.
        time: Timestamp,
        /// Which error.
        error: IcmpError,
    },
    /// Something that should not be.
    Anomaly {
        /// The key of the flow, where it is about one.
        key: Option<K>,
        /// The flow.
        flow: Option<FlowId>,
        /// When it was seen.
        time: Timestamp,
        /// What it is.
        kind: Anomaly,
    },
}

// Events are queued and copied in batches: a flow's figures are behind a pointer.
const _: () = assert!(size_of::<FlowEvent<FiveTupleKey>>() <= 128);

impl<K> FlowEvent<K> {
    /// The key of the flow; `None` where the event is about the tracker.
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

    /// The flow; `None` where the event is about the tracker.
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

/// A flow of one tracker: two flows of the same key, one after the other, differ in it. They count
/// up from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(NonZeroU64);

impl FlowId {
    /// Counted from 1; 0 is never given.
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

/// Why a flow is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// TCP: both ends sent FIN.
    Finished,
    /// TCP: one end sent RST, and the other would accept it.
    Reset,
    /// No packet for as long as the flow's time-out.
    IdleTimeout,
    /// TCP: a new connection between the same ports took its place, and no close of this one was
    /// seen.
    PortReuse,
    /// Evicted: the table was nearly full, and the flow was silent for longer than the shortened
    /// time-outs allow.
    Emergency,
    /// Evicted: the table was full, and this flow was the one that could best be spared.
    TableFull,
    /// The source is at its end; the flow was not.
    SourceEnded,
}

impl EndReason {
    /// A short name in lower case, as for a log.
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

    /// Whether the flow was dropped for want of room.
    pub const fn is_eviction(self) -> bool {
        matches!(self, Self::Emergency | Self::TableFull)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// A TCP segment with a pair of flags that exclude each other: two of SYN, FIN and RST. Told
    /// once for each flow.
    TcpFlags,
    /// A TCP segment with RST or FIN that its receiver would not believe, because it is outside of
    /// the receiver's window (RFC 9293, RFC 5961). It counts as a packet and closes nothing.
    OutOfWindow,
    /// The table is nearly full: from now on time-outs are shortened, and half-open flows shed.
    EmergencyBegan,
    /// The table has room again.
    EmergencyOver,
    /// Packet time went back by more than a minute: another clock, or another capture. Time-outs
    /// count from there.
    TimeWentBack,
}
