//! The built-in key.

mod community_id;
#[cfg(feature = "serde")]
mod parts;
mod text;

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Orientation, TunnelKind};
pub use community_id::CommunityId;
pub(crate) use community_id::icmp_counterpart;

/// Protocol, two addresses and two ports, in an order that does not depend on the direction of a
/// packet.
///
/// `a` is the lower of the two ends: by the address's bytes, then by port. 48 bytes. Keys order by
/// their addresses, then by ports, protocol and tunnel, then by identifiers.
///
/// It is displayed as `tcp 192.0.2.1:80 192.0.2.9:40000`, and parses from the same text.
///
/// ```
/// use netring_flow::extract::FiveTupleKey;
///
/// let (client, server) = ("192.0.2.7:40000".parse()?, "192.0.2.1:443".parse()?);
/// let (key, there) = FiveTupleKey::new(6, client, server);
/// let (same, back) = FiveTupleKey::new(6, server, client);
/// assert_eq!(key, same);
/// assert_eq!((key.source(there), key.source(back)), (client, server));
/// assert_eq!(key.to_string(), "tcp 192.0.2.1:443 192.0.2.7:40000");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "parts::Parts", try_from = "parts::Parts")
)]
pub struct FiveTupleKey {
    a: [u64; 2],
    b: [u64; 2],
    /// From the top: port of a (16), port of b (16), protocol (8), 1 for IPv6 (8), unused (7), kind
    /// of tunnel (8), 1 for unknown ports.
    ports: u64,
    /// From the top: a tunnel's identifier (32), outer VLAN (16), inner VLAN (16).
    tags: u64,
}

