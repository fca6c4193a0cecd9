//! The tree that text and builder share.

use super::depth::{self, Depth};

/// A filter expression. Chains are flat, so that a long one is not a deep one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::filter) enum Node {
    /// All of them, in order.
    And(Vec<Self>, Depth),
    /// At least one of them, tried in order.
    Or(Vec<Self>, Depth),
    Not(Box<Self>, Depth),
    Is(Primitive),
    Compare {
        left: Arith,
        relation: Relation,
        right: Arith,
    },
    /// In the place of a tree that would be too deep.
    TooDeep,
}

impl Node {
    pub(in crate::filter) fn and(self, other: Self) -> Self {
        let Some(depth) = depth::above(other.depth().max(self.depth_as_chain(true))) else {
            return Self::TooDeep;
        };
        match self {
            Self::And(mut all, own) => {
                all.push(other);
                Self::And(all, own.max(depth))
            }
            first => Self::And(vec![first, other], depth),
        }
    }

    pub(in crate::filter) fn or(self, other: Self) -> Self {
        let Some(depth) = depth::above(other.depth().max(self.depth_as_chain(false))) else {
            return Self::TooDeep;
        };
        match self {
            Self::Or(mut any, own) => {
                any.push(other);
                Self::Or(any, own.max(depth))
            }
            first => Self::Or(vec![first, other], depth),
        }
    }

    pub(in crate::filter) fn negated(self) -> Self {
        match depth::above(self.depth()) {
            Some(depth) => Self::Not(Box::new(self), depth),
            None => Self::TooDeep,
        }
    }

    /// The levels of this tree; 0 for a term.
    fn depth(&self) -> Depth {
        match self {
            Self::And(_, depth) | Self::Or(_, depth) | Self::Not(_, depth) => *depth,
            Self::Is(_) => 0,
            Self::Compare { left, right, .. } => left.depth().max(right.depth()),
            Self::TooDeep => depth::MOST,
        }
    }

    /// The levels below this one, if it is a chain that gets one link more.
    fn depth_as_chain(&self, is_and: bool) -> Depth {
        match self {
            Self::And(_, depth) if is_and => depth - 1,
            Self::Or(_, depth) if !is_and => depth - 1,
            other => other.depth(),
        }
    }
}

/// What a single term says about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::filter) enum Primitive {
    /// A protocol by its keyword.
    Proto(Protocol),
    /// An IPv4 address or network, in the headers of one protocol or of all that have one.
    Net4 {
        proto: Option<Protocol>,
        dir: Side,
        address: u32,
        mask: u32,
    },
    Net6 {
        dir: Side,
        address: u128,
        mask: u128,
    },
    EtherHost {
        dir: Side,
        address: [u8; 6],
    },
    /// Ports from `first` to `last`, of one transport or of all that have ports.
    Ports {
        transport: Transport,
        dir: Side,
        first: u16,
        last: u16,
    },
    /// The number of the protocol that a header names as the next one.
    Number {
        inside: Inside,
        number: u32,
    },
    /// The number of a protocol behind any extension headers of IP.
    Chain {
        inside: Inside,
        number: u32,
    },
    /// Sent to all; in IPv4 only if `ip` is set, else by the link-layer address.
    Broadcast {
        ip: bool,
    },
    Multicast(Layer),
    Vlan(Option<u16>),
    Mpls(Option<u32>),
    PppoeSession(Option<u16>),
    /// Geneve, with this network identifier or any.
    Geneve(Option<u32>),
    PppoeDiscovery,
    /// An LLC header, not an EtherType, of a frame of one kind or of any.
    Llc(Option<LlcFrame>),
    Outbound(bool),
    /// The index of an interface.
    Interface(u32),
}

impl Primitive {
    /// Whether what follows in the text is behind the headers of this term.
    pub(in crate::filter) const fn moves_headers(&self) -> bool {
        matches!(
            self,
            Self::Vlan(_) | Self::Mpls(_) | Self::PppoeSession(_) | Self::Geneve(_)
        )
    }

    /// Whether it is about the packet as a whole, not about one of its headers.
    pub(in crate::filter) const fn is_of_packet(&self) -> bool {
        matches!(self, Self::Outbound(_) | Self::Interface(_))
    }
}

