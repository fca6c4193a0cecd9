//! Expressions print as text that parses to the same tree.

use std::net::IpAddr;

use netring_sys::Filter;
use netring_sys::filter::{
    Expr, Inside, Layer, Number, Protocol, Relation, Side, Transport, Width,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::expressions::texts;

/// The expressions that are compared with tcpdump.
const COMPARED: &str = include_str!("../../../xtask/src/tools/conformance_filter/expressions.txt");

#[track_caller]
fn prints_itself(expr: &Expr) {
    let text = expr.to_string();
    match text.parse::<Expr>() {
        Ok(again) => assert_eq!(again, *expr, "{text}"),
        Err(why) => panic!("{text}: {why}"),
    }
    let filter: Filter = text.parse().unwrap();
    assert_eq!(filter, expr.into());
    assert_eq!(filter.to_string(), text);
}

#[test]
fn text_that_is_parsed_prints_as_text_of_the_same_tree() {
    let lines = COMPARED.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut printed = 0;
    for line in lines {
        if let Ok(expr) = line.parse() {
            prints_itself(&expr);
            printed += 1;
        }
    }
    assert!(printed >= 200, "{printed} expressions");
}

#[test]
fn the_text_is_what_one_would_write() {
    for (text, printed) in [
        (
            "tcp dst port 443 and not net 10",
            "tcp dst port 443 and not net 10.0.0.0/8",
        ),
        ("tcp port (80 or 443)", "tcp port 80 or tcp port 443"),
        (
            "arp or (ip6 && !(udp || icmp6))",
            "arp or (ip6 and not (udp or icmp6))",
        ),
        (
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "tcp[13] & (2 | 1) != 0",
        ),
        (
            "net 10.0.0.0 mask 255.0.255.0",
            "net 10.0.0.0 mask 255.0.255.0",
        ),
        ("ether src 1:2:3:4:5:6", "ether src host 01:02:03:04:05:06"),
        (
            "src and dst portrange http-https",
            "src and dst portrange 80-443",
        ),
        ("ether proto \\arp", "ether proto 0x0806"),
        ("-len % 3 = 1", "-(len % 3) = 1"),
        ("vlan 5 and host ::1", "vlan 5 and host ::1"),
        ("less 64", "len <= 64"),
    ] {
        let expr: Expr = match text.parse() {
            Ok(expr) => expr,
            Err(why) => panic!("{text}: {why}"),
        };
        assert_eq!(expr.to_string(), printed);
        prints_itself(&expr);
    }
    // Ends in the other order are the same range, as in text.
    let (high, low) = (9, 1);
    let range = Expr::ports(Transport::Tcp, Side::Src, high..=low);
    assert_eq!(range.to_string(), "tcp src portrange 1-9");
    // What cannot be compiled prints too, and is refused for the same reason.
    let vlan = Expr::vlan(Some(5000)).to_string();
    assert_eq!(vlan, "vlan 5000");
    let why = vlan.parse::<Expr>().unwrap_err().to_string();
    assert!(why.ends_with("5000 is more than 4095"), "{why}");
}

fn sides() -> impl Strategy<Value = Side> {
    select(vec![Side::Src, Side::Dst, Side::Either, Side::Both])
}

const PROTOCOLS: [Protocol; 29] = [
    Protocol::Ip,
    Protocol::Ip6,
    Protocol::Arp,
    Protocol::Rarp,
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::Sctp,
    Protocol::Icmp,
    Protocol::Icmp6,
    Protocol::Igmp,
    Protocol::Igrp,
    Protocol::Pim,
    Protocol::Vrrp,
    Protocol::Carp,
    Protocol::Ah,
    Protocol::Esp,
    Protocol::Atalk,
    Protocol::Aarp,
    Protocol::Decnet,
    Protocol::Lat,
    Protocol::Sca,
    Protocol::Moprc,
    Protocol::Mopdl,
    Protocol::Iso,
    Protocol::Esis,
    Protocol::Isis,
    Protocol::Stp,
    Protocol::Ipx,
    Protocol::Netbeui,
];

fn net((side, address, prefix): (Side, IpAddr, u8)) -> Expr {
    let (bits, address) = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl((32 - prefix % 33).into()).unwrap_or(0);
            (prefix % 33, IpAddr::V4((address.to_bits() & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl((128 - prefix % 129).into());
            let bits = address.to_bits() & mask.unwrap_or(0);
            (prefix % 129, IpAddr::V6(bits.into()))
        }
    };
    Expr::net(side, address, bits).unwrap()
}

fn terms() -> impl Strategy<Value = Expr> {
    let transports = select(vec![
        Transport::Any,
        Transport::Tcp,
        Transport::Udp,
        Transport::Sctp,
    ]);
    let insides = select(vec![
        Inside::AnyIp,
        Inside::Link,
        Inside::Ip,
        Inside::Ip6,
        Inside::Iso,
    ]);
    let with_hosts = select(vec![Protocol::Ip, Protocol::Arp, Protocol::Rarp]);
    prop_oneof![
        select(PROTOCOLS.to_vec()).prop_map(Expr::protocol),
        (sides(), any::<IpAddr>()).prop_map(|(side, address)| Expr::host(side, address)),
        (sides(), any::<IpAddr>(), any::<u8>()).prop_map(net),
        (with_hosts, sides(), any::<[u8; 4]>()).prop_map(|(proto, side, address)| Expr::host_in(
            proto,
            side,
            address.into()
        )),
        (sides(), any::<[u8; 6]>()).prop_map(|(side, address)| Expr::ether_host(side, address)),
        (
            transports,
            sides(),
            any::<u16>(),
            any::<u16>(),
            any::<bool>()
        )
            .prop_map(|(transport, side, first, last, one)| match one {
                true => Expr::port(transport, side, first),
                false => Expr::ports(transport, side, first..=last),
            }),
        (insides, any::<u32>()).prop_map(|(inside, number)| Expr::number(inside, number)),
        select(vec![
            Expr::broadcast(),
            Expr::ip_broadcast(),
            Expr::multicast(Layer::Link),
            Expr::multicast(Layer::Ip),
            Expr::multicast(Layer::Ip6),
            Expr::pppoe_discovery(),
            Expr::llc(),
            Expr::inbound(),
            Expr::outbound(),
        ]),
        prop::option::of(0..4096_u16).prop_map(Expr::vlan),
        prop::option::of(0..1_u32 << 20).prop_map(Expr::mpls),
        prop::option::of(any::<u16>()).prop_map(Expr::pppoe_session),
        prop::option::of(0..1_u32 << 24).prop_map(Expr::geneve),
        (
            select(vec![Inside::AnyIp, Inside::Ip, Inside::Ip6]),
            0..256_u32
        )
            .prop_map(|(inside, number)| Expr::protocol_chain(inside, number)),
        comparisons(),
    ]
}

fn numbers() -> impl Strategy<Value = Number> {
    let leaf = prop_oneof![any::<u32>().prop_map(Number::from), Just(Number::length())];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let widths = select(vec![Width::Byte, Width::Half, Width::Word]);
        prop_oneof![
            (select(PROTOCOLS.to_vec()), inner.clone(), widths)
                .prop_map(|(proto, offset, width)| Number::load(proto, offset, width)),
            inner.clone().prop_map(|number| -number),
            (inner.clone(), inner, 0..10_u8).prop_map(|(a, b, operator)| match operator {
                0 => a + b,
                1 => a - b,
                2 => a * b,
                // A constant on the right could be 0 or 32, which text refuses.
                3 => a / (b + 1),
                4 => a % (b + 1),
                5 => a & b,
                6 => a | b,
                7 => a ^ b,
                8 => a << (b & 31),
                _ => a >> (b & 31),
            }),
        ]
    })
}

fn comparisons() -> impl Strategy<Value = Expr> {
    let relations = select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Less,
        Relation::LessEqual,
        Relation::Greater,
        Relation::GreaterEqual,
    ]);
    (numbers(), relations, numbers())
        .prop_map(|(left, relation, right)| Expr::compare(left, relation, right))
}

pub(crate) fn expressions() -> impl Strategy<Value = Expr> {
    terms().prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|expr| !expr),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner).prop_map(|(a, b)| a.or(b)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever words of the language are behind each other.
    #[test]
    fn any_text_that_is_parsed_prints_as_text_of_the_same_tree(
        texts in prop::collection::vec(texts(), 16),
    ) {
        for expr in texts.iter().filter_map(|text| text.parse().ok()) {
            prints_itself(&expr);
        }
    }

    #[test]
    fn any_expression_prints_as_text_of_the_same_tree(expr in expressions()) {
        prints_itself(&expr);
    }
}
