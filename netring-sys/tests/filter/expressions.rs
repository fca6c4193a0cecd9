//! Filter expressions: what they select, in user space and in the kernel, and how mistakes are
//! reported.

use std::net::{IpAddr, Ipv6Addr};

use netring_sys::filter::{
    Expr, Inside, Layer, Number, Protocol, Relation, Side, Transport, Width,
};
use netring_sys::{LinkType, Matcher, Packet, Timestamp, VlanTag};
use proptest::prelude::*;

use super::Kernel;
use super::programs::packets;

pub(crate) const EXPRESSIONS: [&str; 30] = [
    "ip",
    "tcp",
    "not tcp",
    "tcp or udp",
    "host 10.0.0.1",
    "src host 10.0.0.1 and not dst net 10.0.0.0/8",
    "net 10 or net 192.168",
    "tcp dst port 443 and not net 10.0.0.0/8",
    "udp port 53",
    "port 53 or port 443",
    "not (port 22 or port 53)",
    "portrange 50-500",
    "ip6 host fe80::1",
    "net 2001:db8::/32",
    "ip6 and udp",
    "icmp6",
    "vlan",
    "vlan 5 and tcp",
    "vlan and vlan and ip",
    "mpls and ip",
    "pppoes and ip",
    "ether host 02:00:00:00:00:01",
    "broadcast or ip multicast",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf != 5",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[((tcp[12] & 0xf0) >> 2):2] = 0x1603",
    "ip[2:2] - ((ip[0] & 0xf) << 2) > 20",
    "len = ip[2:2] + 14",
    "greater 60 and less 100",
];

pub(crate) fn expression(text: &str) -> Expr {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

pub(crate) fn ethernet(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, Timestamp::EPOCH, LinkType::ETHERNET)
}

/// Whether a filter for bytes selects a frame.
fn selects(text: &str, frame: &[u8]) -> bool {
    let program = expression(text).for_bytes(LinkType::ETHERNET).unwrap();
    Matcher::new(program).unwrap().matches(&ethernet(frame))
}

/// A frame with these bytes behind its addresses, and zeros up to 60 bytes.
pub(crate) fn frame(rest: &[u8]) -> Vec<u8> {
    let mut frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], rest].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// IPv4 from 10.0.0.1 to 192.0.2.7 with a header of this many words, and what it carries.
pub(crate) fn ip4(words: u8, fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let header = [
        8,
        0,
        0x40 | words,
        0,
        0,
        46,
        0,
        0,
        high,
        low,
        64,
        protocol,
        0,
        0,
    ];
    let options = vec![1; usize::from(words - 5) * 4];
    [&header[..], &[10, 0, 0, 1, 192, 0, 2, 7], &options, payload].concat()
}

/// The ports 40000 and 443, and SYN where TCP has its flags.
pub(crate) const PORTS: [u8; 14] = [0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2];

pub(crate) fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, next, 64];
    header.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    [&header[..], payload].concat()
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let tcp = ip4(5, 0, 6, &PORTS);
    let tagged = |tag: &[u8], inside: &[u8]| frame(&[tag, inside].concat());
    vec![
        frame(&tcp),
        frame(&ip4(7, 0, 6, &PORTS)),
        frame(&ip4(5, 0x2000, 17, &PORTS)),
        frame(&ip4(5, 0x00b9, 17, &PORTS)),
        frame(&ip4(5, 0, 1, &[8, 0, 0, 0])),
        frame(&ip6(6, &PORTS)),
        frame(&ip6(17, &PORTS)),
        frame(&ip6(44, &[6, 0, 0, 0])),
        frame(&ip6(58, &[135, 0])),
        frame(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]),
        tagged(&[0x81, 0, 0, 5], &tcp),
        tagged(&[0x88, 0xa8, 0, 9, 0x81, 0, 0, 5], &tcp),
        tagged(&[0x81, 0, 0xe0, 0], &ip6(17, &PORTS)),
        tagged(&[0x88, 0x47, 0, 1, 0x01, 64], &tcp[2..]),
        tagged(&[0x88, 0x64, 0x11, 0, 0, 17, 0, 50, 0, 0x21], &tcp[2..]),
    ]
}

