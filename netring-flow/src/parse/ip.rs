//! IPv4 with options, IPv6 with extension headers.

use super::{icmp, transport};
use crate::extract::{Extracted, FiveTupleKey, Skip};

/// What the caller wants in the key.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) tags: u64,
    pub(super) icmp_errors: bool,
}

pub(super) const ICMP: u8 = 1;
pub(super) const ICMP6: u8 = 58;

#[inline]
pub(super) fn v4(data: &[u8], rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let header = v4_header(data)?;
    if header.total_len < header.len {
        return Err(Skip::IpTotalLength);
    }
    if header.fragment_offset != 0 {
        return Err(Skip::Fragment);
    }
    // Behind the total length is padding.
    let end = data.len().min(header.total_len);
    let body = data.get(header.len..end).unwrap_or_default();
    if rules.icmp_errors
        && header.protocol == ICMP
        && let Some(error) = icmp::error_v4(body)
    {
        return icmp::quoted(body, error, rules.tags);
    }
    let said = transport::read(
        header.protocol,
        body,
        (header.total_len - header.len) as u32,
    )?;
    let (key, orientation) = FiveTupleKey::v4(
        header.protocol,
        (header.source, said.ports.0),
        (header.target, said.ports.1),
        rules.tags,
    );
    Ok(said.of(key, orientation))
}

#[inline]
pub(super) fn v6(data: &[u8], rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let header = v6_header(data)?;
    let rest = &data[40..];
    // Zero stands for more than the field can say: a jumbogram, or a segment that a card is to cut.
    let len = match header.payload_len {
        0 => rest.len(),
        len => len,
    };
    let inside = &rest[..rest.len().min(len)];
    let (protocol, body) = extensions(header.protocol, inside)?;
    if rules.icmp_errors
        && protocol == ICMP6
        && let Some(error) = icmp::error_v6(body)
    {
        return icmp::quoted(body, error, rules.tags);
    }
    let len = len - (inside.len() - body.len());
    let said = transport::read(protocol, body, u32::try_from(len).unwrap_or(u32::MAX))?;
    let (key, orientation) = FiveTupleKey::v6(
        protocol,
        (header.source, said.ports.0),
        (header.target, said.ports.1),
        rules.tags,
    );
    Ok(said.of(key, orientation))
}

pub(super) struct V4 {
    pub(super) len: usize,
    pub(super) total_len: usize,
    pub(super) fragment_offset: u16,
    pub(super) protocol: u8,
    pub(super) source: u32,
    pub(super) target: u32,
}

#[inline]
pub(super) fn v4_header(data: &[u8]) -> Result<V4, Skip> {
    let first = *data.first().ok_or(Skip::Short)?;
    if first >> 4 != 4 {
        return Err(Skip::IpVersion);
    }
    let len = usize::from(first & 0xf) * 4;
    if len < 20 {
        return Err(Skip::IpHeaderLength);
    }
    let h = data.first_chunk::<20>().ok_or(Skip::Short)?;
    Ok(V4 {
        len,
        total_len: u16::from_be_bytes([h[2], h[3]]).into(),
        fragment_offset: u16::from_be_bytes([h[6], h[7]]) & 0x1fff,
        protocol: h[9],
        source: u32::from_be_bytes([h[12], h[13], h[14], h[15]]),
        target: u32::from_be_bytes([h[16], h[17], h[18], h[19]]),
    })
}

pub(super) struct V6 {
    pub(super) payload_len: usize,
    pub(super) protocol: u8,
    pub(super) source: [u64; 2],
    pub(super) target: [u64; 2],
}

#[inline]
pub(super) fn v6_header(data: &[u8]) -> Result<V6, Skip> {
    if data.first().ok_or(Skip::Short)? >> 4 != 6 {
        return Err(Skip::IpVersion);
    }
    let h = data.first_chunk::<40>().ok_or(Skip::Short)?;
    let word = |at: usize| {
        u64::from_be_bytes([
            h[at],
            h[at + 1],
            h[at + 2],
            h[at + 3],
            h[at + 4],
            h[at + 5],
            h[at + 6],
            h[at + 7],
        ])
    };
    Ok(V6 {
        payload_len: u16::from_be_bytes([h[4], h[5]]).into(),
        protocol: h[6],
        source: [word(8), word(16)],
        target: [word(24), word(32)],
    })
}

/// The protocol behind the extension headers, and its bytes.
#[inline]
pub(super) fn extensions(mut next: u8, mut data: &[u8]) -> Result<(u8, &[u8]), Skip> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    loop {
        let unit = match next {
            HOP_BY_HOP | ROUTING | DESTINATION => 8,
            FRAGMENT => 0,
            AUTHENTICATION => 4,
            _ => return Ok((next, data)),
        };
        let header = data.first_chunk::<8>().ok_or(Skip::Short)?;
        let len = match next {
            FRAGMENT if u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0 => {
                return Err(Skip::Fragment);
            }
            FRAGMENT => 8,
            // In units of 8 bytes, the first not counted; in units of 4, the first two not counted.
            _ => 8 + usize::from(header[1]) * unit,
        };
        next = header[0];
        data = data.get(len..).ok_or(Skip::Short)?;
    }
}
