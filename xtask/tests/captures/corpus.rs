//! The captures in `xtask/corpus` in the format of folders with an oracle. The truth is written by
//! hand: no other tool and no code of ours counted it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder, UdpHeader};

use super::cases::{CLIENT, SERVER, START, conversation, every_second, pcap, udp};

const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A capture, and what is true of it.
struct Entry {
    name: &'static str,
    tags: &'static str,
    file: Vec<u8>,
    packets: u64,
    flows: Vec<Flow>,
}

/// A line of the oracle: the lower end, the higher end, and what each of them sent.
struct Flow {
    protocol: u8,
    ends: [(IpAddr, &'static str); 2],
    packets: [u64; 2],
    bytes: [u64; 2],
    /// Seconds after the start of the capture.
    times: [u32; 2],
    /// Segments with SYN, FIN and RST, if it is TCP.
    flags: Option<[[u64; 2]; 3]>,
}

impl Flow {
    fn line(&self) -> String {
        let [(a, port_a), (b, port_b)] = self.ends;
        let ([ab, ba], [bytes_ab, bytes_ba]) = (self.packets, self.bytes);
        let [first, last] = self
            .times
            .map(|after| format!("{}.000000000", START + after));
        let tcp = match self.flags {
            Some([syn, fin, rst]) => [[1, 0], syn, fin, rst].concat(),
            None => Vec::new(),
        };
        let tcp: Vec<_> = tcp.iter().map(ToString::to_string).collect();
        let tcp = if tcp.is_empty() {
            ["-"; 8].join("\t")
        } else {
            tcp.join("\t")
        };
        format!(
            "{}\t{a}\t{port_a}\t{b}\t{port_b}\t{ab}\t{ba}\t{bytes_ab}\t{bytes_ba}\t{first}\t{last}\t{tcp}\n",
            self.protocol
        )
    }
}

const COLUMNS: &str = "#proto\taddrA\tportA\taddrB\tportB\tpktsAB\tpktsBA\tbytesAB\tbytesBA\tfirst\tlast\t\
    streams\tcompleteness\tsynAB\tsynBA\tfinAB\tfinBA\trstAB\trstBA\n";

fn v4() -> [IpAddr; 2] {
    [CLIENT.into(), SERVER.into()]
}

/// A UDP flow between the client and the server over IPv4.
fn udp4(ports: [&'static str; 2], packets: [u64; 2], bytes: [u64; 2], times: [u32; 2]) -> Flow {
    let [client, server] = v4();
    Flow {
        protocol: UDP,
        ends: [(client, ports[0]), (server, ports[1])],
        packets,
        bytes,
        times,
        flags: None,
    }
}

fn tcp_over_ipv4() -> Entry {
    let [client, server] = v4();
    let flow = Flow {
        protocol: TCP,
        ends: [(client, "40000"), (server, "80")],
        packets: [4, 3],
        bytes: [226, 162],
        times: [0, 6],
        flags: Some([[1, 1], [1, 1], [0, 0]]),
    };
    Entry {
        name: "tcp4.pcap",
        tags: "tcp=7",
        file: pcap(1, &every_second(conversation())),
        packets: 7,
        flows: vec![flow],
    }
}

/// A SYN, an answer, and a reset.
fn tcp_over_ipv6() -> Entry {
    let [client, server] = [1, 2].map(|last| {
        let mut address = [0; 16];
        (address[0], address[1], address[15]) = (0xfd, 0x00, last);
        address
    });
    let to_server = |flags: u8| {
        let builder = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv6(client, server, 64);
        let builder = builder.tcp(40_000, 443, 1_000, 8192);
        let builder = if flags == 2 {
            builder.syn()
        } else {
            builder.rst()
        };
        frame(|out| builder.write(out, &[]).unwrap())
    };
    let answer = PacketBuilder::ethernet2(MACS.1, MACS.0).ipv6(server, client, 64);
    let answer = answer.tcp(443, 40_000, 5_000, 8192).syn().ack(1_001);
    let answer = frame(|out| answer.write(out, &[]).unwrap());
    let flow = Flow {
        protocol: TCP,
        ends: [(client.into(), "40000"), (server.into(), "443")],
        packets: [2, 1],
        bytes: [148, 74],
        times: [0, 2],
        flags: Some([[1, 1], [0, 0], [1, 0]]),
    };
    Entry {
        name: "tcp6.pcap",
        tags: "tcp=3",
        file: pcap(1, &every_second(vec![to_server(2), answer, to_server(4)])),
        packets: 3,
        flows: vec![flow],
    }
}

/// Two flows, one of which has an answer.
fn two_udp_flows() -> Entry {
    let builder = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4(CLIENT, SERVER, 64);
    let other = frame(|out| builder.udp(40_001, 123).write(out, &[0; 48]).unwrap());
    let packets = vec![udp(true, 20), udp(false, 30), other];
    Entry {
        name: "udp.pcap",
        tags: "udp=3",
        file: pcap(1, &every_second(packets)),
        packets: 3,
        flows: vec![
            udp4(["40000", "53"], [1, 1], [62, 72], [0, 1]),
            udp4(["40001", "123"], [1, 0], [90, 0], [2, 2]),
        ],
    }
}

/// One flow with no tag, one tag and two tags.
fn tags() -> Entry {
    let one = tagged(&udp(true, 20), &[0x8100]);
    let two = tagged(&udp(true, 20), &[0x88a8, 0x8100]);
    Entry {
        name: "tags.pcap",
        tags: "l2-vlan-8100=2,l2-qinq=1",
        file: pcap(1, &every_second(vec![udp(true, 20), one, two])),
        packets: 3,
        flows: vec![udp4(["40000", "53"], [3, 0], [62 + 66 + 70, 0], [0, 2])],
    }
}

/// The first packet is cut behind its ports, the second before them.
fn cut() -> Entry {
    let mut file = pcap(1, &[]);
    for (after, captured) in [(0, 42), (1, 34)] {
        let packet = udp(true, 20);
        for word in [START + after, 0, captured, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet[..captured as usize]);
    }
    Entry {
        name: "cut.pcap",
        tags: "sliced=2",
        file,
        packets: 2,
        flows: vec![
            udp4(["-", "-"], [1, 0], [62, 0], [1, 1]),
            udp4(["40000", "53"], [1, 0], [62, 0], [0, 0]),
        ],
    }
}

/// A datagram of 32 bytes in two fragments, of which the second has a line of its own.
fn fragments() -> Entry {
    let header = UdpHeader::without_ipv4_checksum(40_000, 53, 24).unwrap();
    let datagram = [&header.to_bytes()[..], &[b'u'; 24]].concat();
    let part = |offset: u16, more, payload: &[u8]| {
        let len = payload.len() as u16;
        let mut ip = Ipv4Header::new(len, 64, IpNumber::UDP, CLIENT, SERVER).unwrap();
        ip.identification = 7;
        (ip.dont_fragment, ip.more_fragments) = (false, more);
        ip.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        [&udp(true, 0)[..14], &ip.to_bytes()[..], payload].concat()
    };
    let parts = vec![
        part(0, true, &datagram[..16]),
        part(2, false, &datagram[16..]),
    ];
    Entry {
        name: "fragments.pcap",
        tags: "fragment-v4-first=1,fragment-v4-later=1",
        file: pcap(1, &every_second(parts)),
        packets: 2,
        flows: vec![
            udp4(["40000", "53"], [1, 0], [50, 0], [0, 0]),
            udp4(["frag", "frag"], [1, 0], [50, 0], [1, 1]),
        ],
    }
}

/// A version that does not exist, and a total length below that of the header, between two packets
/// that are right.
fn malformed() -> Entry {
    let mut version = udp(true, 20);
    version[14] = 0x75;
    let mut total = udp(true, 20);
    total[16..18].copy_from_slice(&19_u16.to_be_bytes());
    let packets = vec![udp(true, 20), version, total, udp(true, 20)];
    Entry {
        name: "malformed.pcap",
        tags: "bad-ip-header=2",
        file: pcap(1, &every_second(packets)),
        packets: 4,
        flows: vec![udp4(["40000", "53"], [2, 0], [124, 0], [0, 3])],
    }
}

fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame);
    frame
}

/// The frame with tags of VLAN 5 in front of its type.
fn tagged(frame: &[u8], types: &[u16]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for kind in types {
        tagged.extend(kind.to_be_bytes());
        tagged.extend([0, 5]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

#[test]
fn the_corpus_is_what_is_built_here() {
    let entries = [
        cut(),
        fragments(),
        malformed(),
        tags(),
        tcp_over_ipv4(),
        tcp_over_ipv6(),
        two_udp_flows(),
    ];
    let (mut files, mut truth) = (BTreeMap::new(), BTreeMap::new());
    let mut index = "#file\tbytes\tlink types\ttags\n".to_owned();
    let mut exact = "#file\tpackets\tflows\n".to_owned();
    for entry in entries {
        let (name, packets, flows) = (entry.name, entry.packets, entry.flows.len());
        index += &format!("{name}\t{}\t1\t{}\n", entry.file.len(), entry.tags);
        exact += &format!("{name}\t{packets}\t{flows}\n");
        let lines: String = entry.flows.iter().map(Flow::line).collect();
        truth.insert(
            format!("{name}.tsv"),
            (COLUMNS.to_owned() + &lines).into_bytes(),
        );
        files.insert(name.to_owned(), entry.file);
    }
    files.insert("index.tsv".into(), index.into_bytes());
    files.insert("exact.txt".into(), exact.into_bytes());
    super::check_folder("corpus", &files);
    super::check_folder("corpus/oracle", &truth);
}
