//! Packets with a valid IP header followed by something cut or malformed: each is in a flow, and
//! marked.

use netring_flow::extract::{FiveTuple, Skip, Transport};
use netring_flow::{FlowEvent, FlowTracker};
use netring_sys::Packet;

use crate::common::at;
use crate::raw::{bare, ethernet, frame, ip4, ip6, line, read, tcp, udp};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// The key of a packet with these addresses and unknown ports.
fn no_ports(version: u8, protocol: &str) -> String {
    match version {
        4 => format!("{protocol} 192.0.2.1:- 192.0.2.9:-"),
        _ => format!("{protocol} [2001:db8::1]:- [2001:db8::9]:-"),
    }
}

/// The summary of a packet that ends here on the wire, and of one that a snap length cut here.
fn ends_and_cut(packet: &[u8], at: usize) -> (String, String) {
    let cut = Packet::new(
        &packet[..at],
        crate::common::at(0.0),
        netring_sys::LinkType::RAW_IP,
    )
    .with_wire_len(packet.len() as u32);
    (line(&bare(&packet[..at])), line(&cut))
}

#[test]
fn ports_that_end_early_are_unknown() {
    for (protocol, name, header) in [(6, "tcp", 20), (17, "udp", 8), (132, "sctp", 12)] {
        let mut body = tcp(20, 30);
        if protocol == 17 {
            body = udp(50, 42);
        }
        let payload = body.len() - header;
        for (version, packet, start) in [
            (4, ip4(70, protocol, &body), 20),
            (6, ip6(50, protocol, &body), 40),
        ] {
            for behind in 0..4 {
                let (ends, cut) = ends_and_cut(&packet, start + behind);
                let key = no_ports(version, name);
                assert_eq!(ends, format!("{key} 0 malformed"), "{behind}");
                // Where a TCP header ends is in the header.
                let payload = if protocol == 6 { 0 } else { payload };
                assert_eq!(cut, format!("{key} {payload} cut"), "{behind}");
            }
            let (ends, cut) = ends_and_cut(&packet, start + 4);
            assert!(
                ends.contains(":5000 ") && ends.ends_with(":53 0 malformed"),
                "{ends}"
            );
            assert!(cut.contains(":5000 ") && cut.ends_with(" cut"), "{cut}");
        }
    }
}

#[test]
fn the_ip_length_ends_a_packet_as_the_wire_does() {
    for total in 20..24 {
        let bytes = ethernet(&ip4(total, 17, &udp(38, 30)));
        let key = no_ports(4, "udp");
        assert_eq!(
            line(&frame(&bytes, bytes.len())),
            format!("{key} 0 malformed")
        );
    }
    let bytes = ethernet(&ip6(3, 17, &udp(38, 30)));
    assert_eq!(
        line(&frame(&bytes, bytes.len())),
        format!("{} 0 malformed", no_ports(6, "udp"))
    );
    // Protocols without ports have port 0, and nothing that could be cut.
    assert_eq!(
        line(&bare(&ip4(20, 47, &[]))),
        "proto 47 192.0.2.1:0 192.0.2.9:0 0"
    );
}

#[test]
fn a_transport_header_that_contradicts_itself_has_no_payload() {
    let key = "tcp 192.0.2.1:5000 192.0.2.9:53";
    for (header_len, behind, payload, marks) in [
        (20, 12, 12, ""),
        (32, 12, 0, ""),
        (36, 12, 0, " malformed"),
        (60, 12, 0, " malformed"),
        (16, 12, 0, " malformed"),
        (0, 12, 0, " malformed"),
    ] {
        let packet = ip4(40 + behind - 20 + 20, 6, &tcp(header_len, behind));
        assert_eq!(
            line(&bare(&packet)),
            format!("{key} {payload}{marks}"),
            "{header_len}"
        );
    }
    for end in 4..20 {
        let short = &tcp(20, 0)[..end];
        let packet = ip4(20 + end, 6, short);
        assert_eq!(line(&bare(&packet)), format!("{key} 0 malformed"));
        // The flags are in the first 16 bytes: a header that is split between fragments has them.
        let read = read(&bare(&packet)).unwrap();
        let has_flags = matches!(read.transport, Transport::Tcp(Some(tcp)) if tcp.flags == 16);
        assert_eq!(has_flags, end >= 16, "{end}");
    }
    assert_eq!(
        line(&bare(&ip4(31, 132, &tcp(20, 0)[..11]))),
        "sctp 192.0.2.1:5000 192.0.2.9:53 0 malformed"
    );
}

