//! Tunnels: from the IP packet that carries one to the layer inside it.
//!
//! A header that is cut, or says what it cannot, has nothing inside: the packet then counts in the
//! flow that carries it.

mod gre;
mod udp;

use super::transport::Body;
use super::{Layer, Part, Version, header, ip, v6_chain};
use crate::extract::{TunnelKind, Tunnels};

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ETHER_IP: u8 = 97;
const MPLS: u8 = 137;
const UDP: u8 = super::transport::UDP;

/// What a tunnel carries.
pub(super) struct Inside<'a> {
    pub(super) layer: Layer,
    pub(super) part: Part<'a>,
    pub(super) kind: TunnelKind,
    /// 0 if it has none.
    pub(super) id: u32,
    /// The packet that carries it is the first of several fragments, so it may be incomplete.
    pub(super) is_fragment: bool,
}

/// What is inside the tunnel that an IP packet carries; `None` if it carries none of these.
#[inline]
pub(super) fn inside<'a>(
    version: Version,
    part: Part<'a>,
    tunnels: &Tunnels,
) -> Option<Inside<'a>> {
    let version = ip::version(version, part).ok()?;
    let protocol = *part.data.get(if version == 4 { 9 } else { 6 })?;
    let may_be = match protocol {
        UDP => tunnels.are_in_udp(),
        IPV4 | IPV6 | GRE | ETHER_IP | MPLS => true,
        _ => version == 6 && v6_chain::is_extension(protocol),
    };
    if !may_be {
        return None;
    }
    let (protocol, body) = if version == 4 {
        carried_by_v4(part)?
    } else {
        carried_by_v6(part)?
    };
    let plain = |layer, part, kind| Inside {
        layer,
        part,
        kind,
        id: 0,
        is_fragment: false,
    };
    let mut inside = match protocol {
        IPV4 => plain(Layer::Ip(Version::V4), body.part, TunnelKind::IpInIp),
        IPV6 => plain(Layer::Ip(Version::V6), body.part, TunnelKind::IpInIp),
        GRE => gre::inside(body.part)?,
        MPLS => plain(Layer::Mpls, body.part, TunnelKind::Mpls),
        UDP => udp::inside(body, tunnels)?,
        ETHER_IP => {
            let mut part = body.part;
            // Version 3, and twelve bits of zeros.
            let [0x30, 0] = part.take::<2>().ok()? else {
                return None;
            };
            plain(Layer::Ethernet, part, TunnelKind::EtherIp)
        }
        _ => return None,
    };
    inside.is_fragment = body.more;
    tunnels.has(inside.kind).then_some(inside)
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

/// The same of an IPv6 packet, behind its extension headers.
fn carried_by_v6(part: Part<'_>) -> Option<(u8, Body<'_>)> {
    let packet = ip::v6(part).ok()?;
    match packet.broken {
        None => Some((packet.protocol, packet.body)),
        Some(_) => None,
    }
}
