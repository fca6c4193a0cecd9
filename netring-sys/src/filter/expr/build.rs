//! Expressions from their parts.

use std::net::IpAddr;
use std::ops::{
    Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, RangeInclusive, Rem, Shl, Shr, Sub,
};

use super::Expr;
use super::tree::{
    Arith, Binary, Inside, Layer, LlcFrame, Node, Primitive, Protocol, Relation, Side, Transport,
};
use crate::Error;
use crate::filter::Width;

impl Expr {
    const fn is(primitive: Primitive) -> Self {
        Self {
            node: Node::Is(primitive),
        }
    }

    /// A protocol, such as `tcp` or `arp`.
    pub const fn protocol(protocol: Protocol) -> Self {
        Self::is(Primitive::Proto(protocol))
    }

    /// `host`: an address of IPv4, in ARP and RARP too, or of IPv6.
    pub fn host(side: Side, address: impl Into<IpAddr>) -> Self {
        Self::masked(None, side, address.into(), 128)
    }

    /// `net`: a network by its address and the length of its prefix in bits.
    ///
    /// # Errors
    /// [`Error::Config`] if the prefix is longer than the address, or the address has bits outside
    /// of it.
    pub fn net(side: Side, address: impl Into<IpAddr>, prefix: u8) -> Result<Self, Error> {
        let address = address.into();
        let (bits, outside) = match address {
            IpAddr::V4(address) => (
                32,
                address.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
            ),
            IpAddr::V6(address) => (
                128,
                address.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
            ),
        };
        if prefix > bits || outside {
            return Err(Error::Config {
                setting: "filter",
                why: format!(
                    "{address}/{prefix} is not a network: a prefix has up to {bits} bits, and the \
                     address none outside of it"
                ),
            });
        }
        Ok(Self::masked(None, side, address, prefix))
    }

    /// `ip host`, `arp host` or `rarp host`: an IPv4 address in the headers of one protocol.
    pub fn host_in(protocol: Protocol, side: Side, address: std::net::Ipv4Addr) -> Self {
        Self::masked(Some(protocol), side, address.into(), 32)
    }

    fn masked(proto: Option<Protocol>, dir: Side, address: IpAddr, prefix: u8) -> Self {
        Self::is(match address {
            IpAddr::V4(address) => Primitive::Net4 {
                proto,
                dir,
                address: address.to_bits(),
                mask: !u32::MAX.checked_shr(prefix.into()).unwrap_or(0),
            },
            IpAddr::V6(address) => Primitive::Net6 {
                dir,
                address: address.to_bits(),
                mask: !u128::MAX.checked_shr(prefix.into()).unwrap_or(0),
            },
        })
    }

    /// `ether host`: a link-layer address.
    pub const fn ether_host(side: Side, address: [u8; 6]) -> Self {
        Self::is(Primitive::EtherHost { dir: side, address })
    }

    /// `port`: a port of one transport, or of any that has ports.
    pub const fn port(transport: Transport, side: Side, port: u16) -> Self {
        Self::ports(transport, side, port..=port)
    }

    /// `portrange`: a range of ports, including both ends, of which either may be the lower one, as
    /// in text.
    pub const fn ports(transport: Transport, side: Side, ports: RangeInclusive<u16>) -> Self {
        let (mut first, mut last) = (*ports.start(), *ports.end());
        if first > last {
            (first, last) = (last, first);
        }
        Self::is(Primitive::Ports {
            transport,
            dir: side,
            first,
            last,
        })
    }

    /// `proto`: the number that a header has for what follows it.
    pub const fn number(inside: Inside, number: u32) -> Self {
        Self::is(Primitive::Number { inside, number })
    }

    /// `protochain`: a protocol of IP by its number, behind up to eight extension headers.
    /// `inside` says of which IP: it is [`AnyIp`](Inside::AnyIp), [`Ip`](Inside::Ip) or
    /// [`Ip6`](Inside::Ip6).
    pub const fn protocol_chain(inside: Inside, number: u32) -> Self {
        Self::is(Primitive::Chain { inside, number })
    }

    /// `broadcast`: to the link-layer address of all.
    pub const fn broadcast() -> Self {
        Self::is(Primitive::Broadcast { ip: false })
    }

