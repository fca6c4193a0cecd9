//! The layers of a packet, outermost first: a loop of at most [`MAX_LAYERS`] steps.
//!
//! Each step reads one header and returns the layer that follows. IP is the last step; a tunnel
//! makes it one that returns a layer too.

use netring_sys::{LinkType, Packet};

use super::{Layer, Part, Version, link, nflog};
use crate::extract::Skip;

/// The maximum number of headers read from a packet, from the link layer to IP inclusive. Each VLAN
/// tag and each MPLS label counts as one. A packet that nests deeper is [`Skip::TooDeep`].
pub(super) const MAX_LAYERS: usize = 32;

/// The VLAN identifiers, outermost first; only the first two are kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Tags {
    ids: [u16; 2],
    found: usize,
}

impl Tags {
    /// No tags, as encoded in a key.
    pub(super) const NONE: u64 = 0;

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
        Layer::Pppoe => link::pppoe(part),
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
