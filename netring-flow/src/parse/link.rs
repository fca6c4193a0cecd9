//! Link layers: each function reads its header and returns the layer that follows.

use netring_sys::{LinkType, Packet};

use super::{Layer, Part, be16};
use crate::extract::Skip;

/// The layer that follows. The header is taken off the part.
pub(super) type Step = Result<Layer, Skip>;

/// Two addresses and an EtherType.
pub(super) const ETHERNET_LEN: usize = 14;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;
/// TPIDs that switches used for outer tags before 802.1ad.
const VLAN_OLD: u16 = 0x9100;
const VLAN_OLD_2: u16 = 0x9200;
const VLAN_OLD_3: u16 = 0x9300;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Below this value the field is a length, and LLC follows.
pub(super) const SMALLEST_TYPE: u16 = 0x0600;
/// The protocol number that marks LLC in "cooked" captures.
const COOKED_LLC: u16 = 4;
/// The hardware type of netlink, whose protocol field is not an EtherType.
const ARPHRD_NETLINK: u16 = 824;

/// The HDLC bytes before the PPP protocol.
const HDLC_ALL_STATIONS: [u8; 2] = [0xff, 0x03];
/// The first byte of HDLC with EtherTypes: unicast and broadcast.
const CISCO: [u8; 2] = [0x0f, 0x8f];
/// The shortest header that any version of `pf` wrote to its log.
const PFLOG_SHORTEST: usize = 45;

/// The EtherType of a frame without a tag in its metadata, and the bytes after it.
#[inline]
pub(super) fn untagged<'a>(packet: &Packet<'a>) -> Option<(u16, Part<'a>)> {
    if packet.link_type() != LinkType::ETHERNET || packet.vlan().is_some() {
        return None;
    }
    let (header, data) = packet.data().split_first_chunk::<ETHERNET_LEN>()?;
    let part = Part {
        data,
        wire: (packet.wire_len() as usize).saturating_sub(ETHERNET_LEN),
        start: ETHERNET_LEN,
    };
    Some((u16::from_be_bytes([header[12], header[13]]), part))
}

#[inline]
pub(super) fn ethernet(part: &mut Part<'_>) -> Step {
    let header = part.take::<ETHERNET_LEN>()?;
    above(u16::from_be_bytes([header[12], header[13]]))
}

/// The layer that an EtherType announces.
#[inline]
pub(super) const fn above(ether_type: u16) -> Step {
    Ok(match ether_type {
        IPV4 => Layer::V4,
        IPV6 => Layer::V6,
        VLAN | VLAN_SERVICE | VLAN_OLD | VLAN_OLD_2 | VLAN_OLD_3 => Layer::Vlan,
        MPLS | MPLS_MULTICAST => Layer::Mpls,
        PPPOE_SESSION => Layer::Pppoe,
        ..SMALLEST_TYPE => Layer::Llc,
        _ => return Err(Skip::NotIp),
    })
}

/// A tag: the layer that follows, and the tag's value.
#[inline]
pub(super) fn vlan(part: &mut Part<'_>) -> Result<(Layer, u16), Skip> {
    let tag = part.take::<4>()?;
    let layer = above(u16::from_be_bytes([tag[2], tag[3]]))?;
    Ok((layer, u16::from_be_bytes([tag[0], tag[1]])))
}

pub(super) fn cooked(part: &mut Part<'_>) -> Step {
    let header = part.take::<16>()?;
    cooked_protocol(be16(header, 14), be16(header, 2))
}

pub(super) fn cooked2(part: &mut Part<'_>) -> Step {
    let header = part.take::<20>()?;
    cooked_protocol(be16(header, 0), be16(header, 8))
}

const fn cooked_protocol(protocol: Option<u16>, hardware: Option<u16>) -> Step {
    match (protocol, hardware) {
        (_, Some(ARPHRD_NETLINK)) | (None, _) => Err(Skip::NotIp),
        (Some(COOKED_LLC), _) => Ok(Layer::Llc),
        (Some(..SMALLEST_TYPE), _) => Err(Skip::NotIp),
        (Some(protocol), _) => above(protocol),
    }
}

/// An address family in the byte order of the capturing machine, which is not recorded.
pub(super) fn loopback(part: &mut Part<'_>) -> Step {
    let family = part.take::<4>()?;
    let family = u32::from_be_bytes(*family);
    let family = if family > 0xffff {
        family.swap_bytes()
    } else {
        family
    };
    of_family(family)
}

