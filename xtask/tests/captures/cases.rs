//! The captures in `xtask/cases`.

use std::collections::BTreeMap;

use etherparse::PacketBuilder;

pub(super) const CLIENT: [u8; 4] = [192, 0, 2, 1];
pub(super) const SERVER: [u8; 4] = [198, 51, 100, 2];

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

/// When the captures begin, in seconds since the epoch.
pub(super) const START: u32 = 1_700_000_000;

/// A datagram from the client, or its answer.
pub(super) fn udp(from_client: bool, len: usize) -> Vec<u8> {
    let (from, to, ports) = ends(from_client, 53);
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let builder = builder.ipv4(from, to, 64).udp(ports.0, ports.1);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![b'u'; len]).unwrap();
    frame
}

fn tcp(from_client: bool, flags: u8, (sequence, acknowledged): (u32, u32), len: usize) -> Vec<u8> {
    let (from, to, ports) = ends(from_client, 80);
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let builder = builder.ipv4(from, to, 64);
    let mut builder = builder.tcp(ports.0, ports.1, sequence, 8192);
    if flags & SYN != 0 {
        builder = builder.syn();
    }
    if flags & FIN != 0 {
        builder = builder.fin();
    }
    if flags & ACK != 0 {
        builder = builder.ack(acknowledged);
    }
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![b't'; len]).unwrap();
    frame
}

/// Source, destination and their ports.
fn ends(from_client: bool, port: u16) -> ([u8; 4], [u8; 4], (u16, u16)) {
    if from_client {
        (CLIENT, SERVER, (40_000, port))
    } else {
        (SERVER, CLIENT, (port, 40_000))
    }
}

/// A handshake, ten bytes, and a close by both ends.
pub(super) fn conversation() -> Vec<Vec<u8>> {
    vec![
        tcp(true, SYN, (1_000, 0), 0),
        tcp(false, SYN | ACK, (5_000, 1_001), 0),
        tcp(true, ACK, (1_001, 5_001), 0),
        tcp(true, ACK, (1_001, 5_001), 10),
        tcp(false, FIN | ACK, (5_001, 1_011), 0),
        tcp(true, FIN | ACK, (1_011, 5_002), 0),
        tcp(false, ACK, (5_002, 1_012), 0),
    ]
}

/// A pcap file in little-endian order, of microseconds, with a packet after each of these seconds.
pub(super) fn pcap(link_type: u32, packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for (after, packet) in packets {
        let len = packet.len() as u32;
        for word in [START + after, 0, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A packet a second.
pub(super) fn every_second(packets: Vec<Vec<u8>>) -> Vec<(u32, Vec<u8>)> {
    (0..).zip(packets).collect()
}

/// A "modified" pcap file in big-endian order.
fn modified() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_cd34, 0x0002_0004, 0, 0, 262_144, 1] {
        file.extend(u32::to_be_bytes(word));
    }
    for (after, packet) in every_second(vec![udp(true, 20), udp(false, 30)]) {
        let len = packet.len() as u32;
        // Behind the lengths: interface 2, IPv4, packet type, padding.
        for word in [START + after, 0, len, len, 2, 0x0800_0000] {
            file.extend(word.to_be_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A pcap file of version 2.2, in which the original length comes before the captured one.
fn version_2_2() -> Vec<u8> {
    let mut file = pcap(1, &[(0, udp(true, 20)[..46].to_vec())]);
    file[6] = 2;
    file[32..36].copy_from_slice(&62_u32.to_le_bytes());
    file
}

/// A pcapng block in little-endian order.
fn block(kind: u32, words: &[u32], data: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    let len = 12 + body.len() as u32;
    let head = [kind.to_le_bytes(), len.to_le_bytes()].concat();
    [head, body, len.to_le_bytes().to_vec()].concat()
}

/// A section and an interface of Ethernet with these options.
fn pcapng(options: &[u8]) -> Vec<u8> {
    let section = [0x1a2b_3c4d, 0x0000_0001, u32::MAX, u32::MAX];
    let mut file = block(0x0a0d_0d0a, &section, b"");
    file.extend(block(1, &[1, 0], options));
    file
}

fn enhanced(after: u32, packet: &[u8]) -> Vec<u8> {
    let ticks = u64::from(START + after) * 1_000_000;
    let len = packet.len() as u32;
    let words = [0, (ticks >> 32) as u32, ticks as u32, len, len];
    block(6, &words, packet)
}

fn simple(packet: &[u8]) -> Vec<u8> {
    block(3, &[packet.len() as u32], packet)
}

/// Packets without a time before, between and behind those that have one.
fn without_a_time() -> Vec<u8> {
    let mut file = pcapng(b"");
    for part in [
        simple(&udp(true, 20)),
        enhanced(0, &udp(false, 20)),
        simple(&udp(true, 20)),
        enhanced(3, &udp(false, 20)),
        simple(&udp(true, 20)),
    ] {
        file.extend(part);
    }
    file
}

/// An `if_tsresol` of two bytes.
fn odd_option() -> Vec<u8> {
    let mut file = pcapng(&[9, 0, 2, 0, 3, 3, 0, 0]);
    file.extend(enhanced(0, &udp(true, 20)));
    file.extend(enhanced(1, &udp(false, 20)));
    file
}

fn captures() -> BTreeMap<&'static str, Vec<u8>> {
    let mut cut = pcap(1, &every_second(vec![udp(true, 20), udp(false, 30)]));
    cut.pop();
    let bare = |from_client, len| udp(from_client, len)[14..].to_vec();
    let long: Vec<_> = (0..12).map(|at| (at * 50, udp(true, 20))).collect();
    BTreeMap::from([
        ("cut_short.pcap", cut),
        ("long_flow.pcap", pcap(1, &long)),
        ("modified_big_endian.pcap", modified()),
        ("odd_option.pcapng", odd_option()),
        (
            "raw_ip_12.pcap",
            pcap(12, &[(0, bare(true, 20)), (1, bare(false, 30))]),
        ),
        ("tcp_close.pcap", pcap(1, &every_second(conversation()))),
        (
            "two_flows.pcap",
            pcap(1, &[(0, udp(true, 20)), (100, udp(true, 20))]),
        ),
        ("version_2_2.pcap", version_2_2()),
        ("without_a_time.pcapng", without_a_time()),
    ])
}

#[test]
fn the_captures_in_the_folder_are_those_built_here() {
    let captures = captures().into_iter();
    let captures = captures.map(|(name, bytes)| (name.to_owned(), bytes));
    super::check_folder("cases/captures", &captures.collect());
}
