//! Transport headers.

use super::be16;
use crate::extract::{Extracted, FiveTupleKey, Orientation, Skip, TcpSegment, Transport};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;

/// What a transport header says.
pub(super) struct Said {
    pub(super) ports: (u16, u16),
    transport: Transport,
    payload_len: u32,
}

impl Said {
    #[inline]
    pub(super) fn of(self, key: FiveTupleKey, from: Orientation) -> Extracted<FiveTupleKey> {
        Extracted::new(key, from, self.transport).with_payload_len(self.payload_len)
    }
}

/// Reads the header of `protocol`: `body` is what was captured of it, `len` what the IP header says that there was.
#[inline]
pub(super) fn read(protocol: u8, body: &[u8], len: u32) -> Result<Said, Skip> {
    match protocol {
        TCP => {
            let ports = ports(body).ok_or(Skip::Short)?;
            let (segment, payload) = tcp(body, len);
            Ok(said(ports, Transport::Tcp(segment), payload))
        }
        UDP => {
            let ports = ports(body).ok_or(Skip::Short)?;
            Ok(said(ports, Transport::Udp, len.saturating_sub(8)))
        }
        SCTP => {
            let ports = ports(body).ok_or(Skip::Short)?;
            Ok(said(ports, Transport::Other, len.saturating_sub(12)))
        }
        _ => Ok(said((0, 0), Transport::Other, len)),
    }
}

#[inline]
pub(super) fn ports(body: &[u8]) -> Option<(u16, u16)> {
    Some((be16(body, 0)?, be16(body, 2)?))
}

#[inline]
fn said(ports: (u16, u16), transport: Transport, payload_len: u32) -> Said {
    Said {
        ports,
        transport,
        payload_len,
    }
}

/// The segment, and the bytes behind its header; nothing of a header that is cut short or says that it is too short.
#[inline]
fn tcp(body: &[u8], len: u32) -> (Option<TcpSegment>, u32) {
    let Some(h) = body.first_chunk::<16>() else {
        return (None, 0);
    };
    let header_len = u32::from(h[12] >> 4) * 4;
    if header_len < 20 {
        return (None, 0);
    }
    let segment = TcpSegment {
        flags: h[13],
        sequence: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        acknowledgement: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        window: u16::from_be_bytes([h[14], h[15]]),
    };
    (Some(segment), len.saturating_sub(header_len))
}
