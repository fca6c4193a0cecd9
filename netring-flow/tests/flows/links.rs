//! Link layers other than Ethernet that occur in capture files.

use netring_flow::extract::Skip;
use netring_sys::{LinkType, Packet};

use crate::common::at;
use crate::raw::{ip4, ip6, line, read, tcp, udp};

const V4: &str = "udp 192.0.2.1:5000 192.0.2.9:53 30";
const V6: &str = "udp [2001:db8::1]:5000 [2001:db8::9]:53 30";

fn four() -> Vec<u8> {
    ip4(58, 17, &udp(38, 30))
}

fn six() -> Vec<u8> {
    ip6(38, 17, &udp(38, 30))
}

/// The summary of a packet of this link type, after checks of the packet cut at each byte.
fn summary(link_type: u16, header: &[u8], packet: &[u8]) -> String {
    let bytes = [header, packet].concat();
    let at = |end: usize| {
        Packet::new(&bytes[..end], at(0.0), LinkType(link_type)).with_wire_len(bytes.len() as u32)
    };
    for end in 0..header.len() {
        let skip = read(&at(end)).err();
        assert!(
            matches!(skip, Some(Skip::Short | Skip::NotIp)),
            "{link_type} {end}: {skip:?}"
        );
    }
    let whole = line(&at(bytes.len()));
    if whole.starts_with("udp") {
        // Cut after the ports and the UDP length.
        let ports = bytes.len() - 32;
        assert_eq!(line(&at(ports)), format!("{whole} cut"));
        // The payload is exact to the byte.
        for end in ports..=bytes.len() {
            let found = read(&at(end)).unwrap();
            let start = bytes.len() - 30;
            assert_eq!(found.payload_range(&at(end)), start.min(end)..end);
            assert_eq!(found.payload_len, 30);
        }
    }
    whole
}

#[test]
fn raw_ip_under_its_older_numbers() {
    for link in [LinkType::DLT_RAW, LinkType::DLT_RAW_OPENBSD] {
        assert_eq!(summary(link.0, &[], &four()), V4);
        assert_eq!(summary(link.0, &[], &six()), V6);
    }
    assert_eq!((LinkType::DLT_RAW.0, LinkType::DLT_RAW_OPENBSD.0), (12, 14));
}

#[test]
fn ppp_with_and_without_its_hdlc_bytes_and_with_a_short_protocol() {
    for link in [9, 50] {
        for (header, packet, flow) in [
            (&[0xff, 3, 0, 0x21][..], four(), V4),
            (&[0xff, 3, 0x21], four(), V4),
            (&[0, 0x21], four(), V4),
            (&[0x21], four(), V4),
            (&[0xff, 3, 0, 0x57], six(), V6),
            (&[0x57], six(), V6),
            // MPLS: a label at the bottom.
            (&[0xff, 3, 2, 0x81, 0, 1, 1, 64], four(), V4),
            (&[0xff, 3, 2, 0x83, 0, 1, 0, 64, 0, 2, 1, 64], six(), V6),
        ] {
            assert_eq!(summary(link, header, &packet), flow, "{link} {header:?}");
        }
        for header in [&[0xff, 3, 0xc0, 0x21][..], &[0x80, 0x21], &[0, 0x2d]] {
            assert_eq!(summary(link, header, &four()), "Some(NotIp)", "{header:?}");
        }
    }
}

#[test]
fn cisco_hdlc() {
    for (header, packet, flow) in [
        ([0x0f, 0, 8, 0], four(), V4),
        ([0x8f, 0, 0x86, 0xdd], six(), V6),
    ] {
        assert_eq!(summary(104, &header, &packet), flow);
        // RFC 1547 framing is the same, and is recognized by its first byte.
        assert_eq!(summary(50, &header, &packet), flow);
    }
    let labels = [0x0f, 0, 0x88, 0x47, 0, 1, 1, 64];
    assert_eq!(summary(104, &labels, &four()), V4);
    // Keep-alives (SLARP), and the protocol of OSI.
    for header in [[0x8f, 0, 0x80, 0x35], [0x0f, 0, 0xfe, 0xfe]] {
        assert_eq!(summary(104, &header, &four()), "Some(NotIp)");
    }
}

