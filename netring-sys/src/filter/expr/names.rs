//! The words of the language, and those nearest to a word that is not one.

use super::tree::{Inside, LlcFrame, Protocol};

pub(super) const PROTOS: [(&str, Protocol); 46] = [
    ("ether", Protocol::Ether),
    ("link", Protocol::Ether),
    // As in libpcap: other words for the link layer, whatever it is.
    ("fddi", Protocol::Ether),
    ("tr", Protocol::Ether),
    ("wlan", Protocol::Ether),
    ("ppp", Protocol::Ether),
    ("slip", Protocol::Ether),
    ("ip", Protocol::Ip),
    ("ip6", Protocol::Ip6),
    ("arp", Protocol::Arp),
    ("rarp", Protocol::Rarp),
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("sctp", Protocol::Sctp),
    ("icmp", Protocol::Icmp),
    ("icmp6", Protocol::Icmp6),
    ("igmp", Protocol::Igmp),
    ("igrp", Protocol::Igrp),
    ("pim", Protocol::Pim),
    ("vrrp", Protocol::Vrrp),
    ("carp", Protocol::Carp),
    ("ah", Protocol::Ah),
    ("esp", Protocol::Esp),
    ("atalk", Protocol::Atalk),
    ("aarp", Protocol::Aarp),
    ("decnet", Protocol::Decnet),
    ("lat", Protocol::Lat),
    ("sca", Protocol::Sca),
    ("moprc", Protocol::Moprc),
    ("mopdl", Protocol::Mopdl),
    ("iso", Protocol::Iso),
    ("esis", Protocol::Esis),
    ("es-is", Protocol::Esis),
    ("isis", Protocol::Isis),
    ("is-is", Protocol::Isis),
    ("clnp", Protocol::Clnp),
    ("l1", Protocol::L1),
    ("l2", Protocol::L2),
    ("iih", Protocol::Iih),
    ("lsp", Protocol::Lsp),
    ("snp", Protocol::Snp),
    ("csnp", Protocol::Csnp),
    ("psnp", Protocol::Psnp),
    ("stp", Protocol::Stp),
    ("ipx", Protocol::Ipx),
    ("netbeui", Protocol::Netbeui),
];

/// Other keywords, which are no names either.
const KEYWORDS: [&str; 29] = [
    "and",
    "or",
    "not",
    "src",
    "dst",
    "host",
    "net",
    "mask",
    "port",
    "portrange",
    "proto",
    "protochain",
    "gateway",
    "broadcast",
    "multicast",
    "less",
    "greater",
    "inbound",
    "outbound",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "llc",
    "len",
    "length",
    "byte",
    "ifindex",
    "geneve",
];

/// The kinds of frames that may follow `llc`.
pub(super) const LLC_FRAMES: [(&str, LlcFrame); 14] = [
    ("i", LlcFrame::Information),
    ("s", LlcFrame::Supervisory),
    ("u", LlcFrame::Unnumbered),
    ("rr", LlcFrame::ReceiveReady),
    ("rnr", LlcFrame::ReceiveNotReady),
    ("rej", LlcFrame::Reject),
    ("ui", LlcFrame::UnnumberedInformation),
    ("ua", LlcFrame::UnnumberedAcknowledgement),
    ("disc", LlcFrame::Disconnect),
    ("dm", LlcFrame::DisconnectedMode),
    ("sabme", LlcFrame::SetBalancedMode),
    ("test", LlcFrame::Test),
    ("xid", LlcFrame::ExchangeIdentification),
    ("frmr", LlcFrame::FrameReject),
];

/// Offsets and values that have a name inside `proto[…]` expressions.
pub(super) const NUMBERS: [(&str, u32); 57] = [
    ("icmptype", 0),
    ("icmpcode", 1),
    ("icmp6type", 0),
    ("icmp6code", 1),
    ("tcpflags", 13),
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130),
    ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
    ("icmp6-redirect", 137),
    ("icmp6-routerrenum", 138),
    ("icmp6-nodeinformationquery", 139),
    ("icmp6-nodeinformationresponse", 140),
    ("icmp6-ineighbordiscoverysolicit", 141),
    ("icmp6-ineighbordiscoveryadvert", 142),
    ("icmp6-multicastlistenerreportv2", 143),
    ("icmp6-homeagentdiscoveryrequest", 144),
    ("icmp6-homeagentdiscoveryreply", 145),
    ("icmp6-mobileprefixsolicit", 146),
    ("icmp6-mobileprefixadvert", 147),
    ("icmp6-certpathsolicit", 148),
    ("icmp6-certpathadvert", 149),
    ("icmp6-multicastrouteradvert", 151),
    ("icmp6-multicastroutersolicit", 152),
    ("icmp6-multicastrouterterm", 153),
];

