//! `cargo xtask conformance DIR --live` on captures of link types other than Ethernet.

use std::fs;

use crate::live::{ETHERNET, Folder, LONGEST, fragments, tcp6, udp, without_length};

const NULL: u32 = 0;
const PPP: u32 = 9;
const RAW_IP: u32 = 101;
const C_HDLC: u32 = 104;
const LINUX_SLL: u32 = 113;
const RADIOTAP: u32 = 127;
const IPV4: u32 = 228;
const NFLOG: u32 = 239;
const LINUX_SLL2: u32 = 276;

/// The packet of an Ethernet frame behind another link layer, not cut.
fn behind(header: &[u8], frame: &[u8]) -> (Vec<u8>, Option<u32>) {
    ([header, &frame[14..]].concat(), None)
}

/// A connection over IPv6.
fn connection(header: &[u8]) -> Vec<(Vec<u8>, Option<u32>)> {
    let segments = [
        (true, 2, 0),
        (false, 18, 0),
        (true, 16, 9),
        (true, 17, 0),
        (false, 17, 5),
    ];
    let segments = segments.map(|(is_client, flags, len)| tcp6(is_client, flags, len));
    segments.iter().map(|frame| behind(header, frame)).collect()
}

/// Packets behind a "cooked" header with each kind of protocol.
fn cooked() -> Vec<(Vec<u8>, Option<u32>)> {
    let packets: [([u8; 2], &[u8], &[u8]); 8] = [
        ([8, 0], &[], &udp(0)),
        ([0x81, 0], &[0, 5, 8, 0], &udp(1)),
        ([0x88, 0xa8], &[0, 9, 0x81, 0, 0, 5, 8, 0], &udp(2)),
        ([0x88, 0x47], &[0, 1, 1, 64], &udp(3)),
        ([0x88, 0x64], &[0x11, 0, 0, 7, 0, 38, 0, 0x21], &udp(8)),
        ([0, 4], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &udp(5)),
        ([8, 6], &[0; 28], &udp(0)[..14]),
        // Novell's frames without LLC: no network layer.
        ([0, 1], &[0xff; 28], &udp(0)[..14]),
    ];
    let before = [0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0];
    let header = |protocol: [u8; 2], rest: &[u8]| [&before[..], &protocol, rest].concat();
    packets
        .iter()
        .map(|(protocol, rest, frame)| behind(&header(*protocol, rest), frame))
        .collect()
}

/// Headers of four, three and one bytes, of which the longer ones make up for by padding; packets
/// that cannot be padded, because they announce more than there is, or no length; and one of LCP.
fn ppp() -> Vec<(Vec<u8>, Option<u32>)> {
    let mut short = udp(30);
    short.truncate(60);
    let mut packets = vec![
        behind(&[0xff, 3, 0x21], &without_length(&udp(30))),
        behind(&[0x21], &udp(9)),
        behind(&[0xff, 3, 0x21], &udp(8)),
        behind(&[0xff, 3, 0, 0x21], &udp(7)),
        behind(&[0x21], &short),
        behind(&[0xff, 3, 0x21], &short),
        behind(&[0xff, 3, 0xc0, 0x21], &udp(7)),
    ];
    let (cut, _) = behind(&[0x21], &udp(6));
    packets.push((cut, Some(500)));
    packets
}

/// A pcapng file of two interfaces, one of Ethernet and one without a link layer, of which each
/// captured every other packet of a flow.
fn two_interfaces() -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX], &[]);
    for link_type in [ETHERNET, RAW_IP] {
        file.extend(block(1, &[link_type, 0], &[]));
    }
    for (micros, interface, start) in [(1, 0, 0), (2, 1, 14), (3, 0, 0), (4, 1, 14)] {
        let packet = &udp(11)[start..];
        let len = packet.len() as u32;
        file.extend(block(6, &[interface, 0, micros, len, len], packet));
    }
    file
}