/// A number that is computed from the packet, in 32 bits without a sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::filter) enum Arith {
    Number(u32),
    /// The length of the packet on the wire.
    Length,
    /// `width` bytes (1, 2 or 4) at an offset in the header of a protocol.
    Load {
        proto: Protocol,
        offset: Box<Self>,
        width: u8,
        depth: Depth,
    },
    Binary(Binary, Box<Self>, Box<Self>, Depth),
    Negate(Box<Self>, Depth),
    /// In the place of a number that would be nested too deep.
    TooDeep,
}

impl Arith {
    pub(in crate::filter) fn load(proto: Protocol, offset: Self, width: u8) -> Self {
        match depth::above(offset.depth()) {
            Some(depth) => Self::Load {
                proto,
                offset: Box::new(offset),
                width,
                depth,
            },
            None => Self::TooDeep,
        }
    }

    pub(in crate::filter) fn binary(operator: Binary, left: Self, right: Self) -> Self {
        match depth::above(left.depth().max(right.depth())) {
            Some(depth) => Self::Binary(operator, Box::new(left), Box::new(right), depth),
            None => Self::TooDeep,
        }
    }

    pub(in crate::filter) fn negated(self) -> Self {
        match depth::above(self.depth()) {
            Some(depth) => Self::Negate(Box::new(self), depth),
            None => Self::TooDeep,
        }
    }

    /// Whether it reads no header.
    pub(in crate::filter) fn is_of_packet(&self) -> bool {
        match self {
            Self::Number(_) | Self::Length => true,
            Self::Load { .. } | Self::TooDeep => false,
            Self::Binary(_, left, right, _) => left.is_of_packet() && right.is_of_packet(),
            Self::Negate(inside, _) => inside.is_of_packet(),
        }
    }

    const fn depth(&self) -> Depth {
        match self {
            Self::Number(_) | Self::Length => 0,
            Self::Load { depth, .. } | Self::Binary(.., depth) | Self::Negate(_, depth) => *depth,
            Self::TooDeep => depth::MOST,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::filter) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

/// A comparison, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// Which address or port of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The source.
    Src,
    /// The destination.
    Dst,
    /// Source or destination.
    Either,
    /// Source and destination.
    Both,
}

/// The layer of a multicast address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A group of link-layer addresses.
    Link,
    /// A group of IPv4.
    Ip,
    /// A group of IPv6.
    Ip6,
}

/// Whose field `proto` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inside {
    /// IPv4 or IPv6.
    AnyIp,
    /// The link layer: an EtherType, or up to 1500 an LLC address.
    Link,
    /// The protocol of IPv4.
    Ip,
    /// The next header of IPv6, also behind one fragment header.
    Ip6,
    /// The protocol identifier of OSI.
    Iso,
}

/// The transport protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, UDP or SCTP.
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The kinds of frames with an LLC header (IEEE 802.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LlcFrame {
    /// `i`: information.
    Information,
    /// `s`: supervisory.
    Supervisory,
    /// `u`: unnumbered.
    Unnumbered,
    /// `rr`: receive ready.
    ReceiveReady,
    /// `rnr`: receive not ready.
    ReceiveNotReady,
    /// `rej`: reject.
    Reject,
    /// `ui`: unnumbered information.
    UnnumberedInformation,
    /// `ua`: unnumbered acknowledgement.
    UnnumberedAcknowledgement,
    /// `disc`: disconnect.
    Disconnect,
    /// `dm`: disconnected mode.
    DisconnectedMode,
    /// `sabme`: set asynchronous balanced mode extended.
    SetBalancedMode,
    /// `test`: test.
    Test,
    /// `xid`: exchange identification.
    ExchangeIdentification,
    /// `frmr`: frame reject.
    FrameReject,
}

/// The protocols that have a keyword.
#[expect(missing_docs, reason = "each is named as its keyword")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Iso,
    Esis,
    Isis,
    Clnp,
    L1,
    L2,
    Iih,
    Lsp,
    Snp,
    Csnp,
    Psnp,
    Stp,
    Ipx,
    Netbeui,
}
