//! Tunnels: from the IP packet that carries one to the layer inside it.
//!
//! A truncated or impossible header has nothing inside: the packet then counts in the outer flow.

mod gre;
mod udp;

use super::transport::Body;
use super::{Layer, Part, Version, header, ip};
use crate::extract::{TunnelKind, Tunnels};

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ETHER_IP: u8 = 97;
const MPLS: u8 = 137;
const UDP: u8 = super::transport::UDP;

/// The contents of a tunnel.
pub(super) struct Inside<'a> {
    pub(super) layer: Layer,
    pub(super) part: Part<'a>,
    pub(super) kind: TunnelKind,
    /// 0 if it has none.
    pub(super) id: u32,
    /// The packet that carries it is the first of several fragments, so it may be incomplete.
    pub(super) is_fragment: bool,
}

/// The contents of the tunnel that an IP packet carries; `None` if it carries none of these.
pub(super) fn inside<'a>(
    version: Version,
    part: Part<'a>,
    tunnels: &Tunnels,
) -> Option<Inside<'a>> {
    if tunnels.is_none() {
        return None;
    }
    let (protocol, body) = match version {
        Version::V4 => carried_by_v4(part)?,
        Version::V6 => carried_by_v6(part)?,
    };
    let inside = match protocol {
        UDP => udp::any(body, tunnels),
        _ => in_ip(protocol, body.part, tunnels),
    };
    inside.map(|inside| Inside {
        is_fragment: body.more,
        ..inside
    })
}

/// The same for the body of a usual packet. `in_udp` is the kind that the ports of UDP announce.
#[inline(always)]
pub(super) fn usual<'a>(
    protocol: u8,
    in_udp: Option<TunnelKind>,
    body: Part<'a>,
    tunnels: &Tunnels,
) -> Option<Inside<'a>> {
    match in_udp {
        Some(kind) => udp::usual(kind, body),
        None => in_ip(protocol, body, tunnels),
    }
}

/// The contents of the tunnel that IP carries under this protocol number; `None` if it carries none
/// of these.
#[inline(always)]
fn in_ip<'a>(protocol: u8, part: Part<'a>, tunnels: &Tunnels) -> Option<Inside<'a>> {
    let plain = |layer, part, kind| {
        let inside = Inside {
            layer,
            part,
            kind,
            id: 0,
            is_fragment: false,
        };
        tunnels.has(kind).then_some(inside)
    };
    match protocol {
        IPV4 => plain(Layer::V4, part, TunnelKind::IpInIp),
        IPV6 => plain(Layer::V6, part, TunnelKind::IpInIp),
        GRE => gre::inside(part).filter(|inside| tunnels.has(inside.kind)),
        MPLS => plain(Layer::Mpls, part, TunnelKind::Mpls),
        ETHER_IP => {
            let mut part = part;
            // Version 3, and twelve bits of zeros.
            let [0x30, 0] = part.take::<2>().ok()? else {
                return None;
            };
            plain(Layer::Ethernet, part, TunnelKind::EtherIp)
        }
        _ => None,
    }
}

/// The protocol and the payload of an IPv4 packet that is whole or a first fragment.
#[inline]
fn carried_by_v4(part: Part<'_>) -> Option<(u8, Body<'_>)> {
    let header = header::v4(part.data).ok()?;
    let total_len = ip::total_len(&header, part).ok()?;
    if header.fragment_offset() != 0 {
        return None;
    }
    let body = Body {
        part: part.up_to(total_len).behind(header.len),
        more: header.more_fragments(),
        large: header.total_len == 0,
    };
    Some((header.protocol, body))
}

/// The same for an IPv6 packet, after its extension headers.
fn carried_by_v6(part: Part<'_>) -> Option<(u8, Body<'_>)> {
    let packet = ip::v6(part).ok()?;
    match packet.broken {
        None => Some((packet.protocol, packet.body)),
        Some(_) => None,
    }
}