#[test]
fn ipv4_options_that_end_early_leave_the_addresses() {
    let mut packet = ip4(90, 6, &[vec![1; 40], tcp(20, 10)].concat());
    packet[0] = 0x4f;
    let key = no_ports(4, "tcp");
    assert_eq!(line(&bare(&packet)), "tcp 192.0.2.1:5000 192.0.2.9:53 10");
    for end in [20, 33, 59] {
        let (ends, cut) = ends_and_cut(&packet, end);
        assert_eq!(ends, format!("{key} 0 malformed"));
        assert_eq!(cut, format!("{key} 0 cut"));
        // A length of 0 means that of the frame, which ends in the options.
        let mut large = packet.clone();
        large[2..4].fill(0);
        let (ends, cut) = ends_and_cut(&large, end);
        assert_eq!(ends, format!("{key} 0 malformed"));
        assert_eq!(cut, format!("{key} 0 cut"));
    }
    // At least the addresses must be present.
    assert_eq!(read(&bare(&packet[..19])).err(), Some(Skip::Short));
    packet[3] = 59;
    assert_eq!(read(&bare(&packet)).err(), Some(Skip::IpTotalLength));
}

#[test]
fn an_ipv6_chain_that_ends_early_is_a_flow_of_the_last_protocol_known() {
    let udp_key = no_ports(6, "udp");
    let proto = |number: u8| format!("proto {number} [2001:db8::1]:0 [2001:db8::9]:0");
    for (header, len_field, len) in [
        (HOP_BY_HOP, 1, 16),
        (ROUTING, 1, 16),
        (DESTINATION, 1, 16),
        (AUTHENTICATION, 2, 16),
    ] {
        let mut chain = vec![17, len_field];
        chain.resize(len, 0);
        let packet = ip6(len + 38, header, &[chain, udp(38, 30)].concat());
        assert_eq!(
            line(&bare(&packet)),
            "udp [2001:db8::1]:5000 [2001:db8::9]:53 30"
        );
        // Without its first byte, what comes next is unknown.
        let (ends, cut) = ends_and_cut(&packet, 40);
        assert_eq!(ends, format!("{} 0 malformed", proto(header)));
        assert_eq!(cut, format!("{} 0 cut", proto(header)));
        let (ends, cut) = ends_and_cut(&packet, 41);
        assert_eq!(ends, format!("{udp_key} 0 malformed"));
        assert_eq!(cut, format!("{udp_key} 0 cut"));
        // Its length shows how much follows.
        for end in [48, 55] {
            let (ends, cut) = ends_and_cut(&packet, end);
            assert_eq!(ends, format!("{udp_key} 0 malformed"));
            assert_eq!(cut, format!("{udp_key} 30 cut"));
        }
        // Longer than the packet.
        let mut long = packet.clone();
        long[41] = 200;
        assert_eq!(line(&bare(&long)), format!("{udp_key} 0 malformed"));
        // The packet's own length ends it.
        let mut short = packet.clone();
        short[5] = 12;
        assert_eq!(line(&bare(&short)), format!("{udp_key} 0 malformed"));
        short[5] = 0;
        short[4] = 1;
        assert_eq!(
            line(&bare(&short)),
            "udp [2001:db8::1]:5000 [2001:db8::9]:53 30 malformed"
        );
    }
    // Two headers, the second of which is missing.
    let packet = ip6(8, HOP_BY_HOP, &[ROUTING, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(
        line(&bare(&packet)),
        format!("{} 0 malformed", proto(ROUTING))
    );
    let packet = ip6(8, HOP_BY_HOP, &[59, 1, 1, 4, 0, 0, 0, 0]);
    assert_eq!(line(&bare(&packet)), format!("{} 0 malformed", proto(59)));
}

#[test]
fn a_fragment_header_that_ends_early_is_no_later_fragment_unless_it_says_so() {
    let whole = |offset: u8| {
        let header = [17, 0, 0, offset, 0, 0, 0, 9];
        ip6(46, FRAGMENT, &[&header[..], &udp(38, 30)].concat())
    };
    let key = no_ports(6, "udp");
    for end in 41..48 {
        let (ends, cut) = ends_and_cut(&whole(1), end);
        assert_eq!(ends, format!("{key} 0 malformed"), "{end}");
        assert!(cut.starts_with(&key) && cut.ends_with(" cut"), "{cut}");
        let later = ends_and_cut(&whole(8), end);
        let is_known = end >= 44;
        let skipped = format!("{:?}", Some(Skip::Fragment));
        assert_eq!(
            (later.0 == skipped, later.1 == skipped),
            (is_known, is_known),
            "{end}"
        );
    }
    // The chain ends in the first fragment and continues in another.
    let first = [DESTINATION, 0, 0, 1, 0, 0, 0, 9, 6, 9, 1, 4, 0, 0, 0, 0];
    assert_eq!(
        line(&bare(&ip6(16, FRAGMENT, &first))),
        format!("{} 0 malformed", no_ports(6, "tcp"))
    );
}

#[test]
fn unknown_ports_are_a_flow_of_their_own() {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let zero = ip4(28, 17, &[0, 0, 0, 0, 0, 8, 0, 0]);
    let mut answer = zero.clone();
    answer[12..20].copy_from_slice(&[192, 0, 2, 9, 192, 0, 2, 1]);
    for packet in [&zero[..], &zero[..20], &zero[..23], &answer[..20]] {
        tracker.track(&bare(packet), &mut events);
    }
    while tracker.finish(&mut events) {}
    let mut ended: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            FlowEvent::Ended { key, stats, .. } => Some((
                key.to_string(),
                key.ports_known(),
                stats.by_initiator().packets,
                stats.by_responder().packets,
                stats.malformed,
            )),
            _ => None,
        })
        .collect();
    ended.sort();
    assert_eq!(
        ended,
        [
            ("udp 192.0.2.1:- 192.0.2.9:-".into(), false, 2, 1, true),
            ("udp 192.0.2.1:0 192.0.2.9:0".into(), true, 1, 0, false),
        ]
    );
    assert_eq!(tracker.stats().malformed, 3);
    assert_eq!(tracker.stats().untracked.total(), 0);
}