const IP_PROTOCOLS: [(&str, u32); 57] = [
    ("ax.25", 93),
    ("manet", 138),
    ("shim6", 140),
    ("rohc", 142),
    ("ethernet", 143),
    ("mptcp", 262),
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("hip", 139),
    ("wesp", 141),
];

/// The second names in `/etc/protocols`, where they are not the first ones in capitals.
const OTHER_NAMES: [(&str, u32); 16] = [
    ("IP-ENCAP", 4),
    ("IPv6", 41),
    ("IPv6-Route", 43),
    ("IPv6-Frag", 44),
    ("IPSEC-ESP", 50),
    ("IPSEC-AH", 51),
    ("IPv6-ICMP", 58),
    ("IPv6-NoNxt", 59),
    ("IPv6-Opts", 60),
    ("CPHB", 73),
    ("OSPFIGP", 89),
    ("Mobility-Header", 135),
    ("UDPLite", 136),
    ("MPLS-in-IP", 137),
    ("Shim6", 140),
    ("Ethernet", 143),
];

const ETHER_TYPES: [(&str, u32); 16] = [
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("arp", 0x0806),
    ("rarp", 0x8035),
    ("atalk", 0x809b),
    ("aarp", 0x80f3),
    ("decnet", 0x6003),
    ("lat", 0x6004),
    ("sca", 0x6007),
    ("moprc", 0x6002),
    ("mopdl", 0x6001),
    ("loopback", 0x9000),
    ("iso", 0xfe),
    ("stp", 0x42),
    ("ipx", 0xe0),
    ("netbeui", 0xf0),
];

const OSI: [(&str, u32); 3] = [("clnp", 0x81), ("esis", 0x82), ("isis", 0x83)];

pub(super) fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let (_, value) = table.iter().find(|(known, _)| *known == name)?;
    Some(*value)
}

/// Whether the word is part of the language, and so not a name unless it is escaped.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word) || find(&PROTOS, word).is_some() || find(&NUMBERS, word).is_some()
}

/// The table in which the names after `proto` are looked up.
pub(super) fn numbers_inside(inside: Inside) -> &'static [(&'static str, u32)] {
    match inside {
        Inside::AnyIp | Inside::Ip | Inside::Ip6 => &IP_PROTOCOLS,
        Inside::Link => &ETHER_TYPES,
        Inside::Iso => &OSI,
    }
}

/// The number of a protocol by its name; those of IP have a second one, mostly in capitals.
pub(super) fn number(inside: Inside, name: &str) -> Option<u32> {
    let table = numbers_inside(inside);
    let second = || {
        if !matches!(inside, Inside::AnyIp | Inside::Ip | Inside::Ip6) {
            return None;
        }
        let is_capital = |(known, _): &&(&str, u32)| known.to_ascii_uppercase() == name;
        let capital = || table.iter().find(is_capital).map(|(_, number)| *number);
        find(&OTHER_NAMES, name).or_else(capital)
    };
    find(table, name).or_else(second)
}

/// The keyword nearest to a word, if one is near.
pub(super) fn nearest_keyword(word: &str) -> Option<&'static str> {
    let protos = PROTOS.iter().map(|(name, _)| *name);
    let numbers = NUMBERS.iter().map(|(name, _)| *name);
    nearest(word, KEYWORDS.into_iter().chain(protos).chain(numbers))
}

/// The candidate that differs in the fewest letters, at most a third of the word; of several one
/// with the same first letter, which is seldom mistyped.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > 40 {
        return None;
    }
    let near = candidates.map(|candidate| (distance(word, candidate), candidate));
    let first = word.bytes().next();
    let (distance, candidate) =
        near.min_by_key(|(distance, candidate)| (*distance, candidate.bytes().next() != first))?;
    (distance <= word.len().div_ceil(3).max(1)).then_some(candidate)
}

/// Letters to insert, remove or replace, or neighbours to swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let replaced = row[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
