//! Link layers: from the first byte to the IP header.

use netring_sys::{LinkType, Packet};

use super::{Part, Version, be16, nflog};
use crate::extract::Skip;

/// An IP packet in its frame.
pub(super) struct Found<'a> {
    pub(super) part: Part<'a>,
    pub(super) version: Version,
    pub(super) tags: Tags,
}

/// Bytes that begin with an IP header, and what was learned on the way there.
type Inside<'a> = (&'a [u8], Version, Tags);

/// The VLAN identifiers, outermost first; what is below the second is not kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Tags {
    ids: [u16; 2],
    found: usize,
}

impl Tags {
    #[inline]
    fn push(&mut self, tci: u16) {
        if let Some(id) = self.ids.get_mut(self.found) {
            *id = tci & 0x0fff;
            self.found += 1;
        }
    }

    /// As they stand in a key.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        (u64::from(self.ids[0]) << 16) | u64::from(self.ids[1])
    }
}

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;
/// What switches used for an outer tag before 802.1ad was a standard.
const VLAN_OLD: [u16; 3] = [0x9100, 0x9200, 0x9300];
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Below it the field is a length, and LLC follows.
const SMALLEST_TYPE: u16 = 0x0600;
/// "Cooked" captures tell LLC by this protocol number.
const COOKED_LLC: u16 = 4;
/// The hardware type of netlink: its protocol field is no EtherType.
const ARPHRD_NETLINK: u16 = 824;

/// The bytes of HDLC before the protocol of PPP.
const HDLC_ALL_STATIONS: [u8; 2] = [0xff, 0x03];
/// The first byte of HDLC with EtherTypes: to one station, and to all.
const CISCO: [u8; 2] = [0x0f, 0x8f];
/// The shortest header that `pf` ever wrote to its log.
const PFLOG_SHORTEST: usize = 45;

pub(super) fn find<'a>(packet: &Packet<'a>) -> Result<Found<'a>, Skip> {
    let mut tags = Tags::default();
    if let Some(tag) = packet.vlan() {
        tags.push(tag.tci);
    }
    let data = packet.data();
    if packet.link_type() == LinkType::NFLOG {
        let (part, version) = nflog::payload(Part::of(packet, data))?;
        return Ok(Found {
            part,
            version,
            tags,
        });
    }
    let (data, version, tags) = inside(packet.link_type(), data, tags)?;
    Ok(Found {
        part: Part::of(packet, data),
        version,
        tags,
    })
}

fn inside(link_type: LinkType, data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    match link_type {
        LinkType::ETHERNET => {
            let ether_type = be16(data, 12).ok_or(Skip::Short)?;
            above(&data[14..], ether_type, tags)
        }
        LinkType::RAW_IP | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => {
            Ok((data, Version::Any, tags))
        }
        LinkType::IPV4 => Ok((data, Version::V4, tags)),
        LinkType::IPV6 => Ok((data, Version::V6, tags)),
        LinkType::NULL | LinkType::LOOP => loopback(data, tags),
        LinkType::LINUX_SLL => {
            let (header, rest) = data.split_at_checked(16).ok_or(Skip::Short)?;
            cooked(rest, be16(header, 14), be16(header, 2), tags)
        }
        LinkType::LINUX_SLL2 => {
            let (header, rest) = data.split_at_checked(20).ok_or(Skip::Short)?;
            cooked(rest, be16(header, 0), be16(header, 8), tags)
        }
        LinkType::PPP | LinkType::PPP_HDLC => match data.first().ok_or(Skip::Short)? {
            first if CISCO.contains(first) => cisco(data, tags),
            _ => ppp(data.strip_prefix(&HDLC_ALL_STATIONS).unwrap_or(data), tags),
        },
        LinkType::PPP_ETHER => pppoe(data, tags),
        LinkType::C_HDLC => cisco(data, tags),
        LinkType::PFLOG => pflog(data, tags),
        _ => Err(Skip::LinkType),
    }
}

fn cooked(
    rest: &[u8],
    protocol: Option<u16>,
    hardware: Option<u16>,
    tags: Tags,
) -> Result<Inside<'_>, Skip> {
    match (protocol, hardware) {
        (_, Some(ARPHRD_NETLINK)) | (None, _) => Err(Skip::NotIp),
        (Some(COOKED_LLC), _) => llc(rest, tags),
        (Some(protocol), _) if protocol < SMALLEST_TYPE => Err(Skip::NotIp),
        (Some(protocol), _) => above(rest, protocol, tags),
    }
}

