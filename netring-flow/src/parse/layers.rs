//! The layers of a packet, outermost first: a loop of at most [`MAX_LAYERS`] steps.
//!
//! Each step reads one header and returns the layer that follows. [`Walk::next_ip`] goes on to the
//! next IP header, [`innermost`] into the tunnels that IP carries.

use netring_sys::{LinkType, Packet};

use super::tunnel::{self, Inside};
use super::{Layer, Part, Version, frame_relay, ip, juniper, link, nflog};
use crate::extract::{Skip, TunnelKind, Tunnels};

/// The maximum number of headers read from a packet, from the link layer to IP inclusive. Each VLAN
/// tag and each MPLS label counts as one. A packet that nests deeper is [`Skip::TooDeep`].
pub(super) const MAX_LAYERS: u8 = 32;

/// The layers before an IP header: VLAN tags, and the innermost tunnel.
#[derive(Clone, Copy, Default)]
pub(super) struct Tags {
    pub(super) vlans: Vlans,
    pub(super) tunnel: Option<(TunnelKind, u32)>,
}

/// The VLAN identifiers of the innermost frame that has an Ethernet header; only the first two are
/// kept. As encoded in a key, with [`PRESENT`](Self::PRESENT) in both halves.
#[derive(Clone, Copy, Default)]
pub(super) struct Vlans(u32);

impl Vlans {
    const ID: u32 = 0x0fff;
    /// There is a tag; its identifier may be 0.
    const PRESENT: u32 = 0x1000;

    #[inline]
    pub(super) fn push(&mut self, tci: u16) {
        let tag = u32::from(tci) & Self::ID | Self::PRESENT;
        if self.0 == 0 {
            self.0 = tag << 16;
        } else if self.0 & Self::PRESENT == 0 {
            self.0 |= tag;
        }
    }

    /// As encoded in a key.
    #[inline]
    pub(super) const fn bits(self) -> u32 {
        self.0 & (Self::ID << 16 | Self::ID)
    }
}

impl Tags {
    /// No tags, as encoded in a key.
    pub(super) const NONE: u64 = 0;

    /// Notes a tunnel. The tags before an inner frame belong to another network.
    #[inline]
    pub(super) fn enter(&mut self, kind: TunnelKind, id: u32, layer: Layer) {
        if layer == Layer::Ethernet {
            self.vlans = Vlans::default();
        }
        self.tunnel = Some((kind, id));
    }
}

/// An IP header on the way, and what came before it.
#[derive(Clone, Copy)]
pub(super) struct Reached<'a> {
    pub(super) version: Version,
    pub(super) part: Part<'a>,
    pub(super) tags: Tags,
    /// How many tunnels are before it.
    pub(super) depth: u8,
    /// It is in the first fragment of a packet, which may be incomplete.
    pub(super) is_in_fragment: bool,
    /// There are more tunnels inside.
    pub(super) is_too_deep: bool,
}

/// A walk from the outermost header inwards.
pub(super) struct Walk<'a> {
    layer: Layer,
    /// Headers that may still be read.
    pub(super) left: u8,
    /// Where the layer starts, and what came before it.
    pub(super) reached: Reached<'a>,
}

impl<'a> Walk<'a> {
    #[inline(always)]
    pub(super) fn new(packet: &Packet<'a>) -> Result<Self, Skip> {
        let mut tags = Tags::default();
        if let Some(tag) = packet.vlan() {
            tags.vlans.push(tag.tci);
        }
        Ok(Self {
            layer: outermost(packet.link_type())?,
            left: MAX_LAYERS,
            reached: Reached {
                version: Version::V4,
                part: Part::all(packet),
                tags,
                depth: 0,
                is_in_fragment: false,
                is_too_deep: false,
            },
        })
    }

    /// Goes on to the next IP header. It is inlined, so that the walk stays in registers.
    #[inline(always)]
    pub(super) fn next_ip(&mut self, tunnels: &Tunnels) -> Result<(), Skip> {
        let Reached {
            version,
            part,
            tags,
            ..
        } = &mut self.reached;
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.layer = match self.layer {
                Layer::V4 => {
                    *version = Version::V4;
                    return Ok(());
                }
                Layer::V6 => {
                    *version = Version::V6;
                    return Ok(());
                }
                Layer::Ip => {
                    *version = ip::version(*part)?;
                    return Ok(());
                }
                Layer::Ethernet => link::ethernet(part)?,
                Layer::Vlan => {
                    let (next, tci) = link::vlan(part)?;
                    tags.vlans.push(tci);
                    next
                }
                Layer::Mpls => link::label(part)?,
                layer => {
                    // A copy: a value whose reference is passed to a function must live in memory
                    // from then on.
                    let (mut rest, mut seen) = (*part, *tags);
                    let next = seldom(layer, &mut rest, &mut seen, tunnels)?;
                    (*part, *tags) = (rest, seen);
                    next
                }
            };
        }
        Err(Skip::TooDeep)
    }

    /// Enters a tunnel, unless the depth is exhausted.
    fn enter(&mut self, inside: &Inside<'a>, most: u8) -> bool {
        let reached = &mut self.reached;
        if reached.depth >= most {
            reached.is_too_deep = true;
            return false;
        }
        reached.depth += 1;
        reached.is_in_fragment |= inside.is_fragment;
        reached.part = inside.part;
        reached.tags.enter(inside.kind, inside.id, inside.layer);
        self.layer = inside.layer;
        true
    }
}

