//! The statistics of one flow.

use std::time::Duration;

use netring_sys::Timestamp;

use super::RoundTrip;
use crate::extract::Orientation;

/// The statistics of a flow, for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FlowStats {
    /// Which of the key's ends started the flow: the sender of the SYN; if a SYN-ACK was seen
    /// first, its receiver; otherwise the sender of the first packet.
    pub initiator: Orientation,
    /// TCP: whether a complete handshake was seen, with every number right.
    pub established: bool,
    /// Whether a snap length cut any of the packets. Byte counts are wire lengths nevertheless.
    pub cut: bool,
    /// Whether any of the packets was malformed on the wire after a valid IP header: an IP length
    /// beyond the end of the frame, a header that ends early, or an impossible header length, UDP
    /// length or jumbo length. The packet still counts, with the payload that all its lengths agree
    /// on. A packet that only a snap length shortened is [`cut`](Self::cut).
    pub malformed: bool,
    /// Traffic from the key's first end.
    pub forward: DirectionStats,
    /// Traffic from the key's second end.
    pub reverse: DirectionStats,
}

/// Traffic from one end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DirectionStats {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames on the wire, including the link layer header.
    pub bytes: u64,
    /// Bytes of payload of the transport protocol, including retransmissions.
    pub payload_bytes: u64,
    /// The earliest timestamp; `None` without packets.
    pub first: Option<Timestamp>,
    /// The latest timestamp; `None` without packets.
    pub last: Option<Timestamp>,
    /// TCP segments with SYN, including those with ACK. Saturates at 2 097 151.
    pub syn: u64,
    /// TCP segments with FIN. Saturates at 2 097 151.
    pub fin: u64,
    /// TCP segments with RST. Saturates at 2 097 151.
    pub rst: u64,
    /// TCP segments with data, SYN or FIN that was sent before, at least in part; also segments
    /// that fill a gap after three duplicate acknowledgements from the other end. Keep-alives and
    /// window probes do not count. Saturates at 16 777 215.
    pub retransmitted: u64,
    /// TCP segments that were overtaken: their data precedes data that arrived earlier, and was not
    /// sent before. Saturates at 4 294 967 295.
    pub out_of_order: u64,
    /// TCP segments that advertise a window of 0, excluding SYN, FIN and RST. Saturates at 65 535.
    pub zero_windows: u64,
    /// TCP: how long the other end took to acknowledge this end's segments. `None` unless measured
    /// ([`TrackerConfig::round_trips`](crate::TrackerConfig::round_trips)) and a segment was
    /// acknowledged.
    #[cfg_attr(feature = "serde", serde(default))]
    pub round_trip: Option<RoundTrip>,
}

impl FlowStats {
    /// Traffic from the key's end of this orientation.
    pub const fn sent(&self, orientation: Orientation) -> &DirectionStats {
        match orientation {
            Orientation::Forward => &self.forward,
            Orientation::Reverse => &self.reverse,
        }
    }

    /// Traffic from the initiator.
    pub const fn by_initiator(&self) -> &DirectionStats {
        self.sent(self.initiator)
    }

    /// Traffic from the responder.
    pub const fn by_responder(&self) -> &DirectionStats {
        self.sent(self.initiator.flipped())
    }

    /// Packets of both directions.
    pub const fn packets(&self) -> u64 {
        self.forward.packets + self.reverse.packets
    }

    /// Bytes on the wire of both directions.
    pub const fn bytes(&self) -> u64 {
        self.forward.bytes + self.reverse.bytes
    }

    /// The earliest timestamp.
    pub fn first(&self) -> Timestamp {
        let both = [self.forward.first, self.reverse.first];
        both.into_iter().flatten().min().unwrap_or_default()
    }

    /// The latest timestamp.
    pub fn last(&self) -> Timestamp {
        self.forward.last.max(self.reverse.last).unwrap_or_default()
    }

    /// From the first packet to the last.
    pub fn duration(&self) -> Duration {
        self.last().saturating_since(self.first())
    }
}
