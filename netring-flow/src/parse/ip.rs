//! IPv4 with options, IPv6 with extension headers.

use super::transport::Body;
use super::v6_chain::{self, Broken};
use super::{Part, Version, header, icmp};
use crate::extract::{FiveTupleKey, IcmpError, Orientation, Skip};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// An IP packet whose own headers have been read.
pub(super) struct IpPacket<'a> {
    pub(super) addresses: Addresses,
    /// The protocol of the body; the last one known if the headers are broken.
    pub(super) protocol: u8,
    /// What follows the headers. It has no captured bytes if they are broken.
    pub(super) body: Body<'a>,
    /// Why the headers could not be followed to their end.
    pub(super) broken: Option<Broken>,
    /// A length in the headers is impossible.
    pub(super) malformed: bool,
}

/// Source and destination.
#[derive(Clone, Copy)]
pub(super) enum Addresses {
    V4(u32, u32),
    V6([u64; 2], [u64; 2]),
}

impl Addresses {
    #[inline]
    pub(super) fn key(
        self,
        protocol: u8,
        (source_port, destination_port): (u16, u16),
        tags: u64,
    ) -> (FiveTupleKey, Orientation) {
        match self {
            Self::V4(source, destination) => FiveTupleKey::v4(
                protocol,
                (source, source_port),
                (destination, destination_port),
                tags,
            ),
            Self::V6(source, destination) => FiveTupleKey::v6(
                protocol,
                (source, source_port),
                (destination, destination_port),
                tags,
            ),
        }
    }
}

impl IpPacket<'_> {
    /// The ICMP error, if the packet is one.
    #[inline]
    pub(super) fn icmp_error(&self) -> Option<IcmpError> {
        match (self.addresses, self.protocol) {
            (Addresses::V4(..), ICMP) => icmp::error_v4(self.body.part.data),
            (Addresses::V6(..), ICMP6) => icmp::error_v6(self.body.part.data),
            _ => None,
        }
    }
}

/// The version in the first byte of an IP packet.
#[inline]
pub(super) fn version(part: Part<'_>) -> Result<Version, Skip> {
    match part.data.first().ok_or(Skip::Short)? >> 4 {
        4 => Ok(Version::V4),
        6 => Ok(Version::V6),
        _ => Err(Skip::IpVersion),
    }
}

/// The length of an IPv4 packet with its header.
///
/// 0 means a length that the field cannot hold, or a segment that a card has yet to split: the
/// length is that of the frame.
#[inline]
pub(super) fn total_len(header: &header::V4, part: Part<'_>) -> Result<usize, Skip> {
    match header.total_len {
        0 => Ok(part.wire),
        len if len < header.len => Err(Skip::IpTotalLength),
        len => Ok(len),
    }
}

#[inline]
pub(super) fn v4(part: Part<'_>) -> Result<IpPacket<'_>, Skip> {
    let header = header::v4(part.data)?;
    let total_len = total_len(&header, part)?;
    if header.fragment_offset() != 0 {
        return Err(Skip::Fragment);
    }
    // Past the total length is padding.
    let packet = part.up_to(total_len);
    Ok(IpPacket {
        addresses: Addresses::V4(header.source, header.destination),
        protocol: header.protocol,
        body: Body {
            part: packet.behind(header.len),
            more: header.more_fragments(),
            large: header.total_len == 0,
        },
        broken: None,
        malformed: total_len > part.wire || packet.wire < header.len,
    })
}

#[inline]
pub(super) fn v6(part: Part<'_>) -> Result<IpPacket<'_>, Skip> {
    let header = header::v6(part.data)?;
    let rest = part.behind(header::FIXED_V6);
    let (len, is_valid) = match header.payload_len {
        0 => v6_chain::length_of_0(header.protocol, rest),
        len => (len, true),
    };
    let chain = v6_chain::follow(header.protocol, rest.up_to(len))?;
    Ok(IpPacket {
        addresses: Addresses::V6(header.source, header.destination),
        protocol: chain.protocol,
        body: Body {
            part: chain.body,
            more: chain.more,
            large: true,
        },
        broken: chain.broken,
        malformed: !is_valid || len > rest.wire,
    })
}