#[test]
fn the_kernel_selects_what_the_interpreter_selects() {
    for text in EXPRESSIONS {
        let program = expression(text).for_bytes(LinkType::ETHERNET).unwrap();
        let kernel = Kernel::new(program.instructions()).unwrap();
        for frame in samples() {
            let keeps = selects(text, &frame).then_some(frame.len());
            assert_eq!(kernel.keeps(&frame), keeps, "{text}: {frame:02x?}");
        }
    }
}

#[test]
fn expressions_select_the_frames_that_they_describe() {
    let samples = samples();
    for (text, expected) in [
        ("tcp", &[0, 1, 5, 7][..]),
        ("ip and not tcp", &[2, 3, 4]),
        ("udp port 443", &[2, 6]),
        ("tcp dst port 443 and not net 10.0.0.0/8", &[5]),
        ("host 10.0.0.1 and port 443", &[0, 1, 2]),
        ("src or dst host fe80::1", &[5, 6, 7, 8]),
        ("tcp[tcpflags] & tcp-syn != 0", &[0, 1]),
        ("ip[6:2] & 0x1fff != 0", &[3]),
        ("ip[0] & 0xf != 5", &[1]),
        ("arp or icmp or icmp6", &[4, 8, 9]),
        ("vlan", &[10, 11, 12]),
        ("vlan 5", &[10]),
        ("vlan 9 and vlan 5 and tcp port 443", &[11]),
        ("vlan and ip6 and udp", &[12]),
        ("mpls 16 and tcp", &[13]),
        ("pppoes 17 and src net 10", &[14]),
    ] {
        let numbers = 0..samples.len();
        let selected: Vec<_> = numbers.filter(|n| selects(text, &samples[*n])).collect();
        assert_eq!(selected, expected, "{text}");
    }
}