fn block(kind: u32, words: &[u32], bytes: &[u8]) -> Vec<u8> {
    let padding = bytes.len().next_multiple_of(4) - bytes.len();
    let len = (12 + 4 * words.len() + bytes.len() + padding) as u32;
    let head = [&[kind, len], words].concat();
    let mut block: Vec<u8> = head.into_iter().flat_map(u32::to_le_bytes).collect();
    block.extend(bytes);
    block.extend(vec![0; padding]);
    block.extend(len.to_le_bytes());
    block
}

/// What is not Ethernet goes over the wire in Ethernet frames, with the tags and labels that its
/// link layer keeps, and over a TUN interface as it is; the rest is left out, by cause.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn other_link_types_go_over_the_wire_as_well() {
    let folder = Folder::new("others");
    folder.add("null.pcap", NULL, &connection(&[30, 0, 0, 0]));
    folder.add("null4.pcap", NULL, &[behind(&[0, 0, 0, 2], &udp(3))]);
    let pieces = fragments().map(|frame| behind(&[], &frame));
    let raw = [connection(&[]), pieces.to_vec()].concat();
    folder.add("raw.pcap", RAW_IP, &raw);
    folder.add("v4.pcap", IPV4, &[behind(&[], &udp(LONGEST - 42))]);
    let rarp = (vec![0x8f, 0, 0x80, 0x35, 0, 0, 0, 2], None);
    let cisco = [behind(&[0x0f, 0, 8, 0], &udp(7)), rarp];
    folder.add("cisco.pcap", C_HDLC, &cisco);
    folder.add("cooked.pcap", LINUX_SLL, &cooked());
    let mut cooked2 = vec![0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6];
    cooked2.extend([2; 8]);
    folder.add("cooked2.pcap", LINUX_SLL2, &connection(&cooked2));
    folder.add("ppp.pcap", PPP, &ppp());
    let radio = [&[0, 0, 8, 0, 0, 0, 0, 0, 0x80, 0][..], &[9; 30]].concat();
    let log = [10, 0, 0, 1, 44, 0, 9, 0];
    folder.add("log.pcap", NFLOG, &[(behind(&log, &udp(0)).0, Some(48))]);
    folder.add("radio.pcap", RADIOTAP, &[(radio, None)]);
    fs::write(folder.0.join("mixed.pcapng"), two_interfaces()).unwrap();
    let (is_equal, out, errors) = folder.run(&["env"]);
    assert!(is_equal, "{out}{errors}");
    let expected = "\
passed 11 captures, 37 packets; received by AF_PACKET 37, by AF_XDP native 37, generic 37; 0 differences
2 captures have no packet that can be sent
in Ethernet frames on all paths: 6 packets of link type NULL
in Ethernet frames on all paths: 5 packets of link type PPP
in Ethernet frames on all paths: 9 packets of link type RAW_IP
in Ethernet frames on all paths: 2 packets of link type C_HDLC
in Ethernet frames on all paths: 7 packets of link type LINUX_SLL
in Ethernet frames on all paths: 1 packets of link type IPV4
in Ethernet frames on all paths: 5 packets of link type LINUX_SLL2
as they are over TUN, by AF_PACKET: 9 packets of link type RAW_IP
as they are over TUN, by AF_PACKET: 2 packets of link type C_HDLC
as they are over TUN, by AF_PACKET: 1 packets of link type 127
as they are over TUN, by AF_PACKET: 1 packets of link type IPV4
filled with zeros on all paths and cut again: 1 packets, cut by a snap length
left out on all paths: 1 packets, cut where its network layer is not known
left out on all paths: 1 packets, no IP is looked for in link type 127
left out on all paths: 2 packets, no network layer
left out on all paths: 2 packets, padding would be read as a part of it
tunnels off: 10 flows and 36 bytes of TCP streams, with 51 reports, on each path
tunnels on: 13 flows and 36 bytes of TCP streams, with 57 reports, on each path
";
    assert!(out.starts_with(expected), "{out}{errors}");
}
