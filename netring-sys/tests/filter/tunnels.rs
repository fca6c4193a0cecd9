//! Geneve: terms behind it are about the packet inside, wherever its headers begin.

use netring_sys::filter::{Expr, Protocol};
use netring_sys::{Filter, LinkType, Matcher, Packet, Timestamp, VlanTag};

use super::Kernel;
use super::expressions::{PORTS, ethernet, expression, frame, ip4, ip6};

/// A Geneve header with this many words of options, and what it carries, from port 9 to 6081.
fn geneve(version: u8, words: u8, protocol: u16, network: u8, inside: &[u8]) -> Vec<u8> {
    let [high, low] = protocol.to_be_bytes();
    let udp = [0, 9, 0x17, 0xc1, 0, 0, 0, 0];
    let header = [version << 6 | words, 0, high, low, 0, 0, network, 0];
    let options = vec![0x45; usize::from(words) * 4];
    [&udp[..], &header, &options, inside].concat()
}

/// A frame with these bytes behind its addresses.
fn ether(rest: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4], rest].concat()
}

/// The EtherType of an Ethernet frame, bridged.
const BRIDGED: u16 = 0x6558;

fn samples() -> Vec<Vec<u8>> {
    let tcp = ip4(5, 0, 6, &PORTS);
    let tcp6 = ip6(6, &PORTS);
    let tagged = [&[0x81, 0, 0, 5][..], &ip4(6, 0, 17, &PORTS)].concat();
    let twice = ip4(6, 0, 17, &geneve(0, 1, BRIDGED, 12, &ether(&tcp6)));
    [
        // Outside IPv4, with and without options of both headers.
        ip4(5, 0, 17, &geneve(0, 0, BRIDGED, 11, &ether(&tcp))),
        ip4(7, 0, 17, &geneve(0, 2, BRIDGED, 11, &ether(&tcp6))),
        ip4(5, 0, 17, &geneve(0, 63, BRIDGED, 12, &ether(&tagged))),
        // Without an Ethernet header inside.
        ip4(6, 0, 17, &geneve(0, 1, 0x0800, 11, &tcp[2..])),
        ip6(17, &geneve(0, 3, 0x86dd, 12, &tcp6[2..])),
        // Outside IPv6.
        ip6(17, &geneve(0, 1, BRIDGED, 11, &ether(&[8, 6, 0, 1]))),
        ip6(17, &geneve(0, 0, BRIDGED, 13, &ether(&twice))),
        // Not Geneve: another version, a later fragment, another port, another protocol.
        ip4(5, 0, 17, &geneve(1, 0, 0x0800, 11, &tcp[2..])),
        ip4(5, 7, 17, &geneve(0, 0, 0x0800, 11, &tcp[2..])),
        ip4(5, 0, 17, &PORTS),
        ip4(5, 0, 6, &geneve(0, 0, 0x0800, 11, &tcp[2..])),
    ]
    .map(|rest| frame(&rest))
    .to_vec()
}

