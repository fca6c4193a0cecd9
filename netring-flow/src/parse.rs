//! From the bytes of a packet to its flow: the parser behind the built-in key.
//!
//! Nothing is trusted: each read is of a slice that was checked for its length, and each loop goes
//! forward in the packet.
//!
//! Two lengths go down through the layers: the bytes that were captured, which can be read, and the
//! bytes that the wire had, which count as payload and decide whether a header is whole or
//! malformed.

mod header;
mod icmp;
mod ip;
mod link;
mod nflog;
mod options;
mod transport;
mod v6_chain;

pub(crate) use options::window_scale;

use netring_sys::{LinkType, Packet};

use crate::extract::{Extracted, FiveTupleKey, Skip};

/// What the caller wants in the key.
#[derive(Clone, Copy)]
struct Rules {
    tags: u64,
    icmp_errors: bool,
}

/// What the link layer says of the IP version.
#[derive(Clone, Copy)]
enum Version {
    V4,
    V6,
    /// Nothing: the version field tells.
    Any,
}

/// A part of a packet.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// What was captured of it.
    data: &'a [u8],
    /// How many bytes the wire had; not less than were captured.
    wire: usize,
}

impl<'a> Part<'a> {
    /// What the packet has from this part of its bytes on.
    fn of(packet: &Packet<'_>, data: &'a [u8]) -> Self {
        let before = packet.data().len() - data.len();
        let wire = (packet.frame_len() as usize).saturating_sub(before);
        Self {
            data,
            wire: wire.max(data.len()),
        }
    }

    /// The first bytes of it.
    #[inline]
    fn up_to(self, end: usize) -> Self {
        Self {
            data: &self.data[..self.data.len().min(end)],
            wire: self.wire.min(end),
        }
    }

    /// What is behind its first bytes.
    #[inline]
    fn behind(self, start: usize) -> Self {
        Self {
            data: self.data.get(start..).unwrap_or_default(),
            wire: self.wire.saturating_sub(start),
        }
    }
}

/// Reads a packet: VLANs go into the key or not, ICMP errors are reported against the flow they
/// quote or not.
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
        let rules = Rules {
            tags: 0,
            icmp_errors,
        };
        let part = Part {
            data,
            wire: (packet.wire_len() as usize).saturating_sub(14),
        };
        match u16::from_be_bytes([header[12], header[13]]) {
            link::IPV4 => return ip::v4(part, rules),
            link::IPV6 => return ip::v6(part, rules),
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
    let rules = Rules {
        tags: if vlan { found.tags.bits() } else { 0 },
        icmp_errors,
    };
    match found.version {
        Version::V4 => ip::v4(found.part, rules),
        Version::V6 => ip::v6(found.part, rules),
        Version::Any => match found.part.data.first().map(|first| first >> 4) {
            Some(4) => ip::v4(found.part, rules),
            Some(6) => ip::v6(found.part, rules),
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
