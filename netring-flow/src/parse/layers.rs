//! The layers of a packet, outermost first: a loop of at most [`MAX_LAYERS`] steps.
//!
//! Each step reads one header and returns the layer that follows. [`walk`] ends at the first IP
//! header, [`innermost`] goes on into the tunnels that IP carries.

use netring_sys::{LinkType, Packet};

use super::{Layer, Part, Version, link, nflog, tunnel};
use crate::extract::{Skip, TunnelKind, Tunnels};

/// The maximum number of headers read from a packet, from the link layer to IP inclusive. Each VLAN
/// tag and each MPLS label counts as one. A packet that nests deeper is [`Skip::TooDeep`].
pub(super) const MAX_LAYERS: usize = 32;

/// The VLAN identifiers of the innermost frame that has an Ethernet header, outermost first; only
/// the first two are kept. And the innermost tunnel.
#[derive(Clone, Copy, Default)]
pub(super) struct Tags {
    ids: [u16; 2],
    found: usize,
    pub(super) tunnel: Option<(TunnelKind, u32)>,
}

impl Tags {
    /// No tags, as encoded in a key.
    pub(super) const NONE: u64 = 0;

    /// Takes note of a tunnel. The tags before a frame of its own are those of another network.
    fn enter(&mut self, kind: TunnelKind, id: u32, layer: Layer) {
        if layer == Layer::Ethernet {
            (self.ids, self.found) = ([0; 2], 0);
        }
        self.tunnel = Some((kind, id));
    }

    fn push(&mut self, tci: u16) {
        if let Some(id) = self.ids.get_mut(self.found) {
            *id = tci & 0x0fff;
            self.found += 1;
        }
    }

    /// The tags as encoded in a key.
    pub(super) fn bits(self) -> u64 {
        (u64::from(self.ids[0]) << 16) | u64::from(self.ids[1])
    }
}

/// Walks to the IP header and returns what `read` makes of the bytes from there on and of the tags
/// on the way.
#[inline(always)]
pub(super) fn walk<'a, T>(
    packet: &Packet<'a>,
    read: impl FnOnce(Version, Part<'a>, Tags) -> Result<T, Skip>,
) -> Result<T, Skip> {
    let mut tags = Tags::default();
    if let Some(tag) = packet.vlan() {
        tags.push(tag.tci);
    }
    let mut layer = outermost(packet.link_type())?;
    let mut part = Part::all(packet);
    for _ in 0..MAX_LAYERS {
        if let Layer::Ip(version) = layer {
            return read(version, part, tags);
        }
        layer = step(layer, &mut part, &mut tags)?;
    }
    Err(Skip::TooDeep)
}

/// An IP header on the way, and what came before it.
#[derive(Clone, Copy)]
pub(super) struct Reached<'a> {
    pub(super) version: Version,
    pub(super) part: Part<'a>,
    pub(super) tags: Tags,
    /// How many tunnels are before it.
    pub(super) depth: u8,
    /// It is in the first fragment of a packet, which may not hold all of it.
    pub(super) is_in_fragment: bool,
    /// There are more tunnels inside.
    pub(super) is_too_deep: bool,
}

/// Walks through tunnels, at most `most` of them, to the innermost IP header. An error comes with the
/// number of tunnels before it. `each` sees every IP header.
pub(super) fn innermost<'a>(
    packet: &Packet<'a>,
    tunnels: &Tunnels,
    most: u8,
    mut each: impl FnMut(&Reached<'a>),
) -> Result<Reached<'a>, (Skip, u8)> {
    let mut tags = Tags::default();
    if let Some(tag) = packet.vlan() {
        tags.push(tag.tci);
    }
    let mut layer = outermost(packet.link_type()).map_err(|skip| (skip, 0))?;
    let mut part = Part::all(packet);
    let (mut depth, mut is_in_fragment) = (0, false);
    for _ in 0..MAX_LAYERS {
        let next = match layer {
            Layer::Ip(version) => {
                let mut reached = Reached {
                    version,
                    part,
                    tags,
                    depth,
                    is_in_fragment,
                    is_too_deep: false,
                };
                each(&reached);
                let Some(inside) = tunnel::inside(version, part, tunnels) else {
                    return Ok(reached);
                };
                if depth >= most {
                    reached.is_too_deep = true;
                    return Ok(reached);
                }
                depth += 1;
                is_in_fragment |= inside.is_fragment;
                part = inside.part;
                tags.enter(inside.kind, inside.id, inside.layer);
                Ok(inside.layer)
            }
            Layer::Pseudowire if tunnels.has(TunnelKind::Mpls) => {
                // Four bytes: zeros, flags, a length and a sequence number.
                part.take::<4>().map(|_| {
                    tags.enter(TunnelKind::Mpls, 0, Layer::Ethernet);
                    Layer::Ethernet
                })
            }
            _ => step(layer, &mut part, &mut tags),
        };
        layer = next.map_err(|skip| (skip, depth))?;
    }
    Err((Skip::TooDeep, depth))
}

const fn outermost(link_type: LinkType) -> Result<Layer, Skip> {
    use Version::{Any, V4, V6};
    Ok(match link_type {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::RAW_IP | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => Layer::Ip(Any),
        LinkType::IPV4 => Layer::Ip(V4),
        LinkType::IPV6 => Layer::Ip(V6),
        LinkType::NULL | LinkType::LOOP => Layer::Loopback,
        LinkType::LINUX_SLL => Layer::Cooked,
        LinkType::LINUX_SLL2 => Layer::Cooked2,
        LinkType::PPP | LinkType::PPP_HDLC => Layer::Hdlc,
        LinkType::PPP_ETHER => Layer::Pppoe,
        LinkType::C_HDLC => Layer::CiscoHdlc,
        LinkType::PFLOG => Layer::Pflog,
        LinkType::NFLOG => Layer::Nflog,
        _ => return Err(Skip::LinkType),
    })
}

/// Takes one header off and returns the layer that follows.
#[inline]
fn step(layer: Layer, part: &mut Part<'_>, tags: &mut Tags) -> Result<Layer, Skip> {
    match layer {
        Layer::Ethernet => link::ethernet(part),
        Layer::Vlan => {
            let (next, tci) = link::vlan(part)?;
            tags.push(tci);
            Ok(next)
        }
        Layer::Mpls => link::label(part),
        Layer::Pppoe => {
            let (next, session) = link::pppoe(part)?;
            tags.enter(TunnelKind::Pppoe, session.into(), next);
            Ok(next)
        }
        Layer::Pseudowire => Err(Skip::NotIp),
        Layer::Ppp => link::ppp(part),
        Layer::Hdlc => link::hdlc(part),
        Layer::CiscoHdlc => link::cisco(part),
        Layer::Llc => link::llc(part),
        Layer::Loopback => link::loopback(part),
        Layer::Cooked => link::cooked(part),
        Layer::Cooked2 => link::cooked2(part),
        Layer::Pflog => link::pflog(part),
        Layer::Nflog => nflog::payload(part),
        // Unreachable: the loop hands IP on before it takes a step.
        Layer::Ip(_) => Ok(layer),
    }
}
