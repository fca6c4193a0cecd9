//! Link types: the format of a packet's first header.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;
use crate::kernel::packet::{
    ARPHRD_CISCO, ARPHRD_ETHER, ARPHRD_IEEE80211, ARPHRD_IEEE80211_PRISM,
    ARPHRD_IEEE80211_RADIOTAP, ARPHRD_IEEE802154, ARPHRD_IP6GRE, ARPHRD_IPGRE, ARPHRD_LOOPBACK,
    ARPHRD_NONE, ARPHRD_PPP, ARPHRD_RAWIP, ARPHRD_SIT, ARPHRD_TUNNEL, ARPHRD_TUNNEL6,
    ARPHRD_VSOCKMON,
};

/// A link type, by its number in the registry of the capture file formats (`LINKTYPE_*`).
///
/// Any number is valid: a source passes on unknown ones, and readers of the packets count what they
/// cannot parse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the capturing host.
    #[doc(alias = "DLT_NULL")]
    pub const NULL: Self = Self(0);
    /// Ethernet, without preamble and frame check sequence.
    #[doc(alias = "DLT_EN10MB")]
    pub const ETHERNET: Self = Self(1);
    /// PPP: the HDLC address and control bytes (0xff 0x03), which may be missing, then the
    /// protocol.
    #[doc(alias = "DLT_PPP")]
    pub const PPP: Self = Self(9);
    /// An IPv4 or IPv6 header, like [`RAW_IP`](Self::RAW_IP), in files whose writer used the number
    /// of its own system (`DLT_RAW`, 12 on most systems).
    pub const DLT_RAW: Self = Self(12);
    /// The same with OpenBSD's number.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing (RFC 1662), or HDLC with EtherTypes (RFC 1547); the first byte
    /// shows which.
    #[doc(alias = "DLT_PPP_SERIAL")]
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE, starting with its own header.
    #[doc(alias = "DLT_PPP_ETHER")]
    pub const PPP_ETHER: Self = Self(51);
    /// An IPv4 or IPv6 header without a link layer header; the version field shows which.
    pub const RAW_IP: Self = Self(101);
    /// Cisco HDLC: an address, a control byte and an EtherType (4 bytes) before the network header.
    #[doc(alias = "DLT_C_HDLC")]
    pub const C_HDLC: Self = Self(104);
    /// Frame relay (Q.922) without frame check sequence: an address of two to four bytes, then what
    /// RFC 2427 says, or an EtherType.
    #[doc(alias = "DLT_FRELAY")]
    pub const FRELAY: Self = Self(107);
    /// OpenBSD loopback: an address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1: 16 bytes before the network header.
    #[doc(alias = "DLT_LINUX_SLL")]
    pub const LINUX_SLL: Self = Self(113);
    /// The log of the packet filter `pf` of the BSDs: a header that gives its own length, then IP.
    #[doc(alias = "DLT_PFLOG")]
    pub const PFLOG: Self = Self(117);
    /// Ethernet behind the header that Juniper's routers add to captures, which starts with `MGC`.
    #[doc(alias = "DLT_JUNIPER_ETHER")]
    pub const JUNIPER_ETHER: Self = Self(178);
    /// PPP behind the same header.
    #[doc(alias = "DLT_JUNIPER_PPP")]
    pub const JUNIPER_PPP: Self = Self(179);
    /// Frame relay behind the same header.
    #[doc(alias = "DLT_JUNIPER_FRELAY")]
    pub const JUNIPER_FRELAY: Self = Self(180);
    /// Cisco HDLC behind the same header.
    #[doc(alias = "DLT_JUNIPER_CHDLC")]
    pub const JUNIPER_CHDLC: Self = Self(181);
    /// Solaris between zones: 24 bytes, of which the second is the address family, before the
    /// network header.
    #[doc(alias = "DLT_IPNET")]
    pub const IPNET: Self = Self(226);
    /// An IPv4 header without a link layer header.
    pub const IPV4: Self = Self(228);
    /// An IPv6 header without a link layer header.
    pub const IPV6: Self = Self(229);
    /// The log of Linux netfilter (`nflog`): attributes, one of which is an IP packet.
    #[doc(alias = "DLT_NFLOG")]
    pub const NFLOG: Self = Self(239);
    /// IP over InfiniBand (RFC 4391): 40 bytes for a global route header, an EtherType and two
    /// reserved bytes before the network header.
    #[doc(alias = "DLT_IPOIB")]
    pub const IPOIB: Self = Self(242);
    /// Linux "cooked" capture, version 2: 20 bytes before the network header.
    #[doc(alias = "DLT_LINUX_SLL2")]
    pub const LINUX_SLL2: Self = Self(276);
    /// Not in the registry: packets whose header has no registered number.
    pub const UNKNOWN: Self = Self(u16::MAX);
}

impl LinkType {
    /// The link type of packets that a raw packet socket delivers from an interface of this
    /// hardware type (`ARPHRD_*`).
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
        let (known, link_type) = BY_HARDWARE[place(hardware_type)];
        if known == hardware_type {
            link_type
        } else {
            Self::UNKNOWN
        }
    }

    /// The hardware types that have a link type.
    pub(crate) const fn of_all_hardware() -> &'static [(u16, Self)] {
        &KNOWN
    }
}

