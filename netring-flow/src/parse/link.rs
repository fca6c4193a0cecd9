//! Link layers: from the first byte to the IP header.

use netring_sys::{LinkType, Packet};

use super::be16;
use crate::extract::Skip;

/// An IP packet in its frame.
pub(super) struct Found<'a> {
    pub(super) data: &'a [u8],
    pub(super) version: Version,
    pub(super) tags: Tags,
}

/// What the link layer says of the IP version.
#[derive(Clone, Copy)]
pub(super) enum Version {
    V4,
    V6,
    /// Nothing: the version field tells.
    Any,
}

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
/// What 802.1ad used before it was a standard.
const VLAN_OLD: u16 = 0x9100;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Below it the field is a length, and LLC follows.
const SMALLEST_TYPE: u16 = 0x0600;
/// "Cooked" captures tell LLC by this protocol number.
const COOKED_LLC: u16 = 4;
/// The hardware type of netlink: its protocol field is no EtherType.
const ARPHRD_NETLINK: u16 = 824;

pub(super) fn find<'a>(packet: &Packet<'a>) -> Result<Found<'a>, Skip> {
    let mut tags = Tags::default();
    if let Some(tag) = packet.vlan() {
        tags.push(tag.tci);
    }
    let data = packet.data();
    match packet.link_type() {
        LinkType::ETHERNET => {
            let ether_type = be16(data, 12).ok_or(Skip::Short)?;
            above(&data[14..], ether_type, tags)
        }
        LinkType::RAW_IP => Ok(Found {
            data,
            version: Version::Any,
            tags,
        }),
        LinkType::IPV4 => Ok(Found {
            data,
            version: Version::V4,
            tags,
        }),
        LinkType::IPV6 => Ok(Found {
            data,
            version: Version::V6,
            tags,
        }),
        LinkType::NULL | LinkType::LOOP => loopback(data, tags),
        LinkType::LINUX_SLL => {
            let (header, rest) = data.split_at_checked(16).ok_or(Skip::Short)?;
            cooked(rest, be16(header, 14), be16(header, 2), tags)
        }
        LinkType::LINUX_SLL2 => {
            let (header, rest) = data.split_at_checked(20).ok_or(Skip::Short)?;
            cooked(rest, be16(header, 0), be16(header, 8), tags)
        }
        _ => Err(Skip::LinkType),
    }
}

fn cooked(
    rest: &[u8],
    protocol: Option<u16>,
    hardware: Option<u16>,
    tags: Tags,
) -> Result<Found<'_>, Skip> {
    match (protocol, hardware) {
        (_, Some(ARPHRD_NETLINK)) | (None, _) => Err(Skip::NotIp),
        (Some(COOKED_LLC), _) => llc(rest, tags),
        (Some(protocol), _) if protocol < SMALLEST_TYPE => Err(Skip::NotIp),
        (Some(protocol), _) => above(rest, protocol, tags),
    }
}

/// What an EtherType announces, through tags and labels down to IP.
fn above(mut data: &[u8], mut ether_type: u16, mut tags: Tags) -> Result<Found<'_>, Skip> {
    loop {
        let version = match ether_type {
            IPV4 => Version::V4,
            IPV6 => Version::V6,
            VLAN | VLAN_SERVICE | VLAN_OLD => {
                let (tag, rest) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
                tags.push(u16::from_be_bytes([tag[0], tag[1]]));
                ether_type = u16::from_be_bytes([tag[2], tag[3]]);
                data = rest;
                continue;
            }
            MPLS | MPLS_MULTICAST => return labels(data, tags),
            PPPOE_SESSION => return pppoe(data, tags),
            length if length < SMALLEST_TYPE => return llc(data, tags),
            _ => return Err(Skip::NotIp),
        };
        return Ok(Found {
            data,
            version,
            tags,
        });
    }
}

/// An address family in the order of the machine that captured, which nobody tells.
fn loopback(data: &[u8], tags: Tags) -> Result<Found<'_>, Skip> {
    let (family, data) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
    let family = u32::from_be_bytes(*family);
    let family = if family > 0xffff {
        family.swap_bytes()
    } else {
        family
    };
    let version = match family {
        2 => Version::V4,
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => Version::V6,
        _ => return Err(Skip::NotIp),
    };
    Ok(Found {
        data,
        version,
        tags,
    })
}

/// MPLS: the label at the bottom has a bit set; the packet below tells its version itself.
fn labels(mut data: &[u8], tags: Tags) -> Result<Found<'_>, Skip> {
    loop {
        let (label, rest) = data.split_first_chunk::<4>().ok_or(Skip::Short)?;
        data = rest;
        if label[2] & 1 != 0 {
            break;
        }
    }
    match data.first().ok_or(Skip::Short)? >> 4 {
        4 | 6 => Ok(Found {
            data,
            version: Version::Any,
            tags,
        }),
        _ => Err(Skip::NotIp),
    }
}

fn pppoe(data: &[u8], tags: Tags) -> Result<Found<'_>, Skip> {
    let (header, data) = data.split_first_chunk::<8>().ok_or(Skip::Short)?;
    let version = match u16::from_be_bytes([header[6], header[7]]) {
        0x0021 => Version::V4,
        0x0057 => Version::V6,
        _ => return Err(Skip::NotIp),
    };
    Ok(Found {
        data,
        version,
        tags,
    })
}

/// LLC: only SNAP with an EtherType leads to IP.
fn llc(data: &[u8], tags: Tags) -> Result<Found<'_>, Skip> {
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
