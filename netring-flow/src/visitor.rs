//! The receiver of a tracker's results.

use netring_sys::{Packet, Timestamp};

use crate::extract::{Orientation, Piece, TcpSegment, Transport};
use crate::{FlowEvent, FlowId};

/// Receives the results of a [`FlowTracker`](crate::FlowTracker): events, and the segments that
/// make up the flows.
///
/// A `Vec<FlowEvent<K>>` is a visitor that appends the events and takes no segments. Implement the
/// trait to handle events at once, or to see the payload of each packet in place, without a copy.
///
/// Both methods do nothing by default. They run while the tracker works on a batch, so they should
/// be quick; after a panic in one of them, the tracker must not be used again.
///
/// ```
/// use std::collections::HashMap;
///
/// use netring_flow::extract::FiveTuple;
/// use netring_flow::{FlowEvent, FlowId, FlowTracker, FlowVisitor, Segment};
/// use netring_sys::{Clock, LinkType, Packet, Timestamp};
///
/// /// Counts the captured payload of each flow.
/// #[derive(Default)]
/// struct PayloadBytes(HashMap<FlowId, usize>);
///
/// impl<K> FlowVisitor<K> for PayloadBytes {
///     fn segment(&mut self, segment: &Segment<'_, K>) {
///         *self.0.entry(segment.flow).or_default() += segment.payload.len();
///     }
///
///     fn event(&mut self, event: FlowEvent<K>) {
///         if let FlowEvent::Ended { flow, .. } = event {
///             let bytes = self.0.remove(&flow).unwrap_or_default();
///             println!("flow {flow}: {bytes} bytes of payload");
/// #           assert_eq!(bytes, 8);
///         }
///     }
/// }
///
/// # let mut frame = Vec::new();
/// # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
/// #     .udp(5000, 53)
/// #     .write(&mut frame, b"question")?;
/// let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
/// let mut visitor = PayloadBytes::default();
/// let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
/// tracker.track(&Packet::new(&frame, time, LinkType::IPV4), &mut visitor);
/// # assert_eq!(visitor.0.len(), 1);
/// while tracker.finish(&mut visitor) {}
/// # assert!(visitor.0.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FlowVisitor<K> {
    /// Whether [`segment`](Self::segment) is called. Default: yes. If it is false, the tracker does
    /// not even look for the payload.
    const SEGMENTS: bool = true;

    /// Whether segments carry [`Segment::ip_len`], for which the tracker must read the packet once
    /// more. Default: no. A visitor that passes segments on to a
    /// [`FlowRecorder`](crate::export::FlowRecorder) sets it.
    const IP_LENGTHS: bool = false;

    /// Reports something that happened to a flow or to the tracker.
    #[inline]
    fn event(&mut self, event: FlowEvent<K>) {
        let _ = event;
    }

    /// Shows a packet that counts in a flow. Called exactly once for each such packet, in packet
    /// order, after the events that the packet caused: the flow's [`FlowEvent::Started`] comes
    /// before its first segment, and [`FlowEvent::Ended`] after its last. The only exceptions are
    /// fragments that arrived before the first of their packet: see
    /// [`early_fragments`](Self::early_fragments).
    #[inline]
    fn segment(&mut self, segment: &Segment<'_, K>) {
        let _ = segment;
    }

    /// Reports fragments that arrived before the first of their packet. They had no flow then, so
    /// they were not shown; from now on they count in the flow of the first, which was shown just
    /// before this call. Called if [`SEGMENTS`](Self::SEGMENTS) is true. Does nothing by default.
    fn early_fragments(&mut self, fragments: &EarlyFragments<'_, K>) {
        let _ = fragments;
    }

    /// Announces that a packet of the flow with this [`Segment::index`] probably follows, so that
    /// the memory in which [`prefetch`](Self::prefetch) looks the flow up can be prefetched. Called
    /// for the packets of a batch only, about 16 packets ahead, and not for all of them. Does
    /// nothing by default.
    #[inline]
    fn announce(&self, index: usize) {
        let _ = index;
    }

    /// Announces that a packet of the flow with this [`Segment::index`] probably follows soon, so
    /// that the memory kept for the flow can be prefetched. Called some packets after
    /// [`announce`](Self::announce). Does nothing by default.
    #[inline]
    fn prefetch(&self, index: usize) {
        let _ = index;
    }
}