/// Hardware types and the link types that libpcap chooses for them.
const KNOWN: [(u16, LinkType); 16] = [
    (ARPHRD_ETHER, LinkType::ETHERNET),
    (ARPHRD_LOOPBACK, LinkType::ETHERNET),
    (ARPHRD_PPP, LinkType::RAW_IP),
    (ARPHRD_CISCO, LinkType::C_HDLC),
    (ARPHRD_RAWIP, LinkType::RAW_IP),
    (ARPHRD_TUNNEL, LinkType::RAW_IP),
    (ARPHRD_TUNNEL6, LinkType::RAW_IP),
    (ARPHRD_SIT, LinkType::RAW_IP),
    (ARPHRD_IPGRE, LinkType::RAW_IP),
    (ARPHRD_IP6GRE, LinkType::RAW_IP),
    (ARPHRD_NONE, LinkType::RAW_IP),
    (ARPHRD_IEEE80211, LinkType(105)),
    (ARPHRD_IEEE80211_PRISM, LinkType(119)),
    (ARPHRD_IEEE80211_RADIOTAP, LinkType(127)),
    (ARPHRD_IEEE802154, LinkType(230)),
    (ARPHRD_VSOCKMON, LinkType(271)),
];

/// [`KNOWN`] as a hash table by [`place`]. Each packet of a ring looks up its type, and a `match`
/// with that many branches takes as long as the rest of its header.
static BY_HARDWARE: [(u16, LinkType); 32] = {
    // Free places have an unknown type, which makes no difference.
    let mut table = [(0, LinkType::UNKNOWN); 32];
    let mut n = 0;
    while n < KNOWN.len() {
        let place = place(KNOWN[n].0);
        assert!(table[place].0 == 0, "two types meet: choose another factor");
        table[place] = KNOWN[n];
        n += 1;
    }
    table
};

/// The factor gives all types of [`KNOWN`] different upper five bits.
#[inline]
const fn place(hardware_type: u16) -> usize {
    (hardware_type.wrapping_mul(0x0669) >> 11) as usize
}

/// The constants by their names.
const NAMES: [(&str, LinkType); 24] = [
    ("NULL", LinkType::NULL),
    ("ETHERNET", LinkType::ETHERNET),
    ("PPP", LinkType::PPP),
    ("DLT_RAW", LinkType::DLT_RAW),
    ("DLT_RAW_OPENBSD", LinkType::DLT_RAW_OPENBSD),
    ("PPP_HDLC", LinkType::PPP_HDLC),
    ("PPP_ETHER", LinkType::PPP_ETHER),
    ("RAW_IP", LinkType::RAW_IP),
    ("C_HDLC", LinkType::C_HDLC),
    ("FRELAY", LinkType::FRELAY),
    ("LOOP", LinkType::LOOP),
    ("LINUX_SLL", LinkType::LINUX_SLL),
    ("PFLOG", LinkType::PFLOG),
    ("JUNIPER_ETHER", LinkType::JUNIPER_ETHER),
    ("JUNIPER_PPP", LinkType::JUNIPER_PPP),
    ("JUNIPER_FRELAY", LinkType::JUNIPER_FRELAY),
    ("JUNIPER_CHDLC", LinkType::JUNIPER_CHDLC),
    ("IPNET", LinkType::IPNET),
    ("IPV4", LinkType::IPV4),
    ("IPV6", LinkType::IPV6),
    ("NFLOG", LinkType::NFLOG),
    ("IPOIB", LinkType::IPOIB),
    ("LINUX_SLL2", LinkType::LINUX_SLL2),
    ("UNKNOWN", LinkType::UNKNOWN),
];

/// The name of the constant, or the number: `ETHERNET`, `147`.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, known)| known == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Reads the name of a constant, in any case, or a number.
impl FromStr for LinkType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let named = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        match named {
            Some((_, link_type)) => Ok(*link_type),
            None => text
                .parse()
                .map(Self)
                .map_err(|_| ParseError::new(text, "link type", "ETHERNET or 147")),
        }
    }
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if NAMES.iter().any(|(_, known)| known == self) {
            write!(f, "LinkType::{self}")
        } else {
            write!(f, "LinkType({self})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hardware_type_has_the_link_type_of_the_list() {
        for hardware in 0..=u16::MAX {
            let listed = KNOWN.iter().find(|(known, _)| *known == hardware);
            let expected = listed.map_or(LinkType::UNKNOWN, |(_, link_type)| *link_type);
            assert_eq!(LinkType::of_hardware(hardware), expected, "{hardware}");
        }
    }

    #[test]
    fn every_link_type_is_read_as_it_is_displayed() {
        for number in 0..=u16::MAX {
            let link_type = LinkType(number);
            assert_eq!(link_type.to_string().parse(), Ok(link_type));
        }
        assert_eq!("ethernet".parse(), Ok(LinkType::ETHERNET));
        assert_eq!("1".parse(), Ok(LinkType::ETHERNET));
        assert_eq!(LinkType::ETHERNET.to_string(), "ETHERNET");
        assert_eq!(format!("{:?}", LinkType::IPV4), "LinkType::IPV4");
        assert_eq!(format!("{:?}", LinkType(147)), "LinkType(147)");
        for text in ["", "65536", "-1", "ETHER"] {
            assert!(text.parse::<LinkType>().is_err(), "{text}");
        }
    }
}
