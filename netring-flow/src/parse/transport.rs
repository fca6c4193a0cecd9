//! Transport headers.

use super::{Part, be16};
use crate::extract::{Extracted, FiveTupleKey, Orientation, TcpSegment, Transport, TunnelKind};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;

/// What follows the IP headers.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) part: Part<'a>,
    /// It continues in another fragment.
    pub(super) more: bool,
    /// A UDP length of 0 means all of it.
    pub(super) large: bool,
}

/// A transport header.
pub(super) struct TransportHeader {
    /// 0 if they are unknown or the protocol has none.
    pub(super) ports: (u16, u16),
    ports_known: bool,
    transport: Transport,
    payload: Payload,
    /// The header contradicts itself or does not end within the packet.
    malformed: bool,
}

/// Where the payload starts in the packet's bytes, and its length on the wire.
#[derive(Clone, Copy)]
struct Payload {
    start: usize,
    len: u32,
}

impl Payload {
    const NONE: Self = Self {
        start: usize::MAX,
        len: 0,
    };
}

impl TransportHeader {
    /// For a protocol of which only the ports matter.
    pub(super) const fn with_ports(ports: (u16, u16)) -> Self {
        Self {
            ports,
            ports_known: true,
            transport: Transport::Other,
            payload: Payload::NONE,
            malformed: false,
        }
    }

    /// For a protocol whose header cannot be reached.
    #[cold]
    pub(super) fn unreached(protocol: u8, malformed: bool) -> Self {
        let transport = match protocol {
            TCP => Transport::Tcp(None),
            UDP => Transport::Udp,
            _ => Transport::Other,
        };
        Self {
            ports: (0, 0),
            ports_known: !has_ports(protocol),
            transport,
            payload: Payload::NONE,
            malformed,
        }
    }

    /// The result for the packet of this key, whose IP header may be malformed too.
    pub(super) fn of(
        self,
        key: FiveTupleKey,
        from: Orientation,
        malformed: bool,
    ) -> Extracted<FiveTupleKey> {
        let key = key.with_unknown_ports(!self.ports_known);
        let start = u32::try_from(self.payload.start).unwrap_or(u32::MAX);
        Extracted::new(key, from, self.transport)
            .with_payload(start, self.payload.len)
            .with_malformed(self.malformed | malformed)
    }
}

/// The complete header of a consistent TCP segment or UDP datagram.
pub(super) struct Plain {
    pub(super) ports: (u16, u16),
    transport: Transport,
    header_len: usize,
    payload_len: u32,
}

impl Plain {
    /// The result for the packet of this key, whose transport header is at `start`.
    #[inline]
    pub(super) fn of(
        self,
        key: FiveTupleKey,
        from: Orientation,
        start: usize,
    ) -> Extracted<FiveTupleKey> {
        Extracted::new(key, from, self.transport)
            .with_payload((start + self.header_len) as u32, self.payload_len)
    }
}

/// The kind of tunnel between two UDP ports: source and destination.
pub(super) trait InUdp: FnOnce(u16, u16) -> Option<TunnelKind> {}

impl<F: FnOnce(u16, u16) -> Option<TunnelKind>> InUdp for F {}

/// Reads the header of a usual packet that carries no tunnel, from the bytes captured from here on,
/// which may extend beyond the packet, and its length on the wire. Otherwise the error is the kind
/// of a tunnel in UDP, with a valid UDP length.
#[inline(always)]
pub(super) fn plain(
    protocol: u8,
    data: &[u8],
    wire: usize,
    in_udp: impl InUdp,
) -> Result<Plain, Option<TunnelKind>> {
    let (ports, transport, header_len, payload_len) = match protocol {
        TCP => {
            let h = data.first_chunk::<16>().ok_or(None)?;
            let header_len = usize::from(h[12] >> 4) * 4;
            if header_len < 20 || header_len > wire {
                return Err(None);
            }
            let transport = Transport::Tcp(Some(segment(h)));
            (ports(h), transport, header_len, wire - header_len)
        }
        UDP => {
            let h = data.first_chunk::<8>().ok_or(None)?;
            let udp_len = usize::from(u16::from_be_bytes([h[4], h[5]]));
            if udp_len < 8 || udp_len > wire {
                return Err(None);
            }
            let ports = ports(h);
            if let Some((source, destination)) = ports
                && let kind @ Some(_) = in_udp(source, destination)
            {
                return Err(kind);
            }
            (ports, Transport::Udp, 8, udp_len - 8)
        }
        _ => return Err(None),
    };
    let ports = ports.ok_or(None)?;
    Ok(Plain {
        ports,
        transport,
        header_len,
        payload_len: payload_len as u32,
    })
}

/// Reads any header of `protocol`.
#[inline]
pub(super) fn read(protocol: u8, body: Body<'_>) -> TransportHeader {
    let Part { data, wire, start } = body.part;
    let len = u32::try_from(wire).unwrap_or(u32::MAX);
    let (transport, (payload, malformed)) = match protocol {
        TCP => {
            let (segment, payload) = tcp(body.part, len);
            (Transport::Tcp(segment), payload)
        }
        UDP => (Transport::Udp, udp(body, len)),
        SCTP => (Transport::Other, (behind(12, start, len), len < 12)),
        _ => (Transport::Other, (behind(0, start, len), false)),
    };
    let ports = if has_ports(protocol) {
        ports(data)
    } else {
        Some((0, 0))
    };
    TransportHeader {
        ports: ports.unwrap_or_default(),
        ports_known: ports.is_some(),
        transport,
        payload,
        malformed,
    }
}

/// Whether packets of this protocol have ports.
pub(super) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

#[inline]
pub(super) fn ports(data: &[u8]) -> Option<(u16, u16)> {
    Some((be16(data, 0)?, be16(data, 2)?))
}

/// The payload after a header at `start`; both together have `len` bytes.
const fn behind(header_len: u32, start: usize, len: u32) -> Payload {
    Payload {
        start: start.saturating_add(header_len as usize),
        len: len.saturating_sub(header_len),
    }
}

/// The payload, and whether the header is malformed.
fn udp(body: Body<'_>, len: u32) -> (Payload, bool) {
    let all = behind(8, body.part.start, len);
    match be16(body.part.data, 4).map(u32::from) {
        _ if len < 8 => (Payload::NONE, true),
        // Cut off.
        None => (all, false),
        Some(0) if body.large => (all, false),
        Some(stated) => {
            // In a first fragment, this is the length of all fragments together.
            let malformed = stated < 8 || (stated > len && !body.more);
            let len = stated.saturating_sub(8).min(all.len);
            (Payload { len, ..all }, malformed)
        }
    }
}

/// The segment, its payload, and whether the header is malformed. The payload after a header that
/// was cut off, or is too short to be one, is unknown.
fn tcp(part: Part<'_>, len: u32) -> (Option<TcpSegment>, (Payload, bool)) {
    let Some(h) = part.data.first_chunk::<16>() else {
        return (None, (Payload::NONE, len < 20));
    };
    let header_len = u32::from(h[12] >> 4) * 4;
    if header_len < 20 {
        return (None, (Payload::NONE, true));
    }
    let payload = behind(header_len, part.start, len);
    (Some(segment(h)), (payload, header_len > len))
}

#[inline]
const fn segment(h: &[u8; 16]) -> TcpSegment {
    TcpSegment {
        flags: h[13],
        sequence: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        acknowledgement: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        window: u16::from_be_bytes([h[14], h[15]]),
    }
}
