//! The figures of one flow.

use std::time::Duration;

use netring_sys::Timestamp;

use crate::extract::Orientation;

/// The figures of a flow, for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowStats {
    /// Which of the key's ends began: the sender of the SYN, the receiver of a SYN-ACK that came
    /// first, else the sender of the first packet.
    pub initiator: Orientation,
    /// TCP: whether the handshake was seen to be complete, each number of it right.
    pub established: bool,
    /// Whether a snap length cut any of the packets. Byte counts are of the wire all the same.
    pub cut: bool,
    /// Whether any of the packets was malformed on the wire, behind a valid IP header: an IP
    /// length beyond the end of the frame, a header that ends early, or a header length, UDP
    /// length or jumbo length that cannot be right. It still counts, with the payload that all
    /// of its lengths agree on. What only a snap length cut off is [`cut`](Self::cut).
    pub malformed: bool,
    /// What the key's first end sent.
    pub forward: DirectionStats,
    /// What the key's second end sent.
    pub reverse: DirectionStats,
}

/// What one end of a flow sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DirectionStats {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames on the wire, the link layer header included.
    pub bytes: u64,
    /// Bytes that the transport protocol carried, retransmissions included.
    pub payload_bytes: u64,
    /// The earliest time stamp; `None` without packets.
    pub first: Option<Timestamp>,
    /// The latest time stamp; `None` without packets.
    pub last: Option<Timestamp>,
    /// TCP segments with SYN, those with ACK included. Exact to 2 097 151, and stays there.
    pub syn: u64,
    /// TCP segments with FIN. Exact to 2 097 151, and stays there.
    pub fin: u64,
    /// TCP segments with RST. Exact to 2 097 151, and stays there.
    pub rst: u64,
    /// TCP segments with data, a SYN or a FIN that was sent before, at least in part; those too
    /// that fill a gap for which the other end asked by acknowledging three times what is
    /// before it. Keep-alives and probes of a closed window do not count. Exact to 16 777 215,
    /// and stays there.
    pub retransmitted: u64,
    /// TCP segments that were overtaken: their data is behind data that came before, and was not
    /// sent yet. Exact to 4 294 967 295, and stays there.
    pub out_of_order: u64,
}

impl FlowStats {
    /// What the key's end of this orientation sent.
    pub const fn sent(&self, orientation: Orientation) -> &DirectionStats {
        match orientation {
            Orientation::Forward => &self.forward,
            Orientation::Reverse => &self.reverse,
        }
    }

    /// What the end that began sent.
    pub const fn by_initiator(&self) -> &DirectionStats {
        self.sent(self.initiator)
    }

    /// What the other end sent.
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

    /// The earliest time stamp.
    pub fn first(&self) -> Timestamp {
        let both = [self.forward.first, self.reverse.first];
        both.into_iter().flatten().min().unwrap_or_default()
    }

    /// The latest time stamp.
    pub fn last(&self) -> Timestamp {
        self.forward.last.max(self.reverse.last).unwrap_or_default()
    }

    /// From the first packet to the last.
    pub fn duration(&self) -> Duration {
        self.last().saturating_since(self.first())
    }
}