/// What an EtherType announces, through tags and labels down to IP.
fn above(mut data: &[u8], mut ether_type: u16, mut tags: Tags) -> Result<Inside<'_>, Skip> {
    loop {
        match ether_type {
            IPV4 => return Ok((data, Version::V4, tags)),
            IPV6 => return Ok((data, Version::V6, tags)),
            tpid if [VLAN, VLAN_SERVICE].contains(&tpid) || VLAN_OLD.contains(&tpid) => {
                let (tag, rest) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
                tags.push(u16::from_be_bytes([tag[0], tag[1]]));
                ether_type = u16::from_be_bytes([tag[2], tag[3]]);
                data = rest;
            }
            MPLS | MPLS_MULTICAST => return labels(data, tags),
            PPPOE_SESSION => return pppoe(data, tags),
            length if length < SMALLEST_TYPE => return llc(data, tags),
            _ => return Err(Skip::NotIp),
        }
    }
}

/// An address family in the order of the machine that captured, which is not recorded.
fn loopback(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    let (family, data) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
    let family = u32::from_be_bytes(*family);
    let family = if family > 0xffff {
        family.swap_bytes()
    } else {
        family
    };
    Ok((data, family_version(family)?, tags))
}

fn family_version(family: u32) -> Result<Version, Skip> {
    match family {
        2 => Ok(Version::V4),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => Ok(Version::V6),
        _ => Err(Skip::NotIp),
    }
}

/// A header that begins with its length, without the padding to four bytes, and the address family.
fn pflog(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    let [len, family] = data.first_chunk().ok_or(Skip::Short)?;
    let len = usize::from(*len);
    if len < PFLOG_SHORTEST {
        return Err(Skip::NotIp);
    }
    let version = family_version((*family).into())?;
    let data = data.get(len.next_multiple_of(4)..).ok_or(Skip::Short)?;
    Ok((data, version, tags))
}

/// An address, a control byte, and an EtherType.
fn cisco(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    let (header, data) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
    match u16::from_be_bytes([header[2], header[3]]) {
        ..SMALLEST_TYPE => Err(Skip::NotIp),
        ether_type => above(data, ether_type, tags),
    }
}

/// MPLS: the label at the bottom has a bit set; the packet below gives its version in its first
/// byte.
fn labels(mut data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    loop {
        let (label, rest) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
        data = rest;
        if label[2] & 1 != 0 {
            break;
        }
    }
    match data.first().ok_or(Skip::Short)? >> 4 {
        4 | 6 => Ok((data, Version::Any, tags)),
        _ => Err(Skip::NotIp),
    }
}

fn pppoe(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    let (header, data) = data.split_first_chunk::<6>().ok_or(Skip::Short)?;
    // Only discovery has a code.
    match header[1] {
        0 => ppp(data, tags),
        _ => Err(Skip::NotIp),
    }
}

/// What the protocol number of PPP announces. It has one byte if that is odd.
fn ppp(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    let (protocol, data) = match data {
        [short, data @ ..] if short & 1 != 0 => (u16::from(*short), data),
        [high, low, data @ ..] => (u16::from_be_bytes([*high, *low]), data),
        _ => return Err(Skip::Short),
    };
    match protocol {
        0x0021 => Ok((data, Version::V4, tags)),
        0x0057 => Ok((data, Version::V6, tags)),
        0x0281 | 0x0283 => labels(data, tags),
        _ => Err(Skip::NotIp),
    }
}

/// LLC: only SNAP with an EtherType leads to IP.
fn llc(data: &[u8], tags: Tags) -> Result<Inside<'_>, Skip> {
    match data.split_first_chunk::<8>() {
        Some(([0xaa, 0xaa, 3, 0, 0, 0, high, low], rest)) => {
            let ether_type = u16::from_be_bytes([*high, *low]);
            if ether_type < SMALLEST_TYPE {
                return Err(Skip::NotIp);
            }
            above(rest, ether_type, tags)
        }
        _ => Err(Skip::NotIp),
    }
}