/// Appends the events and takes no segments.
impl<K> FlowVisitor<K> for Vec<FlowEvent<K>> {
    const SEGMENTS: bool = false;

    #[inline]
    fn event(&mut self, event: FlowEvent<K>) {
        self.push(event);
    }
}

/// Fragments of one packet that arrived before its first, and count in its flow.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EarlyFragments<'a, K> {
    /// The flow's key.
    pub key: &'a K,
    /// The flow.
    pub flow: FlowId,
    /// Which of the key's two ends sent them.
    pub orientation: Orientation,
    /// The number of fragments.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// The sum of their [`Segment::ip_len`]; `None` if any of them is unknown.
    pub ip_bytes: Option<u64>,
    /// Their bytes of payload on the wire.
    pub payload_bytes: u64,
    /// When the first of them was seen.
    pub first: Timestamp,
    /// When the last of them was seen.
    pub last: Timestamp,
}

/// A packet of a flow: a TCP segment, a UDP datagram, or a packet of another protocol.
///
/// Segments come as they were captured: out of order, repeated, and cut by a snap length.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Segment<'a, K> {
    /// The flow's key.
    pub key: &'a K,
    /// The flow.
    pub flow: FlowId,
    /// The flow's place in the tracker's table: no two flows have the same at the same time. A
    /// place is reused after its flow has ended, so it is never larger than the number of flows was
    /// at once. It can serve as an index into per-flow data.
    pub index: usize,
    /// The packet as it was captured.
    pub packet: &'a Packet<'a>,
    /// When the packet was seen.
    pub time: Timestamp,
    /// Which of the key's two ends sent it.
    pub orientation: Orientation,
    /// Which end began the flow, as far as is known so far. It can change once: see
    /// [`FlowStats::initiator`](crate::FlowStats::initiator).
    pub initiator: Orientation,
    /// The transport header; for TCP with flags, sequence and acknowledgement number.
    pub transport: Transport,
    /// Whether it is whole, or a fragment. The payload of a fragment is part of the packet's; a
    /// later fragment has no transport header ([`Segment::tcp`] is `None`). With
    /// [`TrackerConfig::defragment`](crate::TrackerConfig::defragment), the fragment that completes
    /// the packet carries the whole payload, and again the transport header of the first; the
    /// fragments before it carry no payload.
    pub piece: Piece,
    /// The captured payload, in the memory of the packet, or in that of the tracker if it was put
    /// together. For a protocol that the built-in extractor does not read, it is everything after
    /// the IP headers.
    pub payload: &'a [u8],
    /// The length of the payload on the wire in bytes. It exceeds that of `payload` if a snap
    /// length cut the packet, or if the extractor does not know where the payload is.
    pub payload_len: u32,
    /// TCP: the segment has a RST or FIN that its receiver would not accept; see
    /// [`Anomaly::OutOfWindow`](crate::Anomaly::OutOfWindow).
    pub out_of_window: bool,
    /// TCP: the segment acknowledges exactly a FIN of the other end that was
    /// [out of window](field@Self::out_of_window) when it came, as after heavy loss: the last one.
    /// It counts from now on.
    pub proves_fin: bool,
    /// TCP: the urgent pointer, if [`TcpSegment::URG`] is set; otherwise 0.
    pub urgent: u16,
    /// The length on the wire, in bytes, of the flow's IP packet, with its header: the innermost
    /// one if the extractor looks into tunnels. `None` unless the visitor asks for it
    /// ([`FlowVisitor::IP_LENGTHS`]), or if the length is unknown.
    pub ip_len: Option<u32>,
}

impl<K> Segment<'_, K> {
    /// The TCP header; `None` if the packet is not TCP, or its header was not captured or is not
    /// valid.
    pub const fn tcp(&self) -> Option<&TcpSegment> {
        match &self.transport {
            Transport::Tcp(segment) => segment.as_ref(),
            _ => None,
        }
    }

    /// Whether the end that began the flow sent it, as far as is known so far.
    pub fn is_by_initiator(&self) -> bool {
        self.orientation == self.initiator
    }

    /// Bytes of the payload that were on the wire but are not in [`payload`](field@Self::payload).
    pub const fn missing(&self) -> u32 {
        // The payload is never longer than it was on the wire.
        self.payload_len - self.payload.len() as u32
    }
}