#[test]
fn pppoe_without_ethernet() {
    let header = [0x11, 0, 0, 1, 0, 60, 0, 0x21];
    assert_eq!(summary(51, &header, &four()), V4);
    let header = [0x11, 0, 0, 1, 0, 80, 0, 0x57];
    assert_eq!(summary(51, &header, &six()), V6);
    // Discovery has a code.
    let header = [0x11, 9, 0, 1, 0, 60, 0, 0x21];
    assert_eq!(summary(51, &header, &four()), "Some(NotIp)");
}

#[test]
fn pflog_headers_of_every_length() {
    // The length in the header excludes the padding to 4 bytes: 61 on FreeBSD, 100 on OpenBSD, 48
    // on old systems.
    for (len, padded) in [(61, 64), (64, 64), (100, 100), (48, 48), (45, 48), (69, 72)] {
        for (family, packet, flow) in [
            (2, four(), V4),
            (24, six(), V6),
            (28, six(), V6),
            (30, six(), V6),
        ] {
            let mut header = vec![len, family];
            header.resize(padded, 0);
            assert_eq!(summary(117, &header, &packet), flow, "{len} {family}");
        }
    }
    let mut header = vec![61, 77];
    header.resize(64, 0);
    assert_eq!(summary(117, &header, &four()), "Some(NotIp)");
    // Shorter than any pf header.
    for len in [0, 1, 44] {
        let bytes = [len; 80];
        let packet = Packet::new(&bytes, at(0.0), LinkType::PFLOG);
        assert_eq!(read(&packet).err(), Some(Skip::NotIp), "{len}");
    }
}