const EXPECTED: [(&str, &[usize]); 26] = [
    ("geneve", &[0, 1, 2, 3, 4, 5, 6]),
    ("not geneve", &[7, 8, 9, 10]),
    ("geneve 11", &[0, 1, 3, 5]),
    ("geneve 0xb and ip", &[0, 3]),
    ("geneve and ip", &[0, 3, 6]),
    ("geneve and ip6", &[1, 4]),
    ("geneve and not ip", &[1, 2, 4, 5]),
    ("ip and geneve and ip6", &[1]),
    ("geneve and arp", &[5]),
    ("geneve and tcp", &[0, 1, 3, 4]),
    ("geneve and tcp dst port 443", &[0, 1, 3, 4]),
    ("geneve and src net 10 and not udp", &[0, 3]),
    ("geneve and host fe80::1", &[1, 4]),
    ("geneve and tcp[tcpflags] & tcp-syn != 0", &[0, 3]),
    ("geneve and ip[9] = 17", &[6]),
    ("geneve and vlan", &[2]),
    ("geneve and vlan 5 and udp port 443", &[2]),
    ("geneve and ether src 02:00:00:00:00:04", &[0, 1, 2, 5, 6]),
    ("geneve and geneve", &[6]),
    ("geneve 13 and geneve 12 and ip6", &[6]),
    ("geneve 13 and geneve and tcp port 443", &[6]),
    ("geneve 11 or geneve 12", &[0, 1, 3, 5]),
    // Nothing is behind a header that the packet does not have.
    ("geneve 11 and arp or ip", &[0, 3, 5]),
    ("geneve 13 or len < 100", &[0, 3, 5, 6, 7, 8, 9, 10]),
    ("geneve or not ip", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("udp port 6081 and not geneve", &[7]),
];

#[test]
fn s14_terms_behind_geneve_are_about_the_packet_inside() {
    let samples = samples();
    for (text, expected) in EXPECTED {
        let programs = [
            expression(text).for_bytes(LinkType::ETHERNET).unwrap(),
            expression(text)
                .for_live_socket(LinkType::ETHERNET)
                .unwrap(),
        ];
        for program in programs {
            let kernel = Kernel::new(program.instructions()).unwrap();
            let matcher = Matcher::new(&program).unwrap();
            let selected: Vec<_> = (0..samples.len())
                .filter(|n| {
                    let ours = matcher.matches(&ethernet(&samples[*n]));
                    let keeps = ours.then_some(samples[*n].len());
                    assert_eq!(kernel.keeps(&samples[*n]), keeps, "{text}: {n}");
                    ours
                })
                .collect();
            assert_eq!(selected, expected, "{text}");
        }
    }
}

#[test]
fn s14_geneve_is_found_on_other_link_types_and_behind_a_tag() {
    for (text, expected) in EXPECTED {
        let (tagged, filter): (String, Filter) =
            (format!("vlan and {text}"), text.parse().unwrap());
        let is_first = text.starts_with("geneve") || text.starts_with("not geneve");
        if !is_first || text.contains(" or ") || text.contains("len") {
            continue;
        }
        let tagged = Matcher::new(tagged.parse::<Filter>().unwrap()).unwrap();
        let raw = Matcher::new(filter).unwrap();
        for (n, sample) in samples().iter().enumerate() {
            let is_expected = expected.contains(&n);
            let tag = Some(VlanTag {
                tpid: 0x8100,
                tci: 9,
            });
            assert_eq!(
                tagged.matches(&ethernet(sample).with_vlan(tag)),
                is_expected,
                "{text}: {n}"
            );
            let inside = [&sample[..12], &[0x81, 0, 0, 9], &sample[12..]].concat();
            assert_eq!(
                tagged.matches(&ethernet(&inside)),
                is_expected,
                "{text}: {n}"
            );
            let packet = Packet::new(&sample[14..], Timestamp::EPOCH, LinkType::RAW_IP);
            assert_eq!(raw.matches(&packet), is_expected, "{text}: {n}");
        }
    }
}

#[test]
fn geneve_from_its_parts_and_its_limits() {
    let built = Expr::geneve(Some(11)).and(Expr::protocol(Protocol::Ip));
    assert_eq!(expression("geneve 0xb and ip"), built);
    assert_eq!(built.to_string(), "geneve 11 and ip");
    let why = "geneve 16777216".parse::<Expr>().unwrap_err().to_string();
    assert!(why.ends_with("16777216 is more than 16777215"), "{why}");
    let refused = |text: Expr| text.for_bytes(LinkType::ETHERNET).unwrap_err().to_string();
    assert_eq!(
        refused(Expr::geneve(Some(1 << 24))),
        "filter: `geneve 16777216`: 16777216 is not a Geneve network identifier; they are 0 to \
         16777215"
    );
    assert_eq!(
        refused(expression("geneve and geneve and geneve")),
        "filter: `geneve`: Geneve inside of Geneve inside of Geneve would make too long a program"
    );
    let why = refused(expression("geneve and outbound"));
    assert!(why.contains("the direction is not in the bytes"), "{why}");
}