/// The verdict does not depend on where the tag is.
#[test]
fn a_tag_aside_means_what_it_means_in_the_bytes() {
    let mut compared = 0;
    for frame in samples() {
        let tpid = u16::from_be_bytes([frame[12], frame[13]]);
        if !matches!(tpid, 0x8100 | 0x88a8) {
            continue;
        }
        let tci = u16::from_be_bytes([frame[14], frame[15]]);
        let aside = [&frame[..12], &frame[16..]].concat();
        let aside = ethernet(&aside).with_vlan(Some(VlanTag { tpid, tci }));
        for text in EXPRESSIONS {
            let program = expression(text)
                .for_live_socket(LinkType::ETHERNET)
                .unwrap();
            let live = Matcher::new(program).unwrap();
            assert_eq!(
                live.matches(&aside),
                selects(text, &frame),
                "{text}: {frame:02x?}"
            );
            assert_eq!(
                live.matches(&ethernet(&frame)),
                selects(text, &frame),
                "{text}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * EXPRESSIONS.len());
}

#[test]
fn jumps_of_more_than_255_instructions_lead_to_the_verdict() {
    let hosts = (0..600).map(|n| format!("10.1.{}.{}", n / 250, n % 250));
    let text = format!("host {} or ip6", hosts.collect::<Vec<_>>().join(" or "));
    let mut sample = frame(&ip4(5, 0, 6, &PORTS));
    for (address, expected) in [
        ([10, 1, 0, 0], true),
        ([10, 1, 2, 99], true),
        ([10, 1, 2, 100], false),
    ] {
        for at in [26, 30] {
            sample[26..34].fill(1);
            sample[at..at + 4].copy_from_slice(&address);
            assert_eq!(selects(&text, &sample), expected, "{address:?} at {at}");
        }
    }
    assert!(selects(&text, &frame(&ip6(6, &PORTS))));
}

#[test]
fn a_mistake_names_its_place_and_the_nearest_word() {
    for (text, expected) in [
        (
            "",
            "column 1: the filter is empty; without a filter all packets match",
        ),
        (
            "tcp and prot 80",
            "column 9: expected a term, such as `host`, `port` or `tcp`, not `prot`; the nearest word is `port`",
        ),
        (
            "port htpp",
            "column 6: \"htpp\" is not the name of a port; the nearest is `http`",
        ),
        (
            "port htp",
            "column 6: \"htp\" is not the name of a port; the nearest is `http`",
        ),
        (
            "port 70000",
            "column 6: 70000 is not a port; ports are 0 to 65535",
        ),
        (
            "net 10.0.0.1/8",
            "column 5: 10.0.0.1 has bits outside of its mask; a network address has none",
        ),
        (
            "host example.org",
            "column 6: \"example.org\" is not an address; names of hosts and networks are not looked up",
        ),
        (
            "tcp[13:3] = 1",
            "column 8: 3 bytes cannot be loaded at once; 1, 2 or 4 can",
        ),
        (
            "ip proto tcp",
            "column 10: `tcp` is a keyword: write `\\tcp` for the protocol",
        ),
        ("(tcp", "column 1: there is no `)` for this `(`"),
        (
            "len > 5 and",
            "column 12: expected a term, such as `host`, `port` or `tcp`, but the filter ends here",
        ),
    ] {
        let why = text.parse::<Expr>().unwrap_err().to_string();
        assert_eq!(why, format!("filter: {expected}"), "{text}");
    }
}

#[test]
fn what_a_dialect_or_link_type_cannot_express_is_refused() {
    let inbound = expression("inbound");
    let why = inbound
        .for_bytes(LinkType::ETHERNET)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("the direction is not in the bytes of a packet"),
        "{why}"
    );
    assert!(inbound.for_live_socket(LinkType::ETHERNET).is_ok());
    let why = expression("vlan")
        .for_bytes(LinkType::RAW_IP)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("VLAN tags are not in packets of the link type"),
        "{why}"
    );
    let why = expression("ip")
        .for_bytes(LinkType::NFLOG)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("filter expressions are not available for the link type"),
        "{why}"
    );
    let long: Vec<_> = (0..2500).map(|n| format!("ip[{n}] = 1")).collect();
    let why = expression(&long.join(" or "))
        .for_bytes(LinkType::ETHERNET)
        .unwrap_err();
    assert!(
        why.to_string().contains("a program has up to 4096"),
        "{why}"
    );
    let deep = format!("{}tcp{}", "(".repeat(5000), ")".repeat(5000));
    let why = deep.parse::<Expr>().unwrap_err().to_string();
    assert!(why.contains("nested more than 200 levels deep"), "{why}");
}