const fn of_family(family: u32) -> Step {
    match family {
        2 => Ok(Layer::V4),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => Ok(Layer::V6),
        _ => Err(Skip::NotIp),
    }
}

/// Solaris: a version, an address family of that system, and 22 bytes of facts.
pub(super) fn ipnet(part: &mut Part<'_>) -> Step {
    let [1 | 2, family, ..] = part.take::<24>()? else {
        return Err(Skip::NotIp);
    };
    match family {
        2 => Ok(Layer::V4),
        26 => Ok(Layer::V6),
        _ => Err(Skip::NotIp),
    }
}

/// IP over InfiniBand (RFC 4391): the place of the global route header, an EtherType and two
/// reserved bytes.
pub(super) fn infiniband(part: &mut Part<'_>) -> Step {
    let header = part.take::<44>()?;
    match u16::from_be_bytes([header[40], header[41]]) {
        ..SMALLEST_TYPE => Err(Skip::NotIp),
        ether_type => above(ether_type),
    }
}

/// A header that starts with its length, excluding the padding to four bytes, and the address
/// family.
pub(super) fn pflog(part: &mut Part<'_>) -> Step {
    let [len, family] = part.data.first_chunk().ok_or(Skip::Short)?;
    let len = usize::from(*len);
    if len < PFLOG_SHORTEST {
        return Err(Skip::NotIp);
    }
    let layer = of_family((*family).into())?;
    let len = len.next_multiple_of(4);
    if part.data.len() < len {
        return Err(Skip::Short);
    }
    part.skip(len);
    Ok(layer)
}

/// PPP with or without HDLC framing, or Cisco HDLC.
pub(super) fn hdlc(part: &mut Part<'_>) -> Step {
    match part.data {
        [] => return Err(Skip::Short),
        [first, ..] if CISCO.contains(first) => return Ok(Layer::CiscoHdlc),
        data if data.starts_with(&HDLC_ALL_STATIONS) => part.skip(HDLC_ALL_STATIONS.len()),
        _ => {}
    }
    Ok(Layer::Ppp)
}

/// An address, a control byte, and an EtherType.
pub(super) fn cisco(part: &mut Part<'_>) -> Step {
    let header = part.take::<4>()?;
    match u16::from_be_bytes([header[2], header[3]]) {
        ..SMALLEST_TYPE => Err(Skip::NotIp),
        ether_type => above(ether_type),
    }
}

/// An MPLS label. The bottom label has a bit set, and the packet below it has its version in its
/// first byte. 0 is the control word of a pseudowire.
#[inline]
pub(super) fn label(part: &mut Part<'_>) -> Step {
    let label = part.take::<4>()?;
    if label[2] & 1 == 0 {
        return Ok(Layer::Mpls);
    }
    match part.data.first().ok_or(Skip::Short)? >> 4 {
        4 => Ok(Layer::V4),
        6 => Ok(Layer::V6),
        0 => Ok(Layer::Pseudowire),
        _ => Err(Skip::NotIp),
    }
}

/// A session: the layer that follows, and its identifier.
pub(super) fn pppoe(part: &mut Part<'_>) -> Result<(Layer, u16), Skip> {
    let header = part.take::<6>()?;
    // A nonzero code marks discovery packets.
    match header[1] {
        0 => Ok((Layer::Ppp, u16::from_be_bytes([header[2], header[3]]))),
        _ => Err(Skip::NotIp),
    }
}

/// The layer that the PPP protocol number announces. The number has one byte if that byte is odd.
pub(super) fn ppp(part: &mut Part<'_>) -> Step {
    let (protocol, len) = match *part.data {
        [short, ..] if short & 1 != 0 => (u16::from(short), 1),
        [high, low, ..] => (u16::from_be_bytes([high, low]), 2),
        _ => return Err(Skip::Short),
    };
    part.skip(len);
    match protocol {
        0x0021 => Ok(Layer::V4),
        0x0057 => Ok(Layer::V6),
        0x0281 | 0x0283 => Ok(Layer::Mpls),
        _ => Err(Skip::NotIp),
    }
}

/// LLC: only SNAP with an EtherType leads to IP.
pub(super) fn llc(part: &mut Part<'_>) -> Step {
    match part.take::<8>() {
        Ok([0xaa, 0xaa, 3, 0, 0, 0, high, low]) => match u16::from_be_bytes([*high, *low]) {
            ..SMALLEST_TYPE => Err(Skip::NotIp),
            ether_type => above(ether_type),
        },
        _ => Err(Skip::NotIp),
    }
}
