//! Which program a filter becomes: by the link type of a packet, by where its tag is, and for the
//! packets of all interfaces.

use netring_sys::filter::{Ancillary, Expr, Program};
use netring_sys::kernel::filter::{SKF_AD_OFF, SockFilter};
use netring_sys::{Direction, Error, Filter, LinkType, Matcher, Packet, Timestamp, VlanTag};

use super::expressions::{EXPRESSIONS, samples};

fn matcher(text: &str) -> Matcher {
    let filter: Filter = text.parse().unwrap();
    Matcher::new(filter).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn of(link_type: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, Timestamp::EPOCH, link_type)
}

/// A datagram to port 53 without a link header.
const DNS: [u8; 28] = [
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 53, 0, 8, 0,
    0,
];

/// The datagram behind the link header of each type that has one.
fn dns() -> Vec<(LinkType, Vec<u8>)> {
    let cooked = |len, at: usize| {
        let mut header = vec![0; len];
        header[at..at + 2].copy_from_slice(&[8, 0]);
        header
    };
    let headers = [
        (LinkType::ETHERNET, cooked(14, 12)),
        (LinkType::RAW_IP, vec![]),
        (LinkType::DLT_RAW, vec![]),
        (LinkType::DLT_RAW_OPENBSD, vec![]),
        (LinkType::IPV4, vec![]),
        (LinkType::NULL, vec![2, 0, 0, 0]),
        (LinkType::LOOP, vec![0, 0, 0, 2]),
        (LinkType::LINUX_SLL, cooked(16, 14)),
        (LinkType::LINUX_SLL2, cooked(20, 0)),
        (LinkType::PPP, vec![0xff, 3, 0, 0x21]),
        (LinkType::PPP_HDLC, vec![0xff, 3, 0, 0x21]),
        (LinkType::C_HDLC, vec![0x0f, 0, 8, 0]),
    ];
    headers
        .map(|(link, header)| (link, [&header[..], &DNS].concat()))
        .to_vec()
}

#[test]
fn an_expression_is_compiled_for_the_link_type_of_each_packet() {
    let (dns_only, other) = (matcher("udp dst port 53"), matcher("udp dst port 54"));
    for _ in 0..2 {
        for (link_type, bytes) in dns() {
            let packet = of(link_type, &bytes);
            assert!(dns_only.try_matches(&packet).unwrap(), "{link_type}");
            assert!(!other.try_matches(&packet).unwrap(), "{link_type}");
        }
    }
    let ip6 = of(LinkType::IPV6, &DNS);
    assert!(!dns_only.try_matches(&ip6).unwrap());
}