/// An attribute of netfilter's log, with its padding.
fn attribute(kind: u16, value: &[u8], big: bool) -> Vec<u8> {
    let len = 4 + value.len() as u16;
    let words = [len, kind].map(|word| {
        if big {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    });
    let mut bytes = [words.concat(), value.to_vec()].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn nflog_attributes_up_to_the_packet() {
    for big in [false, true] {
        for (family, packet, flow) in [(2, four(), V4), (10, six(), V6)] {
            let before = [
                vec![family, 0, 0, 42],
                attribute(1, &[8, 0, 3, 0], big),
                attribute(10, &[0], big),
                attribute(5, &[0, 0, 0, 2], big),
            ];
            let payload = attribute(9, &packet, big);
            assert_eq!(
                summary(
                    239,
                    &[before.concat(), payload[..4].to_vec()].concat(),
                    &packet
                ),
                flow
            );
            // Another attribute after it is not part of the packet.
            let all = [before.concat(), payload, attribute(7, &[1; 40], big)].concat();
            assert_eq!(line(&Packet::new(&all, at(0.0), LinkType::NFLOG)), flow);
        }
    }
    // The IP length 0 of a large segment is that of the attribute.
    let large = ip4(0, 6, &tcp(20, 300));
    let all = [
        vec![2, 0, 0, 42],
        attribute(9, &large, false),
        attribute(7, &[1; 40], false),
    ];
    assert_eq!(
        line(&Packet::new(&all.concat(), at(0.0), LinkType::NFLOG)),
        "tcp 192.0.2.1:5000 192.0.2.9:53 300"
    );
}

#[test]
fn malformed_nflog_is_not_ip_and_never_loops() {
    let read = |bytes: &[u8]| read(&Packet::new(bytes, at(0.0), LinkType::NFLOG)).err();
    // No attribute at all, lengths below that of their own header, a family that is not IP.
    assert_eq!(read(&[2, 0, 0, 1]), Some(Skip::NotIp));
    assert_eq!(read(&[2, 0, 0, 1, 0, 0, 0, 0]), Some(Skip::NotIp));
    assert_eq!(read(&[2, 0, 0, 1, 3, 0, 9, 0, 0x45]), Some(Skip::NotIp));
    assert_eq!(read(&[2, 0, 0, 1, 4, 0, 9, 0]), Some(Skip::Short));
    let bridge = [vec![7, 0, 0, 1], attribute(9, &four(), false)].concat();
    assert_eq!(read(&bridge), Some(Skip::NotIp));
    // An attribute that ends after the packet.
    assert_eq!(read(&[2, 0, 0, 1, 40, 0, 1, 0, 0, 0]), Some(Skip::Short));
}

#[test]
fn tags_of_every_identifier_that_switches_use() {
    for tpid in [0x8100_u16, 0x88a8, 0x9100, 0x9200, 0x9300] {
        let mut bytes = vec![2; 12];
        bytes.extend(tpid.to_be_bytes());
        bytes.extend([0, 7, 8, 0]);
        assert_eq!(summary(1, &bytes, &four()), V4, "{tpid:#x}");
    }
}

#[test]
fn frame_relay_by_rfc_2427_and_by_ether_types() {
    let ethernet = [&[2; 12][..], &[8, 0]].concat();
    let snap = |oui: [u8; 3], number: [u8; 2]| [&[3, 0, 0x80][..], &oui, &number, &[][..]].concat();
    let bridged = [snap([0, 0x80, 0xc2], [0, 7]), ethernet.clone()].concat();
    let checked = [snap([0, 0x80, 0xc2], [0, 1]), ethernet].concat();
    for address in [&[0x48, 0xe1][..], &[0x80, 0xea, 0x9d], &[0, 2, 4, 7]] {
        for (header, packet, flow) in [
            (&[3, 0xcc][..], four(), V4),
            (&[3, 0, 0xcc], four(), V4),
            (&[3, 0x8e], six(), V6),
            (&[8, 0], four(), V4),
            (&[0x86, 0xdd], six(), V6),
            (&snap([0; 3], [8, 0]), four(), V4),
            (&bridged, four(), V4),
            (&checked, four(), V4),
            (&[3, 0xcf, 0, 0x21], four(), V4),
            (&[0x88, 0x47, 0, 1, 1, 64], four(), V4),
        ] {
            let header = [address, header].concat();
            assert_eq!(summary(107, &header, &packet), flow, "{header:?}");
        }
        // Q.933, a bridged frame of another medium, a length instead of an EtherType.
        for header in [
            &[3, 8][..],
            &snap([0, 0x80, 0xc2], [0, 9]),
            &snap([0; 3], [0, 40]),
            &[5, 0xdc],
        ] {
            let header = [address, header].concat();
            assert_eq!(summary(107, &header, &four()), "Some(NotIp)", "{header:?}");
        }
    }
    // An address that ends at once, and one that does not end.
    for header in [[0x49, 0xe1, 3, 0xcc, 0], [0, 2, 4, 6, 9]] {
        let bytes = [&header[..], &four()].concat();
        let packet = Packet::new(&bytes, at(0.0), LinkType::FRELAY);
        assert_eq!(read(&packet).err(), Some(Skip::NotIp));
    }
}

#[test]
fn ip_over_infiniband_and_between_zones_of_solaris() {
    for (ether_type, packet, flow) in [
        ([8, 0], four(), V4),
        ([0x86, 0xdd], six(), V6),
        ([8, 6], four(), "Some(NotIp)"),
        ([0, 40], four(), "Some(NotIp)"),
    ] {
        let header = [&[7; 40][..], &ether_type, &[0, 0]].concat();
        assert_eq!(summary(242, &header, &packet), flow);
    }
    for (version, family, packet, flow) in [
        (1, 2, four(), V4),
        (2, 2, four(), V4),
        (2, 26, six(), V6),
        (2, 10, six(), "Some(NotIp)"),
        (3, 2, four(), "Some(NotIp)"),
    ] {
        let header = [&[version, family][..], &[0xff; 22]].concat();
        assert_eq!(summary(226, &header, &packet), flow, "{version} {family}");
    }
}

#[test]
fn frames_of_juniper_behind_their_header() {
    let ethernet = [&[2; 12][..], &[8, 0]].concat();
    for (link, frame) in [
        (178, &ethernet[..]),
        (179, &[0xff, 3, 0, 0x21]),
        (180, &[0x48, 0xe1, 3, 0xcc]),
        (181, &[0x0f, 0, 8, 0]),
    ] {
        for header in [
            &b"MGC\x00"[..],
            b"MGC\x01",
            b"MGC\x80\0\0",
            b"MGC\x85\0\x03abc",
        ] {
            let header = [header, frame].concat();
            assert_eq!(summary(link, &header, &four()), V4, "{link}");
        }
        // Without a frame: the protocol, and the packet.
        for (header, packet, flow) in [
            (&b"MGC\x02\x02\0\0\0"[..], four(), V4),
            (b"MGC\x83\0\x01a\x06\0\0\0", six(), V6),
        ] {
            assert_eq!(summary(link, header, &packet), flow, "{link}");
        }
        let other = [&b"MGD\x00"[..], frame].concat();
        assert_eq!(summary(link, &other, &four()), "Some(NotIp)");
    }
}
