//! The parser behind the built-in key: from the bytes of a packet to its flow.
//!
//! Nothing is trusted: each read is from a slice of checked length, and each loop advances in the
//! packet.
//!
//! Two lengths pass down through the layers: the captured bytes, which can be read, and the bytes
//! on the wire, which count as payload and decide whether a header is complete or malformed.

mod fragment;
mod frame_relay;
mod header;
mod icmp;
mod ip;
mod ip_len;
mod juniper;
mod layers;
mod link;
mod mpls;
mod nested;
mod nflog;
mod options;
mod plain;
mod transport;
mod tunnel;
mod v6_chain;

pub(crate) use ip_len::{innermost_ip_len, ip_len};
pub(crate) use mpls::top_label;
pub(crate) use options::{urgent_pointer, window_scale};

use netring_sys::Packet;

use crate::extract::{Extracted, FiveTupleKey, Fragment, Piece, Skip, Tunnels};
use ip::IpPacket;
use layers::{MAX_LAYERS, Reached, Tags, Vlans, Walk};
use transport::TransportHeader;
use v6_chain::Broken;

/// What goes into the key, and what becomes a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// VLAN identifiers go into the key.
    pub(crate) vlan: bool,
    /// The innermost tunnel goes into the key.
    pub(crate) tunnel: bool,
    /// An ICMP error is reported against the flow that it quotes.
    pub(crate) quoted: bool,
    /// A first fragment is [`Skip::Fragment`], like the others, and a packet with too many tunnels
    /// is [`Skip::TooDeep`].
    pub(crate) whole: bool,
    /// The tunnels that are looked into.
    pub(crate) tunnels: Tunnels,
}

impl Rules {
    /// The tags as encoded in a key.
    #[inline]
    fn tags(&self, tags: &Tags) -> u64 {
        let ids = match self.vlan {
            true => tags.vlans.bits().into(),
            false => Tags::NONE,
        };
        match tags.tunnel {
            Some((_, id)) if self.tunnel => ids | u64::from(id) << 32,
            _ => ids,
        }
    }

    /// Puts the tags in the key, if enabled.
    #[inline(always)]
    fn tagged(&self, mut found: Extracted<FiveTupleKey>, tags: &Tags) -> Extracted<FiveTupleKey> {
        if self.vlan | self.tunnel {
            found.key = found.key.with_tags(self.tags(tags));
            if let Some((kind, _)) = tags.tunnel
                && self.tunnel
            {
                found.key = found.key.in_tunnel(kind);
            }
        }
        found
    }
}

/// Reads a packet. If `whole`, a first fragment is [`Skip::Fragment`], like the others, and a
/// packet with too many tunnels is [`Skip::TooDeep`].
///
/// This and the functions of `plain` are always inlined: with two callers the compiler would inline
/// them in neither, at a cost of 20 instructions per packet.
#[inline(always)]
pub(crate) fn packet(
    packet: &Packet<'_>,
    rules: &Rules,
    whole: bool,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    // Nearly every packet takes this path, by far the shortest.
    match link::untagged(packet) {
        Some((link::IPV4, part)) => match plain::v4(part) {
            Some(ip) => match ip.read(|from, to| rules.tunnels.of_ports(from, to)) {
                Ok(found) => Ok(found),
                Err(kind) => {
                    let before = ip.before(kind, Vlans::default(), MAX_LAYERS - 2, whole);
                    nested::read(packet, rules, ip.place(), before)
                }
            },
            None => general(packet, rules, whole),
        },
        Some((link::IPV6, part)) => match plain::v6(part) {
            Some(ip) => match ip.read(|from, to| rules.tunnels.of_ports(from, to)) {
                Ok(found) => Ok(found),
                Err(kind) => {
                    let before = ip.before(kind, Vlans::default(), MAX_LAYERS - 2, whole);
                    nested::read(packet, rules, ip.place(), before)
                }
            },
            None => general(packet, rules, whole),
        },
        _ => layered(packet, rules, whole),
    }
}

/// Reads a packet with an IP header that does not directly follow an Ethernet header.
#[inline(never)]
fn layered(
    packet: &Packet<'_>,
    rules: &Rules,
    whole: bool,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let mut walk = Walk::new(packet)?;
    walk.next_ip(&rules.tunnels)?;
    let Reached {
        version,
        part,
        tags,
        ..
    } = walk.reached;
    let left = walk.left;
    match version {
        Version::V4 => match plain::v4(part) {
            Some(ip) => match ip.read(|from, to| rules.tunnels.of_ports(from, to)) {
                Ok(found) => Ok(rules.tagged(found, &tags)),
                Err(kind) => {
                    let before = ip.before(kind, tags.vlans, left, whole);
                    nested::read(packet, rules, ip.place(), before)
                }
            },
            None => general(packet, rules, whole),
        },
        Version::V6 => match plain::v6(part) {
            Some(ip) => match ip.read(|from, to| rules.tunnels.of_ports(from, to)) {
                Ok(found) => Ok(rules.tagged(found, &tags)),
                Err(kind) => {
                    let before = ip.before(kind, tags.vlans, left, whole);
                    nested::read(packet, rules, ip.place(), before)
                }
            },
            None => general(packet, rules, whole),
        },
    }
}

