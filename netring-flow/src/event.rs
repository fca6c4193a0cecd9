//! What a tracker reports.

mod defragment_stats;
mod end_reason;
mod flow_id;
mod flow_stats;
mod fragment_stats;
mod history;
mod live_flow;
mod round_trip;
mod tracker_stats;

use netring_sys::Timestamp;

use crate::extract::{FiveTupleKey, IcmpError, Orientation};
pub(crate) use defragment_stats::Incomplete;
pub use defragment_stats::{DefragmentStats, IncompleteStats};
pub use end_reason::EndReason;
pub use flow_id::FlowId;
pub use flow_stats::{DirectionStats, FlowStats};
pub use fragment_stats::FragmentStats;
pub use history::History;
pub(crate) use history::{Letter, Seen, bit, push};
pub use live_flow::{FlowState, LiveFlow};
pub use round_trip::RoundTrip;
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// A TCP connection is closed: both ends sent FIN and both FINs are acknowledged, or one end
    /// sent a RST that the other would accept. Reported once per flow, with the packet that closes
    /// it. The flow lingers to absorb late packets; its statistics come with
    /// [`Ended`](Self::Ended).
    ///
    /// Not reported for a connection that is not seen to close: it ends half-closed or idle, is
    /// seen in one direction only, or its last acknowledgement was not captured.
    Closed {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When the packet that closed it was seen.
        time: Timestamp,
        /// [`EndReason::Finished`] or [`EndReason::Reset`]; the same that `Ended` will have.
        reason: EndReason,
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

// Events are queued and copied in batches, so a flow's statistics are boxed.
const _: () = assert!(size_of::<FlowEvent<FiveTupleKey>>() <= 128);

impl<K> FlowEvent<K> {
    /// The key of the flow; `None` if the event concerns the tracker.
    pub const fn key(&self) -> Option<&K> {
        match self {
            Self::Started { key, .. }
            | Self::Established { key, .. }
            | Self::Closed { key, .. }
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
            | Self::Closed { flow, .. }
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
            | Self::Closed { time, .. }
            | Self::Ended { time, .. }
            | Self::Tick { time, .. }
            | Self::IcmpError { time, .. }
            | Self::Anomaly { time, .. } => *time,
        }
    }
}

/// Something unexpected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Anomaly {
    /// A TCP segment with mutually exclusive flags: two of SYN, FIN and RST. Reported once per
    /// flow.
    TcpFlags,
    /// A TCP segment with RST or FIN that its receiver would not accept, because it is outside the
    /// receiver's window (RFC 9293, RFC 5961). It counts as a packet and closes
    /// nothing, unless its receiver acknowledges it: a FIN then counts, with the acknowledgement.
    OutOfWindow,
    /// The table is nearly full: from now on timeouts are shortened and half-open flows are shed.
    EmergencyBegan,
    /// The table has room again.
    EmergencyOver,
    /// Packet time went back by more than a minute: another clock, or another capture. Timeouts
    /// restart from the new time.
    TimeWentBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_equal_by_what_they_say() {
        let event = |number| FlowEvent::Closed {
            key: (),
            flow: FlowId::new(number),
            time: Timestamp::EPOCH,
            reason: EndReason::Reset,
        };
        assert_eq!(event(1), event(1));
        assert_ne!(event(1), event(2));
    }
}
