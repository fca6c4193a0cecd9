//! Fragments: the packet they belong to, and which part of it each holds.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::transport::{SCTP, TCP, UDP};
use super::v6_chain::{self, Broken};
use super::{Part, Version, header, ip};
use crate::extract::{Datagram, Fragment};

/// The fragment that an IP packet is; `None` if it is whole or unreadable.
pub(super) fn of(version: Version, part: Part<'_>, tags: u64) -> Option<Fragment> {
    let mut fragment = match version {
        Version::V4 => v4(part),
        Version::V6 => v6(part),
    }?;
    fragment.datagram.tags = tags;
    Some(fragment)
}

fn v4(part: Part<'_>) -> Option<Fragment> {
    let header = header::v4(part.data).ok()?;
    if header.fragment_offset() == 0 && !header.more_fragments() {
        return None;
    }
    let total_len = ip::total_len(&header, part).ok()?;
    let body = part.up_to(total_len).behind(header.len);
    let datagram = Datagram::v4(
        Ipv4Addr::from_bits(header.source),
        Ipv4Addr::from_bits(header.destination),
        header.protocol,
        header.id,
    );
    let offset = u32::from(header.fragment_offset()) * 8;
    Some(Fragment {
        datagram,
        protocol: header.protocol,
        offset,
        len: u32::try_from(body.wire).unwrap_or(u32::MAX),
        start: u32::try_from(body.start).unwrap_or(u32::MAX),
        more: header.more_fragments(),
        tiny: is_tiny(header.protocol, offset, body.wire),
        malformed: total_len > part.wire,
    })
}

fn v6(part: Part<'_>) -> Option<Fragment> {
    let header = header::v6(part.data).ok()?;
    let rest = part.behind(header::FIXED_V6);
    let len = match header.payload_len {
        0 => v6_chain::length_of_0(header.protocol, rest).0,
        len => len,
    };
    let found = v6_chain::fragment(header.protocol, rest.up_to(len))?;
    let (protocol, body) = (found.protocol, found.body);
    let tiny = match v6_chain::follow(protocol, body) {
        // RFC 7112: all headers must be in the first fragment.
        Ok(chain) if found.offset == 0 => {
            chain.broken == Some(Broken::Malformed) || is_tiny(chain.protocol, 0, chain.body.wire)
        }
        _ => is_tiny(protocol, found.offset, body.wire),
    };
    Some(Fragment {
        datagram: Datagram::v6(
            address(header.source),
            address(header.destination),
            found.id,
        ),
        protocol,
        offset: found.offset,
        len: u32::try_from(body.wire).unwrap_or(u32::MAX),
        start: u32::try_from(body.start).unwrap_or(u32::MAX),
        more: found.more,
        tiny,
        malformed: len > rest.wire,
    })
}

/// Whether the transport header is spread over several fragments.
const fn is_tiny(protocol: u8, offset: u32, len: usize) -> bool {
    match (protocol, offset) {
        (TCP, 0) => len < 20,
        (UDP, 0) => len < 8,
        (SCTP, 0) => len < 12,
        (TCP, 8) => true,
        _ => false,
    }
}

fn address([high, low]: [u64; 2]) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low))
}