/// Reads any packet by the general path: the innermost packet, or the one that carries it if that
/// is unreadable. A fast path that meets something unusual restarts here.
#[inline(never)]
fn general(
    packet: &Packet<'_>,
    rules: &Rules,
    whole: bool,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let rules = Rules { whole, ..*rules };
    let most = rules.tunnels.depth();
    let (skip, depth) = match layers::innermost(packet, &rules.tunnels, most, |_| ()) {
        Ok(reached) => match reached_packet(&reached, rules) {
            Err(skip) if !matches!(skip, Skip::Fragment | Skip::TooDeep) => (skip, reached.depth),
            found => return found,
        },
        Err(why) => why,
    };
    reached_packet(&carrier(packet, rules, skip, depth)?, rules)
}

/// The packet that carries the last of `depth` tunnels, if only `skip` could be read inside.
/// Walking again costs less than keeping it for every packet.
#[cold]
fn carrier<'a>(
    packet: &Packet<'a>,
    rules: Rules,
    skip: Skip,
    depth: u8,
) -> Result<Reached<'a>, Skip> {
    let most = depth.checked_sub(1).ok_or(skip)?;
    let reached = layers::innermost(packet, &rules.tunnels, most, |_| ());
    let mut reached = reached.map_err(|(skip, _)| skip)?;
    reached.is_too_deep = skip == Skip::TooDeep;
    Ok(reached)
}

fn reached_packet(reached: &Reached<'_>, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    let bits = rules.tags(&reached.tags);
    let mut found = ip_packet(reached.version, reached.part, bits, rules)?;
    if reached.is_too_deep && rules.whole {
        return Err(Skip::TooDeep);
    }
    if reached.is_in_fragment {
        if rules.whole {
            return Err(Skip::Fragment);
        }
        // The rest of it is in other fragments.
        found = found.with_malformed(false).with_piece(Piece::First);
    }
    Ok(rules.tagged(found, &reached.tags))
}

fn ip_packet(
    version: Version,
    part: Part<'_>,
    tags: u64,
    rules: Rules,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    match version {
        Version::V4 => transport(&ip::v4(part)?, tags, rules),
        Version::V6 => transport(&ip::v6(part)?, tags, rules),
    }
}

/// Inlined into both callers, so that each contains code for its version only.
#[inline(always)]
fn transport(ip: &IpPacket<'_>, tags: u64, rules: Rules) -> Result<Extracted<FiveTupleKey>, Skip> {
    if rules.quoted
        && let Some(error) = ip.icmp_error()
    {
        return icmp::quoted(ip.body.part.data, error, tags);
    }
    if rules.whole && ip.body.more {
        return Err(Skip::Fragment);
    }
    let header = match ip.broken {
        None => transport::read(ip.protocol, ip.body),
        Some(broken) => TransportHeader::unreached(ip.protocol, broken == Broken::Malformed),
    };
    let (key, orientation) = ip.addresses.key(ip.protocol, header.ports, tags);
    let found = header.of(key, orientation, ip.malformed);
    Ok(if ip.body.more {
        found.with_piece(Piece::First)
    } else {
        found
    })
}

/// Reports the packets that a packet is a fragment of.
#[cold]
pub(crate) fn fragments(packet: &Packet<'_>, rules: Rules, each: &mut dyn FnMut(Fragment)) {
    // A packet that cannot be walked through has no fragments either.
    let most = rules.tunnels.depth();
    let _ = layers::innermost(packet, &rules.tunnels, most, |reached| {
        let tags = rules.tags(&reached.tags);
        if let Some(fragment) = fragment::of(reached.version, reached.part, tags) {
            each(fragment);
        }
    });
}

/// A header that may come next. A layer that several others can carry, such as IP, is the same in
/// all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Ethernet,
    Vlan,
    Mpls,
    Pseudowire,
    Pppoe,
    Ppp,
    Hdlc,
    CiscoHdlc,
    Llc,
    Loopback,
    Cooked,
    Cooked2,
    Pflog,
    Nflog,
    FrameRelay,
    Ipnet,
    InfiniBand,
    /// The header of a Juniper router before a frame of Ethernet, PPP, frame relay or HDLC.
    JuniperEthernet,
    JuniperPpp,
    JuniperFrameRelay,
    JuniperHdlc,
    V4,
    V6,
    /// IP whose version is in its first byte only.
    Ip,
}

/// The version of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

/// A part of a packet.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// The captured bytes.
    data: &'a [u8],
    /// Bytes on the wire; at least as many as were captured.
    wire: usize,
    /// Where it starts in the packet's bytes.
    start: usize,
}

impl<'a> Part<'a> {
    /// All of a packet.
    fn all(packet: &Packet<'a>) -> Self {
        let data = packet.data();
        Self {
            data,
            wire: (packet.frame_len() as usize).max(data.len()),
            start: 0,
        }
    }

    /// Its first bytes.
    #[inline]
    fn up_to(self, end: usize) -> Self {
        Self {
            data: &self.data[..self.data.len().min(end)],
            wire: self.wire.min(end),
            start: self.start,
        }
    }

    /// The rest, after its first bytes.
    #[inline]
    fn behind(self, len: usize) -> Self {
        Self {
            data: self.data.get(len..).unwrap_or_default(),
            wire: self.wire.saturating_sub(len),
            start: self.start.saturating_add(len),
        }
    }

    /// Takes a header of `N` bytes off the front.
    #[inline]
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Skip> {
        let (header, rest) = self.data.split_first_chunk::<N>().ok_or(Skip::Short)?;
        self.data = rest;
        self.wire -= N;
        self.start += N;
        Ok(header)
    }

    /// Takes `len` bytes off the front, which the caller has checked to exist.
    #[inline]
    fn skip(&mut self, len: usize) {
        self.data = self.data.get(len..).unwrap_or_default();
        self.wire -= len;
        self.start += len;
    }
}

/// Two bytes in network order.
#[inline]
fn be16(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}