impl FiveTupleKey {
    /// Returns the key of a packet from `source` to `destination`, and which of its ends `source`
    /// is.
    ///
    /// If one address is IPv4 and the other IPv6, both are reported as IPv6.
    ///
    /// ```
    /// use netring_flow::extract::{FiveTupleKey, Orientation};
    ///
    /// let client = "192.0.2.9:40000".parse()?;
    /// let server = "192.0.2.1:80".parse()?;
    /// let (key, orientation) = FiveTupleKey::new(6, client, server);
    /// assert_eq!((key.a(), key.b()), (server, client));
    /// assert_eq!(orientation, Orientation::Reverse);
    /// assert_eq!(key, FiveTupleKey::new(6, server, client).0);
    /// assert_eq!(key.to_string(), "tcp 192.0.2.1:80 192.0.2.9:40000");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn new(protocol: u8, source: SocketAddr, destination: SocketAddr) -> (Self, Orientation) {
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(s), IpAddr::V4(t)) => Self::v4(
                protocol,
                (s.to_bits(), source.port()),
                (t.to_bits(), destination.port()),
                0,
            ),
            (s, t) => Self::v6(
                protocol,
                (words(s), source.port()),
                (words(t), destination.port()),
                0,
            ),
        }
    }

    /// Whether two keys have the same protocol, addresses and ports; tags and tunnels do not
    /// matter.
    pub(crate) fn has_ends_of(&self, other: &Self) -> bool {
        // Not the tunnel, nor whether ports are known.
        let ends = |key: &Self| (key.a, key.b, key.ports >> 16);
        ends(self) == ends(other)
    }

    #[inline]
    pub(crate) fn v4(
        protocol: u8,
        source: (u32, u16),
        destination: (u32, u16),
        tags: u64,
    ) -> (Self, Orientation) {
        let wide = |(addr, port): (u32, u16)| (u64::from(addr) << 16) | u64::from(port);
        let (source, destination) = (wide(source), wide(destination));
        let swap = destination < source;
        let (a, b) = if swap {
            (destination, source)
        } else {
            (source, destination)
        };
        let key = Self {
            a: [0, a >> 16],
            b: [0, b >> 16],
            ports: pack(a as u16, b as u16, protocol, 0),
            tags,
        };
        (key, orientation(swap))
    }

    #[inline]
    pub(crate) fn v6(
        protocol: u8,
        source: ([u64; 2], u16),
        destination: ([u64; 2], u16),
        tags: u64,
    ) -> (Self, Orientation) {
        let swap = destination < source;
        let (a, b) = if swap {
            (destination, source)
        } else {
            (source, destination)
        };
        let key = Self {
            a: a.0,
            b: b.0,
            ports: pack(a.1, b.1, protocol, 1),
            tags,
        };
        (key, orientation(swap))
    }

    /// Marks the ports, which are 0, as unknown.
    #[inline]
    #[must_use]
    pub(crate) const fn with_unknown_ports(mut self, unknown: bool) -> Self {
        self.ports |= unknown as u64;
        self
    }

    /// Whether the ports were readable, or the protocol has none.
    ///
    /// TCP, UDP and SCTP packets that end before their ports, or that a snap length cut there, form
    /// a separate flow with unknown ports. It differs from the flow of port 0, and is displayed
    /// with `-` for the ports.
    ///
    /// ```
    /// use netring_flow::extract::{Extract, FiveTuple};
    /// use netring_sys::{LinkType, Packet, Timestamp};
    ///
    /// # let mut packet = Vec::new();
    /// # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 9], 64)
    /// #     .udp(5000, 53)
    /// #     .write(&mut packet, b"question")?;
    /// // With a snap length of 20 bytes, only the IP header is captured.
    /// let cut = Packet::new(&packet[..20], Timestamp::default(), LinkType::IPV4)
    ///     .with_wire_len(packet.len() as u32);
    /// let key = FiveTuple::bidirectional().extract(&cut).unwrap().key;
    /// assert!(!key.ports_known());
    /// assert_eq!(key.to_string(), "udp 192.0.2.1:- 192.0.2.9:-");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn ports_known(&self) -> bool {
        self.ports & 1 == 0
    }

    /// The lower end; port 0 if the protocol has no ports, or they are
    /// [unknown](Self::ports_known).
    pub fn a(&self) -> SocketAddr {
        SocketAddr::new(self.addr(self.a), self.a_port())
    }

    /// The higher end; port 0 if the protocol has no ports, or they are
    /// [unknown](Self::ports_known).
    pub fn b(&self) -> SocketAddr {
        SocketAddr::new(self.addr(self.b), self.b_port())
    }

    /// The end that packets of this orientation come from.
    pub fn source(&self, orientation: Orientation) -> SocketAddr {
        match orientation {
            Orientation::Forward => self.a(),
            Orientation::Reverse => self.b(),
        }
    }

    /// The end that packets of this orientation go to.
    pub fn destination(&self, orientation: Orientation) -> SocketAddr {
        self.source(orientation.flipped())
    }

    /// The IP protocol number: 6 is TCP, 17 is UDP.
    pub const fn protocol(&self) -> u8 {
        (self.ports >> 24) as u8
    }

    /// Whether the addresses are IPv6.
    pub const fn is_ipv6(&self) -> bool {
        (self.ports >> 16) as u8 == 1
    }

    /// The outermost VLAN identifier, if VLANs are in the key
    /// ([`FiveTuple::with_vlan`](super::FiveTuple::with_vlan)); 0 means none.
    pub const fn vlan(&self) -> u16 {
        (self.tags >> 16) as u16
    }

    /// The VLAN identifier below [`vlan`](Self::vlan); 0 means none.
    pub const fn inner_vlan(&self) -> u16 {
        self.tags as u16
    }

    /// The innermost tunnel that carries the flow, if tunnels are in the key
    /// ([`FiveTuple::with_tunnel_id`](super::FiveTuple::with_tunnel_id)).
    pub fn tunnel(&self) -> Option<TunnelKind> {
        TunnelKind::from_number((self.ports >> 1) as u8)
    }

    /// The identifier of [`tunnel`](Self::tunnel), such as a VNI or a TEID; 0 if it has none.
    pub const fn tunnel_id(&self) -> u32 {
        (self.tags >> 32) as u32
    }

    /// Marks the key as that of a flow in a tunnel.
    #[inline]
    #[must_use]
    pub(crate) const fn in_tunnel(mut self, kind: TunnelKind) -> Self {
        self.ports |= (kind as u64) << 1;
        self
    }

    /// Sets a tunnel's identifier and the VLANs, encoded.
    #[inline]
    #[must_use]
    pub(crate) const fn with_tags(mut self, tags: u64) -> Self {
        self.tags = tags;
        self
    }

    #[inline]
    pub(crate) const fn a_port(&self) -> u16 {
        (self.ports >> 48) as u16
    }

    #[inline]
    pub(crate) const fn b_port(&self) -> u16 {
        (self.ports >> 32) as u16
    }

    fn addr(&self, words: [u64; 2]) -> IpAddr {
        if self.is_ipv6() {
            let bits = (u128::from(words[0]) << 64) | u128::from(words[1]);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(words[1] as u32))
        }
    }
}

impl Hash for FiveTupleKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in [
            self.a[0], self.a[1], self.b[0], self.b[1], self.ports, self.tags,
        ] {
            state.write_u64(word);
        }
    }
}

/// flowscope's key of the same flow. It has no VLAN and no tunnel, and port 0 for an unknown port.
#[cfg(feature = "flowscope")]
impl From<FiveTupleKey> for flowscope::extract::FiveTupleKey {
    fn from(key: FiveTupleKey) -> Self {
        use flowscope::extractor::L4Proto;
        let protocol = match key.protocol() {
            1 => L4Proto::Icmp,
            6 => L4Proto::Tcp,
            17 => L4Proto::Udp,
            58 => L4Proto::IcmpV6,
            132 => L4Proto::Sctp,
            other => L4Proto::Other(other),
        };
        Self::new(protocol, key.a(), key.b())
    }
}

#[inline]
const fn pack(a: u16, b: u16, protocol: u8, v6: u8) -> u64 {
    ((a as u64) << 48) | ((b as u64) << 32) | ((protocol as u64) << 24) | ((v6 as u64) << 16)
}

#[inline]
const fn orientation(swapped: bool) -> Orientation {
    if swapped {
        Orientation::Reverse
    } else {
        Orientation::Forward
    }
}

fn words(addr: IpAddr) -> [u64; 2] {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64]
}
