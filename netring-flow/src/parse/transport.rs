//! Transport headers.

use super::{Part, be16};
use crate::extract::{Extracted, FiveTupleKey, Orientation, TcpSegment, Transport};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;

/// What is behind the IP header.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) part: Part<'a>,
    /// It goes on in another fragment.
    pub(super) more: bool,
    /// A UDP length of 0 stands for all of it.
    pub(super) large: bool,
}

/// What a transport header says.
pub(super) struct Said {
    /// 0 if they are unknown, or the protocol has none.
    pub(super) ports: (u16, u16),
    ports_known: bool,
    transport: Transport,
    payload_len: u32,
    /// It contradicts itself, or does not end within the packet.
    malformed: bool,
}

impl Said {
    /// Of a protocol with ports, of which nothing else is of interest.
    pub(super) const fn with_ports(ports: (u16, u16)) -> Self {
        Self {
            ports,
            ports_known: true,
            transport: Transport::Other,
            payload_len: 0,
            malformed: false,
        }
    }

    /// Of a protocol whose header cannot be reached.
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
            payload_len: 0,
            malformed,
        }
    }

    /// What was read of the packet of this key, whose IP header may be malformed too.
    #[inline]
    pub(super) fn of(
        self,
        key: FiveTupleKey,
        from: Orientation,
        malformed: bool,
    ) -> Extracted<FiveTupleKey> {
        let key = key.with_unknown_ports(!self.ports_known);
        Extracted::new(key, from, self.transport)
            .with_payload_len(self.payload_len)
            .with_malformed(self.malformed | malformed)
    }
}

/// What the whole header of a TCP segment or UDP datagram says that contradicts nothing.
pub(super) struct Plain {
    pub(super) ports: (u16, u16),
    transport: Transport,
    payload_len: u32,
}

impl Plain {
    #[inline]
    pub(super) fn of(self, key: FiveTupleKey, from: Orientation) -> Extracted<FiveTupleKey> {
        Extracted::new(key, from, self.transport).with_payload_len(self.payload_len)
    }
}

/// Reads a header that is as nearly all are. The packet has `len` bytes behind its IP header;
/// `data` is what was captured of them.
#[inline]
pub(super) fn plain(protocol: u8, data: &[u8], len: usize) -> Option<Plain> {
    let (ports, transport, payload_len) = match protocol {
        TCP => {
            let h = data.first_chunk::<16>()?;
            let header_len = usize::from(h[12] >> 4) * 4;
            if header_len < 20 || header_len > len {
                return None;
            }
            let transport = Transport::Tcp(Some(segment(h)));
            (ports(h)?, transport, len - header_len)
        }
        UDP => {
            let h = data.first_chunk::<8>()?;
            let udp_len = usize::from(u16::from_be_bytes([h[4], h[5]]));
            if udp_len < 8 || udp_len > len {
                return None;
            }
            (ports(h)?, Transport::Udp, udp_len - 8)
        }
        _ => return None,
    };
    Some(Plain {
        ports,
        transport,
        payload_len: payload_len as u32,
    })
}

/// Reads any header of `protocol`.
pub(super) fn read(protocol: u8, body: Body<'_>) -> Said {
    let Part { data, wire } = body.part;
    let len = u32::try_from(wire).unwrap_or(u32::MAX);
    match protocol {
        TCP => {
            let (segment, payload) = tcp(data, len);
            said(data, Transport::Tcp(segment), payload)
        }
        UDP => said(data, Transport::Udp, udp(body, len)),
        SCTP => {
            let payload = (len.saturating_sub(12), len < 12);
            said(data, Transport::Other, payload)
        }
        _ => Said {
            ports: (0, 0),
            ports_known: true,
            transport: Transport::Other,
            payload_len: len,
            malformed: false,
        },
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

/// `payload` is its length, and whether the header is malformed.
fn said(data: &[u8], transport: Transport, (payload_len, malformed): (u32, bool)) -> Said {
    let ports = ports(data);
    Said {
        ports: ports.unwrap_or_default(),
        ports_known: ports.is_some(),
        transport,
        payload_len,
        malformed,
    }
}

/// The length of the payload, and whether the header is malformed.
fn udp(body: Body<'_>, len: u32) -> (u32, bool) {
    let all = len.saturating_sub(8);
    match be16(body.part.data, 4).map(u32::from) {
        _ if len < 8 => (0, true),
        // Cut off.
        None => (all, false),
        Some(0) if body.large => (all, false),
        Some(said) => {
            // Of a first fragment it is the length of all fragments.
            let malformed = said < 8 || (said > len && !body.more);
            (said.saturating_sub(8).min(all), malformed)
        }
    }
}

/// The segment, the length of its payload, and whether the header is malformed. No payload is known
/// behind a header that was cut off, or is too short to be one.
fn tcp(data: &[u8], len: u32) -> (Option<TcpSegment>, (u32, bool)) {
    let Some(h) = data.first_chunk::<16>() else {
        return (None, (0, len < 20));
    };
    let header_len = u32::from(h[12] >> 4) * 4;
    if header_len < 20 {
        return (None, (0, true));
    }
    let payload = (len.saturating_sub(header_len), header_len > len);
    (Some(segment(h)), payload)
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