#[test]
fn each_mark_of_a_packet_is_counted_whatever_marks_its_flow_has_already() {
    let (good, bad) = (ip4(58, 17, &udp(38, 30)), ip4(58, 17, &udp(39, 30)));
    // Whole, cut, malformed, both; each before and after each other.
    let kinds = [(&good, 58), (&good, 28), (&bad, 58), (&bad, 28)];
    for order in 0..256 {
        let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
        let mut events = Vec::new();
        let (mut cut, mut malformed) = (0, 0);
        for step in 0..8 {
            let kind = (order >> (2 * (step % 4))) & 3;
            let (bytes, captured) = kinds[kind];
            cut += u64::from(captured == 28);
            malformed += u64::from(kind >= 2);
            let time = at(step as f64);
            let packet = Packet::new(&bytes[..captured], time, netring_sys::LinkType::RAW_IP);
            tracker.track(&packet.with_wire_len(58), &mut events);
        }
        while tracker.finish(&mut events) {}
        let stats = tracker.stats();
        let counted = (stats.tracked, stats.cut, stats.malformed);
        assert_eq!(counted, (8, cut, malformed), "{order:#x}");
        let Some(FlowEvent::Ended { stats, .. }) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!((stats.cut, stats.malformed), (cut != 0, malformed != 0));
        let sent = stats.by_initiator();
        assert_eq!(
            (sent.packets, sent.bytes, sent.payload_bytes),
            (8, 8 * 58, 8 * 30)
        );
        assert_eq!((sent.first, sent.last), (Some(at(0.0)), Some(at(7.0))));
    }
}

#[test]
fn one_malformed_packet_marks_its_flow_and_is_counted_once() {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let (good, bad) = (ip4(58, 17, &udp(38, 30)), ip4(58, 17, &udp(39, 30)));
    for (second, packet) in (0..).zip([&good, &good, &bad, &good, &bad, &good]) {
        let packet = Packet::new(packet, at(f64::from(second)), netring_sys::LinkType::RAW_IP);
        tracker.track(&packet, &mut events);
    }
    while tracker.finish(&mut events) {}
    let stats = tracker.stats();
    assert_eq!((stats.tracked, stats.malformed, stats.cut), (6, 2, 0));
    let Some(FlowEvent::Ended { stats, .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert!(stats.malformed && !stats.cut);
    assert_eq!(
        (stats.packets(), stats.by_initiator().payload_bytes),
        (6, 180)
    );
}

#[test]
fn icmp_errors_open_no_flow_however_they_are_cut() {
    let quoted = ip4(58, 17, &udp(38, 30));
    let v4 = ip4(
        56,
        1,
        &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quoted[..28]].concat(),
    );
    let quoted6 = ip6(38, 17, &udp(38, 30));
    let v6 = ip6(
        56,
        58,
        &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &quoted6[..48]].concat(),
    );
    for (packet, header, quote) in [(&v4, 20, 20), (&v6, 40, 40)] {
        assert!(read(&bare(packet)).unwrap().icmp_error.is_some());
        // From its type on up to the quoted ports.
        for end in header + 1..header + 8 + quote + 4 {
            let (ends, cut) = ends_and_cut(packet, end);
            let skipped = format!("{:?}", Some(Skip::IcmpError));
            assert_eq!((ends, cut), (skipped.clone(), skipped), "{end}");
        }
        // Without a type it is a packet of the protocol.
        let (ends, cut) = ends_and_cut(packet, header);
        assert!(
            ends.starts_with("icmp") && ends.ends_with(" malformed"),
            "{ends}"
        );
        assert!(cut.starts_with("icmp") && cut.ends_with(" cut"), "{cut}");
    }
}

#[test]
fn an_icmp_error_about_a_packet_without_ports_is_reported_against_its_flow() {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let no_ports = ip4(20, 17, &[]);
    tracker.track(&bare(&no_ports), &mut events);
    let error = |quoted: &[u8]| {
        let body = [&[3, 2, 0, 0, 0, 0, 0, 0][..], quoted].concat();
        ip4(20 + body.len(), 1, &body)
    };
    tracker.track(&bare(&error(&no_ports)), &mut events);
    // This packet had ports, which are not in the quote, so its flow is unknown.
    let cut = ip4(58, 17, &[]);
    tracker.track(&bare(&error(&cut)), &mut events);
    let stats = tracker.stats();
    assert_eq!(
        (
            stats.tracked,
            stats.icmp_errors,
            stats.untracked.icmp_errors
        ),
        (1, 1, 1)
    );
}