/// Walks to the IP header and returns the result of `read` for the bytes from there on and the tags
/// before it.
pub(super) fn walk<'a, T>(
    packet: &Packet<'a>,
    read: impl FnOnce(Version, Part<'a>, Tags) -> Result<T, Skip>,
) -> Result<T, Skip> {
    let mut walk = Walk::new(packet)?;
    walk.next_ip(&Tunnels::none())?;
    let Reached {
        version,
        part,
        tags,
        ..
    } = walk.reached;
    read(version, part, tags)
}

/// Walks through tunnels, at most `most` of them, to the innermost IP header. An error comes with
/// the number of tunnels before it. `each` sees every IP header.
pub(super) fn innermost<'a>(
    packet: &Packet<'a>,
    tunnels: &Tunnels,
    most: u8,
    mut each: impl FnMut(&Reached<'a>),
) -> Result<Reached<'a>, (Skip, u8)> {
    let mut walk = Walk::new(packet).map_err(|skip| (skip, 0))?;
    loop {
        let found = walk.next_ip(tunnels);
        found.map_err(|skip| (skip, walk.reached.depth))?;
        each(&walk.reached);
        let Reached { version, part, .. } = walk.reached;
        match tunnel::inside(version, part, tunnels) {
            Some(inside) if walk.enter(&inside, most) => {}
            _ => return Ok(walk.reached),
        }
    }
}

pub(super) const fn outermost(link_type: LinkType) -> Result<Layer, Skip> {
    Ok(match link_type {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::RAW_IP | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => Layer::Ip,
        LinkType::IPV4 => Layer::V4,
        LinkType::IPV6 => Layer::V6,
        LinkType::NULL | LinkType::LOOP => Layer::Loopback,
        LinkType::LINUX_SLL => Layer::Cooked,
        LinkType::LINUX_SLL2 => Layer::Cooked2,
        LinkType::PPP | LinkType::PPP_HDLC => Layer::Hdlc,
        LinkType::PPP_ETHER => Layer::Pppoe,
        LinkType::C_HDLC => Layer::CiscoHdlc,
        LinkType::PFLOG => Layer::Pflog,
        LinkType::NFLOG => Layer::Nflog,
        LinkType::FRELAY => Layer::FrameRelay,
        LinkType::IPNET => Layer::Ipnet,
        LinkType::IPOIB => Layer::InfiniBand,
        LinkType::JUNIPER_ETHER => Layer::JuniperEthernet,
        LinkType::JUNIPER_PPP => Layer::JuniperPpp,
        LinkType::JUNIPER_FRELAY => Layer::JuniperFrameRelay,
        LinkType::JUNIPER_CHDLC => Layer::JuniperHdlc,
        _ => return Err(Skip::LinkType),
    })
}

/// Strips one link layer header of any kind, and returns the layer that follows.
pub(super) fn next(layer: Layer, part: &mut Part<'_>) -> Result<Layer, Skip> {
    match layer {
        Layer::Ethernet => link::ethernet(part),
        Layer::Vlan => link::vlan(part).map(|(next, _)| next),
        layer => seldom(layer, part, &mut Tags::default(), &Tunnels::none()),
    }
}

/// Takes a header off that few packets have, and returns the layer that follows.
#[inline(never)]
fn seldom(
    layer: Layer,
    part: &mut Part<'_>,
    tags: &mut Tags,
    tunnels: &Tunnels,
) -> Result<Layer, Skip> {
    match layer {
        Layer::Pppoe => {
            let (next, session) = link::pppoe(part)?;
            tags.enter(TunnelKind::Pppoe, session.into(), next);
            Ok(next)
        }
        Layer::Pseudowire if tunnels.has(TunnelKind::Mpls) => {
            // Four bytes: zeros, flags, a length and a sequence number.
            part.take::<4>()?;
            tags.enter(TunnelKind::Mpls, 0, Layer::Ethernet);
            Ok(Layer::Ethernet)
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
        Layer::FrameRelay => frame_relay::frame(part),
        Layer::Ipnet => link::ipnet(part),
        Layer::InfiniBand => link::infiniband(part),
        Layer::JuniperEthernet => juniper::header(part, Layer::Ethernet),
        Layer::JuniperPpp => juniper::header(part, Layer::Hdlc),
        Layer::JuniperFrameRelay => juniper::header(part, Layer::FrameRelay),
        Layer::JuniperHdlc => juniper::header(part, Layer::CiscoHdlc),
        // Unreachable: the walk takes these steps itself.
        Layer::Ethernet | Layer::Vlan | Layer::Mpls | Layer::V4 | Layer::V6 | Layer::Ip => {
            Ok(layer)
        }
    }
}