    /// `ip broadcast`: to 255.255.255.255 or 0.0.0.0.
    pub const fn ip_broadcast() -> Self {
        Self::is(Primitive::Broadcast { ip: true })
    }

    /// `multicast`: to a group, by the address of this layer.
    pub const fn multicast(layer: Layer) -> Self {
        Self::is(Primitive::Multicast(layer))
    }

    /// `vlan`: a VLAN tag with this identifier (0 to 4095) or any. What follows is inside of it.
    pub const fn vlan(tag: Option<u16>) -> Self {
        Self::is(Primitive::Vlan(tag))
    }

    /// `mpls`: an MPLS label (0 to 1048575) or any. What follows is behind it.
    pub const fn mpls(label: Option<u32>) -> Self {
        Self::is(Primitive::Mpls(label))
    }

    /// `pppoes`: a PPPoE session or any. What follows is inside of it.
    pub const fn pppoe_session(session: Option<u16>) -> Self {
        Self::is(Primitive::PppoeSession(session))
    }

    /// `geneve`: a Geneve network (0 to 16777215) or any. What follows is inside of it.
    pub const fn geneve(network: Option<u32>) -> Self {
        Self::is(Primitive::Geneve(network))
    }

    /// `pppoed`: PPPoE discovery.
    pub const fn pppoe_discovery() -> Self {
        Self::is(Primitive::PppoeDiscovery)
    }

    /// `llc`: a frame with an LLC header instead of an EtherType.
    pub const fn llc() -> Self {
        Self::is(Primitive::Llc(None))
    }

    /// `llc`: a frame with an LLC header, of this kind.
    pub const fn llc_frame(frame: LlcFrame) -> Self {
        Self::is(Primitive::Llc(Some(frame)))
    }

    /// `ifindex`: the index of the interface, which packet sockets and files of the link type
    /// LINUX_SLL2 know.
    pub const fn interface(index: u32) -> Self {
        Self::is(Primitive::Interface(index))
    }

    /// `outbound`: sent by this host.
    pub const fn outbound() -> Self {
        Self::is(Primitive::Outbound(true))
    }

    /// `inbound`: not sent by this host.
    pub const fn inbound() -> Self {
        Self::is(Primitive::Outbound(false))
    }

    /// A comparison of two numbers, such as `ip[8] < 10`.
    pub fn compare(left: impl Into<Number>, relation: Relation, right: impl Into<Number>) -> Self {
        Self {
            node: Node::Compare {
                left: left.into().0,
                relation,
                right: right.into().0,
            },
        }
    }

    /// Both, this one first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            node: self.node.and(other.node),
        }
    }

    /// At least one of them, this one first.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            node: self.node.or(other.node),
        }
    }
}

impl Not for Expr {
    type Output = Self;

    fn not(self) -> Self {
        Self {
            node: self.node.negated(),
        }
    }
}

/// A number that is computed from a packet, in 32 bits without a sign; sums wrap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(Arith);

impl Number {
    /// `len`: the length of the packet on the wire, in bytes.
    pub const fn length() -> Self {
        Self(Arith::Length)
    }

    /// `protocol[offset:width]`: bytes of a header. The packet has to have that header.
    pub fn load(protocol: Protocol, offset: impl Into<Self>, width: Width) -> Self {
        Self(Arith::load(protocol, offset.into().0, width.bytes() as u8))
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self(Arith::Number(number))
    }
}

impl Neg for Number {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.negated())
    }
}

macro_rules! operators {
    ($($operator:ident $name:ident $binary:ident,)*) => {$(
        impl<N: Into<Self>> $operator<N> for Number {
            type Output = Self;

            fn $name(self, other: N) -> Self {
                Self(Arith::binary(Binary::$binary, self.0, other.into().0))
            }
        }
    )*};
}

operators! {
    Add add Add,
    Sub sub Sub,
    Mul mul Mul,
    Div div Div,
    Rem rem Mod,
    BitAnd bitand And,
    BitOr bitor Or,
    BitXor bitxor Xor,
    Shl shl Shl,
    Shr shr Shr,
}
