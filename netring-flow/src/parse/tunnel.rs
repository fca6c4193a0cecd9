//! Tunnels: from the IP packet that carries one to the layer inside it.
//!
//! A header that is cut, or says what it cannot, has nothing inside: the packet then counts in the
//! flow that carries it.

mod gre;
mod udp;

use super::v6_chain;
use super::{Layer, Part, Version, ip};
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
    let ip = match version {
        4 => ip::v4(part),
        _ => ip::v6(part),
    }
    .ok()?;
    let body = ip.body;
    let plain = |layer, part, kind| Inside {
        layer,
        part,
        kind,
        id: 0,
        is_fragment: false,
    };
    let mut inside = match ip.protocol {
        _ if ip.broken.is_some() => return None,
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