/// S13: the verdict of text does not depend on where the tag is.
#[test]
fn s13_a_tag_aside_and_a_tag_in_the_bytes_have_one_verdict() {
    let mut compared = 0;
    for frame in samples() {
        let tpid = u16::from_be_bytes([frame[12], frame[13]]);
        if !matches!(tpid, 0x8100 | 0x88a8) {
            continue;
        }
        let tci = u16::from_be_bytes([frame[14], frame[15]]);
        let rest = [&frame[..12], &frame[16..]].concat();
        let aside = of(LinkType::ETHERNET, &rest).with_vlan(Some(VlanTag { tpid, tci }));
        for text in EXPRESSIONS {
            let matcher = matcher(text);
            let expected = matcher
                .try_matches(&of(LinkType::ETHERNET, &frame))
                .unwrap();
            assert_eq!(matcher.try_matches(&aside).unwrap(), expected, "{text}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * EXPRESSIONS.len());
}

#[test]
fn x21_a_packet_that_an_expression_says_nothing_about_is_an_error() {
    let why = |text: &str, packet: &Packet<'_>| {
        let matcher = matcher(text);
        assert!(!matcher.matches(packet), "{text}");
        assert_eq!(matcher.run(packet), 0, "{text}");
        match matcher.try_matches(packet) {
            Err(Error::Config {
                setting: "filter",
                why,
            }) => why,
            other => panic!("{text}: {other:?}"),
        }
    };
    let nflog = of(LinkType::NFLOG, &DNS);
    for text in ["udp", "not udp"] {
        let why = why(text, &nflog);
        let expected = "filter expressions are not available for the link type LinkType::NFLOG";
        assert!(why.starts_with(expected), "{why}");
    }
    let raw = of(LinkType::RAW_IP, &DNS);
    assert_eq!(
        why("udp and not vlan 5", &raw),
        "for a packet of the link type RAW_IP: `vlan 5`: VLAN tags are not in packets of the link \
         type LinkType::RAW_IP"
    );
    // An Ethernet file does not know the direction, a capture does.
    let frame = &samples()[0];
    let packet = of(LinkType::ETHERNET, frame);
    for text in ["inbound", "outbound", "not outbound and tcp"] {
        let why = why(text, &packet);
        assert!(
            why.contains("bound`: the direction is not in the bytes"),
            "{why}"
        );
        assert!(
            why.starts_with("for a packet of the link type ETHERNET: "),
            "{why}"
        );
        let sent = packet.with_direction(Some(Direction::Outgoing));
        let matcher = matcher(text);
        assert_eq!(matcher.try_matches(&sent).unwrap(), text == "outbound");
    }
    // A cooked file has it in its bytes.
    let (link_type, mut cooked) = dns().swap_remove(7);
    cooked[1] = 4;
    let cooked = of(link_type, &cooked);
    assert!(matcher("outbound and udp").try_matches(&cooked).unwrap());
}

#[test]
fn x21_an_expression_that_is_impossible_everywhere_is_refused_at_once() {
    for (expr, expected) in [
        (
            Expr::vlan(Some(4096)),
            "filter: `vlan 4096`: 4096 is not a VLAN identifier; they are 0 to 4095",
        ),
        (
            "ah[0] = 1".parse().unwrap(),
            "filter: `ah[0] = 1`: the header of this protocol has no fixed place: use `ip[…]` or \
             `ether[…]`",
        ),
    ] {
        let why = Matcher::new(&expr).unwrap_err().to_string();
        assert_eq!(why, expected);
        let why = Filter::from(expr).for_all_interfaces().unwrap_err();
        assert_eq!(why.to_string(), expected);
    }
}

/// The program for all interfaces with the hardware type of one, which no packet carries.
fn on(program: &Program, hardware: u16) -> Matcher {
    let mut instructions = program.instructions().to_vec();
    let load = SockFilter::stmt(0x20, SKF_AD_OFF + Ancillary::HardwareType.number());
    assert_eq!(instructions[0], load);
    instructions[0] = SockFilter::stmt(0x00, hardware.into());
    Matcher::new(instructions).unwrap()
}

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_NONE: u16 = 0xfffe;
const ARPHRD_CISCO: u16 = 513;

#[test]
fn a_program_for_all_interfaces_is_that_of_each_one() {
    let mut accepted = 0;
    for text in EXPRESSIONS {
        let expr: Expr = text.parse().unwrap();
        let program = expr.for_all_interfaces().unwrap();
        assert!(program.check().is_ok(), "{text}");
        for hardware in [ARPHRD_ETHER, ARPHRD_LOOPBACK] {
            let (all, one) = (on(&program, hardware), matcher(text));
            for frame in samples() {
                let packet = of(LinkType::ETHERNET, &frame);
                assert_eq!(all.matches(&packet), one.matches(&packet), "{text}");
                accepted += usize::from(all.matches(&packet));
            }
        }
        for (hardware, link_type) in [
            (ARPHRD_NONE, LinkType::RAW_IP),
            (ARPHRD_CISCO, LinkType::C_HDLC),
        ] {
            let Ok(one) = expr.for_live_socket(link_type) else {
                continue;
            };
            let (all, one) = (on(&program, hardware), Matcher::new(one).unwrap());
            for (_, bytes) in dns() {
                let packet = of(link_type, &bytes);
                assert_eq!(all.matches(&packet), one.matches(&packet), "{text}");
            }
        }
        // CAN, 802.11, and a number that nobody has.
        for hardware in [280, 801, 4711] {
            assert!(!on(&program, hardware).matches(&of(LinkType::UNKNOWN, &DNS)));
        }
    }
    assert!(accepted > 100, "{accepted}");
}

/// A term about headers that packets of an interface do not have does not hold there.
#[test]
fn a_term_that_an_interface_has_no_headers_for_does_not_hold_there() {
    let raw = of(LinkType::RAW_IP, &DNS);
    for (text, expected) in [
        ("vlan", false),
        ("not vlan", true),
        ("udp or vlan", true),
        // What follows `vlan` is inside of the tag.
        ("vlan or udp", false),
        ("not vlan and udp", false),
        ("ether host 02:00:00:00:00:01 or udp", true),
        ("not broadcast and udp", true),
        ("llc or mpls", false),
        ("udp port 53", true),
    ] {
        let filter: Filter = text.parse().unwrap();
        let program = filter.for_all_interfaces().unwrap();
        assert_eq!(on(&program, ARPHRD_NONE).matches(&raw), expected, "{text}");
        // On a socket of this interface alone it is a mistake.
        let refused = text.contains("vlan") || text.contains("ether") || text.contains("broadcast");
        let refused = refused || text.contains("llc");
        assert_eq!(
            filter.for_live_socket(LinkType::RAW_IP).is_err(),
            refused,
            "{text}"
        );
    }
}

#[test]
fn a_program_runs_as_it_is_on_every_link_type() {
    let program = [SockFilter::stmt(0x30, 9), SockFilter::stmt(0x16, 0)];
    let filter = Filter::from(program);
    assert_eq!(filter.as_program(), Some(&Program::from(program)));
    for made in [
        filter.for_bytes(LinkType::NFLOG),
        filter.for_live_socket(LinkType::ETHERNET),
        filter.for_all_interfaces(),
    ] {
        assert_eq!(made.unwrap(), Program::from(program));
    }
    let matcher = Matcher::new(filter).unwrap();
    assert_eq!(matcher.run(&of(LinkType::NFLOG, &DNS)), 17);
    let endless = Filter::from([SockFilter::stmt(0x05, 7)]);
    assert!(endless.check().is_err());
    assert!(endless.for_all_interfaces().is_err());
}
