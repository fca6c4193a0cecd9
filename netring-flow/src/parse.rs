//! From the bytes of a packet to its flow: the parser behind the built-in key.
//!
//! Nothing is trusted: each read is of a slice that was checked for its length, and each loop goes forward in the packet.

mod icmp;
mod ip;
mod link;
mod options;
mod transport;

pub(crate) use options::window_scale;

use netring_sys::{LinkType, Packet};

use crate::extract::{Extracted, FiveTupleKey, Skip};

/// Reads a packet: VLANs go into the key or not, ICMP errors are told against the flow they quote or not.
#[inline]
pub(crate) fn packet(
    packet: &Packet<'_>,
    vlan: bool,
    icmp_errors: bool,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    // Nearly every packet, and by far the shortest way.
    if packet.link_type() == LinkType::ETHERNET
        && packet.vlan().is_none()
        && let Some((header, data)) = packet.data().split_first_chunk::<14>()
    {
        let tags = 0;
        match u16::from_be_bytes([header[12], header[13]]) {
            link::IPV4 => return ip::v4(data, ip::Rules { tags, icmp_errors }),
            link::IPV6 => return ip::v6(data, ip::Rules { tags, icmp_errors }),
            _ => {}
        }
    }
    any(packet, vlan, icmp_errors)
}

#[inline(never)]
fn any(
    packet: &Packet<'_>,
    vlan: bool,
    icmp_errors: bool,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let found = link::find(packet)?;
    let rules = ip::Rules {
        tags: if vlan { found.tags.bits() } else { 0 },
        icmp_errors,
    };
    match found.version {
        link::Version::V4 => ip::v4(found.data, rules),
        link::Version::V6 => ip::v6(found.data, rules),
        link::Version::Any => match found.data.first().map(|first| first >> 4) {
            Some(4) => ip::v4(found.data, rules),
            Some(6) => ip::v6(found.data, rules),
            Some(_) => Err(Skip::IpVersion),
            None => Err(Skip::Short),
        },
    }
}

/// Two bytes in network order.
#[inline]
fn be16(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}
