//! Fragments of IP packets: what they share, and which part each is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which part of an IP packet a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Piece {
    /// All of it, including an atomic fragment of IPv6 (RFC 6946).
    #[default]
    Whole,
    /// The first of several fragments, which has the transport header.
    First,
    /// A fragment other than the first. It has no header of its own: its flow is that of the first
    /// fragment.
    Later,
    /// A fragment of either kind that is kept for reassembly. It has no payload, which comes with
    /// the packet. See [`TrackerConfig::defragment`](crate::TrackerConfig::defragment).
    Held,
    /// The fragment that completes its packet. It has the transport header and the payload of the
    /// whole packet.
    Reassembled,
}

/// The identity of the IP packet that a fragment belongs to, shared by all its fragments and by no
/// other packet in flight.
///
/// For IPv4: source, destination, protocol and identification (RFC 791). For IPv6: source,
/// destination and identification (RFC 8200). In both cases also the VLANs and the tunnel in its
/// flow's key. 56 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    source: [u64; 2],
    destination: [u64; 2],
    pub(crate) tags: u64,
    id: u32,
    /// 0 for IPv6.
    protocol: u8,
    is_v6: bool,
}

impl Datagram {
    /// An IPv4 packet with this identification.
    #[inline]
    pub const fn v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, id: u16) -> Self {
        Self {
            source: [0, source.to_bits() as u64],
            destination: [0, destination.to_bits() as u64],
            tags: 0,
            id: id as u32,
            protocol,
            is_v6: false,
        }
    }

    /// An IPv6 packet with this identification in its fragment header.
    #[inline]
    pub const fn v6(source: Ipv6Addr, destination: Ipv6Addr, id: u32) -> Self {
        Self {
            source: halves(source),
            destination: halves(destination),
            tags: 0,
            id,
            protocol: 0,
            is_v6: true,
        }
    }

    /// The sender.
    pub fn source(&self) -> IpAddr {
        self.address(self.source)
    }

    /// The receiver.
    pub fn destination(&self) -> IpAddr {
        self.address(self.destination)
    }

    /// The identification that the sender gave the packet.
    pub const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) const fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn address(&self, [high, low]: [u64; 2]) -> IpAddr {
        if self.is_v6 {
            Ipv6Addr::from_bits((high as u128) << 64 | low as u128).into()
        } else {
            Ipv4Addr::from_bits(low as u32).into()
        }
    }
}

/// A fragment of an IP packet, as read by an extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The packet that it belongs to.
    pub datagram: Datagram,
    /// The protocol number in its own header: for IPv4, the protocol of the packet; for IPv6, the
    /// next header of the fragment header, which is valid in the first fragment only.
    pub protocol: u8,
    /// Where it belongs in the packet's payload, in bytes: a multiple of 8; 0 for the first.
    pub offset: u32,
    /// The length of its part of the payload on the wire, in bytes.
    pub len: u32,
    /// Where that part starts in [`Packet::data`](netring_sys::Packet::data).
    pub start: u32,
    /// Whether more fragments follow.
    pub more: bool,
    /// Whether it splits the transport header so that a filter that reads single fragments misses
    /// it (RFC 1858, RFC 3128): a first fragment without the whole TCP, UDP or SCTP header, or a
    /// TCP fragment that starts 8 bytes into its header.
    pub tiny: bool,
    /// The packet's length exceeds that of the frame.
    pub malformed: bool,
}

const fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}
