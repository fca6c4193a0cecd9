//! What the first byte of a packet is the start of.

use std::fmt;

use crate::kernel::packet::{
    ARPHRD_CISCO, ARPHRD_ETHER, ARPHRD_IEEE80211, ARPHRD_IEEE80211_PRISM,
    ARPHRD_IEEE80211_RADIOTAP, ARPHRD_IEEE802154, ARPHRD_IP6GRE, ARPHRD_IPGRE, ARPHRD_LOOPBACK,
    ARPHRD_NONE, ARPHRD_PPP, ARPHRD_RAWIP, ARPHRD_SIT, ARPHRD_TUNNEL, ARPHRD_TUNNEL6,
    ARPHRD_VSOCKMON,
};

/// A link type, by its number in the registry of the capture file formats.
///
/// Any number is valid: a source passes on one that it does not know, and the reader of the packets
/// counts what it cannot read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the machine that captured.
    #[doc(alias = "DLT_NULL")]
    pub const NULL: Self = Self(0);
    /// Ethernet, without preamble and frame check sequence.
    #[doc(alias = "DLT_EN10MB")]
    pub const ETHERNET: Self = Self(1);
    /// PPP: the address and control bytes of HDLC (0xff 0x03) or not, then the protocol.
    #[doc(alias = "DLT_PPP")]
    pub const PPP: Self = Self(9);
    /// An IPv4 or IPv6 header, as [`RAW_IP`](Self::RAW_IP), in files whose writer used its system's
    /// own number (`DLT_RAW`, 12 on most systems).
    pub const DLT_RAW: Self = Self(12);
    /// As [`DLT_RAW`](Self::DLT_RAW), with OpenBSD's number.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing (RFC 1662), or HDLC with EtherTypes (RFC 1547); the first byte tells which.
    #[doc(alias = "DLT_PPP_SERIAL")]
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE, from its own header on.
    #[doc(alias = "DLT_PPP_ETHER")]
    pub const PPP_ETHER: Self = Self(51);
    /// An IPv4 or IPv6 header at once; the version field tells which.
    pub const RAW_IP: Self = Self(101);
    /// Cisco HDLC: an address, a control byte and an EtherType (4 bytes) before the network header.
    #[doc(alias = "DLT_C_HDLC")]
    pub const C_HDLC: Self = Self(104);
    /// OpenBSD loopback: an address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1: 16 bytes before the network header.
    #[doc(alias = "DLT_LINUX_SLL")]
    pub const LINUX_SLL: Self = Self(113);
    /// The log of the packet filter `pf` of the BSDs: a header that gives its own length, then IP.
    #[doc(alias = "DLT_PFLOG")]
    pub const PFLOG: Self = Self(117);
    /// An IPv4 header at once.
    pub const IPV4: Self = Self(228);
    /// An IPv6 header at once.
    pub const IPV6: Self = Self(229);
    /// The log of Linux netfilter (`nflog`): attributes, one of which is an IP packet.
    #[doc(alias = "DLT_NFLOG")]
    pub const NFLOG: Self = Self(239);
    /// Linux "cooked" capture, version 2: 20 bytes before the network header.
    #[doc(alias = "DLT_LINUX_SLL2")]
    pub const LINUX_SLL2: Self = Self(276);
    /// Not in the registry: a source whose packets have a header that no registered number stands for.
    pub const UNKNOWN: Self = Self(u16::MAX);
}

impl LinkType {
    /// What a packet starts with, as a raw packet socket gives it, on an interface of this hardware type (`ARPHRD_*`).
    ///
    /// ```
    /// use netring_sys::LinkType;
    ///
    /// assert_eq!(LinkType::of_hardware(1), LinkType::ETHERNET);
    /// assert_eq!(LinkType::of_hardware(0xfffe), LinkType::RAW_IP); // TUN, WireGuard
    /// assert_eq!(LinkType::of_hardware(280), LinkType::UNKNOWN); // CAN
    /// ```
    #[inline]
    pub const fn of_hardware(hardware_type: u16) -> Self {
        match hardware_type {
            ARPHRD_ETHER | ARPHRD_LOOPBACK => Self::ETHERNET,
            _ => Self::of_other_hardware(hardware_type),
        }
    }

    /// Inlined too: a call here would cost every packet the registers that it saves.
    #[inline(always)]
    const fn of_other_hardware(hardware_type: u16) -> Self {
        match hardware_type {
            ARPHRD_PPP | ARPHRD_RAWIP | ARPHRD_TUNNEL | ARPHRD_TUNNEL6 | ARPHRD_SIT
            | ARPHRD_IPGRE | ARPHRD_IP6GRE | ARPHRD_NONE => Self::RAW_IP,
            // The numbers of the registry, as libpcap chooses them.
            ARPHRD_CISCO => Self(104),
            ARPHRD_IEEE80211 => Self(105),
            ARPHRD_IEEE80211_PRISM => Self(119),
            ARPHRD_IEEE80211_RADIOTAP => Self(127),
            ARPHRD_IEEE802154 => Self(230),
            ARPHRD_VSOCKMON => Self(271),
            _ => Self::UNKNOWN,
        }
    }
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NULL => "NULL",
            Self::ETHERNET => "ETHERNET",
            Self::PPP => "PPP",
            Self::DLT_RAW => "DLT_RAW",
            Self::DLT_RAW_OPENBSD => "DLT_RAW_OPENBSD",
            Self::PPP_HDLC => "PPP_HDLC",
            Self::PPP_ETHER => "PPP_ETHER",
            Self::RAW_IP => "RAW_IP",
            Self::C_HDLC => "C_HDLC",
            Self::LOOP => "LOOP",
            Self::LINUX_SLL => "LINUX_SLL",
            Self::PFLOG => "PFLOG",
            Self::IPV4 => "IPV4",
            Self::IPV6 => "IPV6",
            Self::NFLOG => "NFLOG",
            Self::LINUX_SLL2 => "LINUX_SLL2",
            Self::UNKNOWN => "UNKNOWN",
            Self(number) => return write!(f, "LinkType({number})"),
        };
        write!(f, "LinkType::{name}")
    }
}