#[test]
fn text_and_builder_make_one_tree() {
    let tcp = Expr::protocol(Protocol::Tcp);
    let any = Ipv6Addr::UNSPECIFIED;
    let load = |offset: u32| Number::load(Protocol::Ip, offset, Width::Byte);
    for (text, built) in [
        (
            "tcp and not arp",
            tcp.clone().and(!Expr::protocol(Protocol::Arp)),
        ),
        ("src host 10.0.0.1", Expr::host(Side::Src, [10, 0, 0, 1])),
        ("net 10", Expr::net(Side::Either, [10, 0, 0, 0], 8).unwrap()),
        ("net ::/0", Expr::net(Side::Either, any, 0).unwrap()),
        (
            "arp dst host 10.0.0.1",
            Expr::host_in(Protocol::Arp, Side::Dst, [10, 0, 0, 1].into()),
        ),
        (
            "ether src 1:2:3:4:5:6",
            Expr::ether_host(Side::Src, [1, 2, 3, 4, 5, 6]),
        ),
        (
            "src and dst port 53",
            Expr::port(Transport::Any, Side::Both, 53),
        ),
        (
            "udp portrange 1-9",
            Expr::ports(Transport::Udp, Side::Either, 1..=9),
        ),
        ("ip6 proto 89", Expr::number(Inside::Ip6, 89)),
        (
            "broadcast or ip broadcast",
            Expr::broadcast().or(Expr::ip_broadcast()),
        ),
        ("ip6 multicast", Expr::multicast(Layer::Ip6)),
        ("vlan 5 and mpls", Expr::vlan(Some(5)).and(Expr::mpls(None))),
        (
            "pppoed or pppoes 7",
            Expr::pppoe_discovery().or(Expr::pppoe_session(Some(7))),
        ),
        (
            "llc or inbound or outbound",
            Expr::llc().or(Expr::inbound()).or(Expr::outbound()),
        ),
        (
            "-len % 3 = 1",
            Expr::compare(-(Number::length() % 3), Relation::Equal, 1),
        ),
        (
            "ip[0] & 15 > ip[8] << 1",
            Expr::compare(load(0) & 15, Relation::Greater, load(8) << 1),
        ),
        (
            "less 64",
            Expr::compare(Number::length(), Relation::LessEqual, 64),
        ),
    ] {
        assert_eq!(expression(text), built, "{text}");
    }
    for (address, prefix) in [(IpAddr::from([10, 0, 0, 1]), 8), ([10, 0, 0, 0].into(), 33)] {
        let why = Expr::net(Side::Src, address, prefix)
            .unwrap_err()
            .to_string();
        assert!(why.contains("is not a network"), "{why}");
    }
    let vlan = Expr::vlan(Some(4096))
        .for_bytes(LinkType::ETHERNET)
        .unwrap_err();
    assert_eq!(
        vlan.to_string(),
        "filter: `vlan 4096`: 4096 is not a VLAN identifier; they are 0 to 4095"
    );
}

/// Words of the language in any order, and any text.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    const WORDS: [&str; 41] = [
        "tcp",
        "ip",
        "ip6",
        "ether",
        "arp",
        "host",
        "net",
        "port",
        "portrange",
        "proto",
        "src",
        "dst",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ":",
        "=",
        "<",
        "+",
        "-",
        "%",
        "<<",
        "10",
        "10.0.0.1",
        "::1",
        "/",
        "80",
        "0x10",
        "vlan",
        "mpls",
        "pppoes",
        "geneve",
        "len",
        "http",
        "broadcast",
        "\\tcp",
        "1:2:3:4:5:6",
    ];
    let words = prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..14);
    prop_oneof![3 => words.prop_map(|words| words.join(" ")), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is parsed compiles or is refused, and a program passes the kernel's checks.
    #[test]
    fn no_text_makes_the_compiler_fail(text in texts()) {
        if let Ok(expression) = text.parse::<Expr>() {
            for link_type in [LinkType::ETHERNET, LinkType::RAW_IP, LinkType::LINUX_SLL2, LinkType::PPP] {
                let programs = [expression.for_bytes(link_type), expression.for_live_socket(link_type)];
                for program in programs.into_iter().flatten() {
                    prop_assert!(program.check().is_ok(), "{}: {}", text, program);
                }
            }
        }
    }

    /// Whatever the bytes are, also of packets that end early.
    #[test]
    fn random_packets_have_the_verdict_of_the_kernel(
        which in 0..EXPRESSIONS.len(),
        packets in prop::collection::vec(packets(0..90_usize), 1..6),
        mut sample in prop::sample::select(samples()),
        cut in 1..90_usize,
    ) {
        sample.truncate(cut);
        let text = EXPRESSIONS[which];
        let program = expression(text).for_bytes(LinkType::ETHERNET).unwrap();
        let kernel = Kernel::new(program.instructions()).unwrap();
        for bytes in packets.iter().chain([&sample]).filter(|bytes| !bytes.is_empty()) {
            prop_assert_eq!(kernel.keeps(bytes).is_some(), selects(text, bytes), "{}: {:02x?}", text, bytes);
        }
    }
}
