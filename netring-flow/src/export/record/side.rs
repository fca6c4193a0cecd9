//! The record of one end of a flow.

use std::net::{IpAddr, SocketAddr};

use super::{Letters, MplsRecord};
use crate::DirectionStats;
use crate::extract::TcpSegment;

/// An end of a flow and its traffic. The schema is described at
/// [`FlowRecord`](crate::export::FlowRecord).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SideRecord {
    /// Its address.
    pub addr: IpAddr,
    /// Its port; `None` if the protocol has none or it was not captured.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub port: Option<u16>,
    /// Packets it sent.
    pub packets: u64,
    /// Bytes of whole frames on the wire, including the link layer header.
    pub bytes: u64,
    /// Bytes of IP packets on the wire, including the IP header: the flow's own packets, without
    /// the outer headers if the extractor looks into tunnels. (A later fragment of an outer packet
    /// counts with its own header.) From a [`FlowRecorder`](crate::export::FlowRecorder) only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub ip_bytes: Option<u64>,
    /// Bytes of transport payload, including retransmissions.
    pub payload_bytes: u64,
    /// TCP: bytes of the stream by sequence number, without retransmissions and including bytes
    /// that were acknowledged but not seen. From a [`FlowRecorder`](crate::export::FlowRecorder)
    /// only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub stream_bytes: Option<u64>,
    /// TCP: bytes that the other end acknowledged but the capture never saw. From a
    /// [`FlowRecorder`](crate::export::FlowRecorder) only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub missed_bytes: Option<u64>,
    /// When its first packet was seen, in nanoseconds since 1970 UTC; `None` without packets.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub first_ns: Option<i64>,
    /// When its last packet was seen, in nanoseconds since 1970 UTC; `None` without packets.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub last_ns: Option<i64>,
    /// TCP: all flags it sent, as in the header. From an event alone: only SYN, FIN, RST and ACK.
    pub tcp_flags: u8,
    /// TCP segments with SYN.
    pub syn: u64,
    /// TCP segments with FIN.
    pub fin: u64,
    /// TCP segments with RST.
    pub rst: u64,
    /// TCP segments that were retransmitted; see [`DirectionStats::retransmitted`].
    pub retransmitted: u64,
    /// TCP segments that were overtaken; see [`DirectionStats::out_of_order`].
    pub out_of_order: u64,
    /// TCP segments with a window of 0 while the other end may send. From a
    /// [`FlowRecorder`](crate::export::FlowRecorder) only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub zero_windows: Option<u64>,
    /// The top of the MPLS label stack of its first packet, if its frames have one; labels inside
    /// tunnels are ignored. From a [`FlowRecorder`](crate::export::FlowRecorder) only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub mpls: Option<MplsRecord>,
}

impl SideRecord {
    pub(super) fn new(end: SocketAddr) -> Self {
        Self {
            addr: end.ip(),
            port: Some(end.port()),
            packets: 0,
            bytes: 0,
            ip_bytes: None,
            payload_bytes: 0,
            stream_bytes: None,
            missed_bytes: None,
            first_ns: None,
            last_ns: None,
            tcp_flags: 0,
            syn: 0,
            fin: 0,
            rst: 0,
            retransmitted: 0,
            out_of_order: 0,
            zero_windows: None,
            mpls: None,
        }
    }

    pub(super) fn set_stats(&mut self, stats: &DirectionStats) {
        self.packets = stats.packets;
        self.bytes = stats.bytes;
        self.payload_bytes = stats.payload_bytes;
        self.first_ns = stats.first.map(|time| time.as_nanos());
        self.last_ns = stats.last.map(|time| time.as_nanos());
        (self.syn, self.fin, self.rst) = (stats.syn, stats.fin, stats.rst);
        self.retransmitted = stats.retransmitted;
        self.out_of_order = stats.out_of_order;
    }

    /// The flags implied by the counters and letters.
    pub(super) fn set_flags(&mut self, letters: &Letters, upper: bool) {
        let is_own = |letter: &u8| letter.is_ascii_uppercase() == upper;
        let mut own = letters.as_bytes().iter().filter(|letter| is_own(letter));
        let acked = own.any(|letter| b"HADF".contains(&letter.to_ascii_uppercase()));
        let flags = [
            (self.syn != 0, TcpSegment::SYN),
            (self.fin != 0, TcpSegment::FIN),
            (self.rst != 0, TcpSegment::RST),
            (acked, TcpSegment::ACK),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        self.tcp_flags = set.fold(0, |all, (_, flag)| all | flag);
    }

    pub(super) fn subtract(&mut self, earlier: &Self) {
        let known = |now: &mut Option<u64>, then: Option<u64>| {
            *now = now.map(|now| now.saturating_sub(then.unwrap_or_default()));
        };
        let count = |now: &mut u64, then: u64| *now = now.saturating_sub(then);
        count(&mut self.packets, earlier.packets);
        count(&mut self.bytes, earlier.bytes);
        count(&mut self.payload_bytes, earlier.payload_bytes);
        count(&mut self.syn, earlier.syn);
        count(&mut self.fin, earlier.fin);
        count(&mut self.rst, earlier.rst);
        count(&mut self.retransmitted, earlier.retransmitted);
        count(&mut self.out_of_order, earlier.out_of_order);
        known(&mut self.ip_bytes, earlier.ip_bytes);
        known(&mut self.stream_bytes, earlier.stream_bytes);
        known(&mut self.missed_bytes, earlier.missed_bytes);
        known(&mut self.zero_windows, earlier.zero_windows);
        self.first_ns = earlier.last_ns.or(self.first_ns);
    }
}
