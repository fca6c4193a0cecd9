//! The frames on which filters are compared: each is different, and its number is its index.

const ETHER: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
/// The ports 40000 and 443, and SYN where TCP has its flags.
const SYN: [u8; 20] = [
    0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0,
];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet frame of at least 60 bytes.
fn ether(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = join(&[&ETHER, &kind.to_be_bytes(), payload]);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A frame to another link-layer address.
fn to(address: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&address);
    frame
}

/// An IPv4 packet from 10.0.0.1, with this many words of options, and this fragment field.
fn ip4(protocol: u8, to: [u8; 4], options: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let len = (20 + 4 * usize::from(options) + payload.len()) as u16;
    let [high, low] = len.to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let header = [
        0x45 + options,
        0,
        high,
        low,
        0,
        7,
        f0,
        f1,
        64,
        protocol,
        0,
        0,
        10,
        0,
        0,
        1,
    ];
    let padding = vec![1; 4 * usize::from(options)];
    join(&[&header, &to, &padding, payload])
}

/// An IPv6 packet from fe80::1 to 2001:db8::9.
fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, next, 64];
    let from = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let to = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    join(&[&header, &from, &to, payload])
}

fn udp(source: u16, target: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let fields = [source, target, len, 0].map(u16::to_be_bytes);
    join(&[&fields.concat(), payload])
}

fn tcp(source: u16, target: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = SYN;
    header[..2].copy_from_slice(&source.to_be_bytes());
    header[2..4].copy_from_slice(&target.to_be_bytes());
    header[13] = flags;
    join(&[&header, payload])
}

fn tagged(tpid: u16, tci: u16, frame: &[u8]) -> Vec<u8> {
    let tag = [tpid, tci].map(u16::to_be_bytes).concat();
    join(&[&frame[..12], &tag, &frame[12..]])
}

fn cut(len: usize, mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(len);
    frame
}

/// A frame with a length instead of an EtherType.
fn llc(payload: &[u8]) -> Vec<u8> {
    ether(payload.len() as u16, payload)
}

const FAR: [u8; 4] = [192, 0, 2, 7];
const NEAR: [u8; 4] = [10, 0, 0, 2];
const ALL: [u8; 6] = [0xff; 6];

pub(super) fn frames() -> Vec<Vec<u8>> {
    [
        plain(),
        fragments_and_options(),
        ipv6(),
        tags(),
        labels(),
        links(),
        lengths(),
    ]
    .concat()
}

fn plain() -> Vec<Vec<u8>> {
    let arp = |operation| {
        let mut arp = vec![
            0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1,
        ];
        arp.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        arp
    };
    let hello = [0x16, 3, 1, 0, 50, 1, 0, 0, 46, 3, 3];
    vec![
        to(ALL, ether(0x0806, &arp(1))),
        ether(0x0806, &arp(2)),
        ether(0x8035, &arp(3)),
        ether(0x0800, &ip4(6, FAR, 0, 0, &SYN)),
        ether(
            0x0800,
            &ip4(6, NEAR, 0, 0x4000, &tcp(40000, 443, 0x12, b"")),
        ),
        ether(
            0x0800,
            &ip4(6, FAR, 0, 0, &tcp(40001, 80, 0x18, b"GET / HTTP/1.1\r\n")),
        ),
        ether(0x0800, &ip4(6, FAR, 0, 0, &tcp(40002, 443, 0x18, &hello))),
        ether(0x0800, &ip4(6, FAR, 0, 0, &tcp(22, 40003, 0x11, b""))),
        ether(0x0800, &ip4(17, NEAR, 0, 0, &udp(40000, 53, &[0; 30]))),
        ether(
            0x0800,
            &ip4(17, [192, 168, 8, 5], 0, 0, &udp(53, 2000, &[1; 30])),
        ),
        ether(0x0800, &ip4(1, FAR, 0, 0, &[8, 0, 0, 0, 0, 1, 0, 1])),
        ether(0x0800, &ip4(1, FAR, 0, 0, &[3, 3, 0, 0, 0, 0, 0, 0])),
        ether(0x0800, &ip4(132, FAR, 0, 0, &udp(7000, 7001, &[2; 8]))),
        ether(0x0800, &ip4(47, FAR, 0, 0, &[0, 0, 8, 0])),
        ether(0x0800, &ip4(50, FAR, 0, 0, &[0, 0, 0, 1])),
        to(
            ALL,
            ether(0x0800, &ip4(17, [255; 4], 0, 0, &udp(68, 67, &[3; 40]))),
        ),
        to(
            [1, 0, 0x5e, 0, 0, 0xfb],
            ether(
                0x0800,
                &ip4(17, [224, 0, 0, 251], 0, 0, &udp(5353, 5353, &[4; 20])),
            ),
        ),
        to(
            [2, 0, 0, 0, 0, 99],
            ether(0x0800, &ip4(6, FAR, 0, 0, &tcp(1, 443, 4, b""))),
        ),
    ]
}

fn fragments_and_options() -> Vec<Vec<u8>> {
    vec![
        ether(0x0800, &ip4(6, FAR, 2, 0, &tcp(40004, 443, 2, b""))),
        ether(0x0800, &ip4(17, FAR, 10, 0, &udp(40004, 53, &[5; 20]))),
        ether(0x0800, &ip4(17, FAR, 0, 0x2000, &udp(40005, 53, &[6; 24]))),
        ether(0x0800, &ip4(17, FAR, 0, 0x00b9, &udp(40006, 53, &[7; 24]))),
        ether(0x0800, &ip4(6, FAR, 1, 0x2001, &tcp(40007, 443, 2, b""))),
        // An impossible header length.
        ether(0x0800, &{
            let mut packet = ip4(6, FAR, 0, 0, &tcp(40008, 443, 2, b""));
            packet[0] = 0x42;
            packet
        }),
    ]
}

fn ipv6() -> Vec<Vec<u8>> {
    let fragment = |next, offset: u16| join(&[&[next, 0], &offset.to_be_bytes(), &[0, 0, 0, 1]]);
    vec![
        ether(0x86dd, &ip6(6, &SYN)),
        ether(0x86dd, &ip6(6, &tcp(443, 40000, 0x11, b""))),
        ether(0x86dd, &ip6(17, &udp(40000, 53, &[0; 12]))),
        ether(
            0x86dd,
            &ip6(58, &[135, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8]),
        ),
        ether(0x86dd, &ip6(58, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ether(0x86dd, &ip6(44, &join(&[&fragment(6, 1), &SYN]))),
        ether(0x86dd, &ip6(44, &join(&[&fragment(17, 0x100), &[9; 24]]))),
        ether(
            0x86dd,
            &ip6(0, &join(&[&[17, 0, 5, 2, 0, 0, 1, 0], &udp(1, 53, &[1])])),
        ),
        ether(0x86dd, &ip6(43, &join(&[&[6, 0, 0, 0, 0, 0, 0, 0], &SYN]))),
        ether(0x86dd, &ip6(132, &udp(7000, 7001, &[2; 8]))),
        to(
            [0x33, 0x33, 0, 0, 0, 1],
            ether(0x86dd, &{
                let mut packet = ip6(17, &udp(5353, 5353, &[3; 8]));
                packet[24] = 0xff;
                packet[25] = 0x02;
                packet
            }),
        ),
    ]
}

fn tags() -> Vec<Vec<u8>> {
    let syn = ether(0x0800, &ip4(6, FAR, 0, 0, &tcp(40010, 443, 2, b"")));
    let dns = ether(0x0800, &ip4(17, NEAR, 0, 0, &udp(40010, 53, &[8; 20])));
    let dns6 = ether(0x86dd, &ip6(17, &udp(40010, 53, &[8; 20])));
    let echo = ether(0x0800, &ip4(1, FAR, 0, 0, &[8, 0, 0, 0, 0, 2, 0, 2]));
    let arp = ether(
        0x0806,
        &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 9],
    );
    vec![
        tagged(0x8100, 5, &syn),
        tagged(0x8100, 0, &dns),
        tagged(0x8100, 0xe005, &echo),
        tagged(0x8100, 0x0fff, &dns6),
        tagged(0x8100, 5, &arp),
        tagged(0x88a8, 9, &syn),
        tagged(0x88a8, 9, &tagged(0x8100, 5, &syn)),
        tagged(0x88a8, 0, &tagged(0x8100, 0, &dns6)),
        tagged(0x8100, 300, &tagged(0x8100, 200, &dns)),
        tagged(0x8100, 1, &tagged(0x8100, 2, &tagged(0x8100, 3, &syn))),
        tagged(0x9100, 5, &dns),
        to(ALL, tagged(0x8100, 5, &dns)),
    ]
}

fn labels() -> Vec<Vec<u8>> {
    let inside = ip4(17, NEAR, 0, 0, &udp(40020, 53, &[9; 20]));
    let session = |protocol: u16, packet: &[u8]| {
        let len = (packet.len() as u16 + 2).to_be_bytes();
        join(&[&[0x11, 0, 0, 0x27], &len, &protocol.to_be_bytes(), packet])
    };
    let mpls = |labels: &[u32], packet: &[u8]| {
        let last = labels.len() - 1;
        let word = |(n, label): (usize, &u32)| {
            (label << 12 | u32::from(n == last) << 8 | 64).to_be_bytes()
        };
        let stack: Vec<_> = labels.iter().enumerate().map(word).collect();
        join(&[&stack.concat(), packet])
    };
    let syn6 = ip6(6, &tcp(40020, 443, 2, b""));
    vec![
        ether(0x8847, &mpls(&[1024], &inside)),
        ether(0x8847, &mpls(&[100_000, 1024], &inside)),
        ether(0x8847, &mpls(&[16], &syn6)),
        ether(0x8848, &mpls(&[1024], &ip4(1, FAR, 0, 0, &[8, 0]))),
        tagged(0x8100, 5, &ether(0x8847, &mpls(&[1024], &inside))),
        ether(0x8864, &session(0x0021, &inside)),
        ether(0x8864, &session(0x0057, &syn6)),
        ether(0x8864, &session(0xc021, &[1, 1, 0, 4])),
        to(ALL, ether(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0])),
        tagged(0x8100, 5, &ether(0x8864, &session(0x0021, &inside))),
        tagged(
            0x88a8,
            7,
            &tagged(0x8100, 5, &ether(0x8864, &session(0x0021, &inside))),
        ),
    ]
}

fn links() -> Vec<Vec<u8>> {
    let lldp = [2, 7, 4, 2, 0, 0, 0, 0, 1];
    vec![
        to(
            [1, 0x80, 0xc2, 0, 0, 0x21],
            llc(&[0x42, 0x42, 3, 0, 0, 0, 0, 0]),
        ),
        to(
            [1, 0, 0x0c, 0xcc, 0xcc, 0xcc],
            llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 180]),
        ),
        llc(&[0xff, 0xff, 0, 30, 0, 17]),
        llc(&[0xe0, 0xe0, 3, 0xff, 0xff, 0, 30]),
        llc(&[0xfe, 0xfe, 3, 0x83, 27, 1, 0, 16]),
        to([1, 0x80, 0xc2, 0, 0, 0x2e], ether(0x88cc, &lldp)),
        ether(0x88b5, &[1; 46]),
        ether(0x88f7, &[0; 46]),
        ether(0x888e, &[1, 1, 0, 0]),
    ]
}

fn lengths() -> Vec<Vec<u8>> {
    let syn = ether(0x0800, &ip4(6, FAR, 0, 0, &tcp(40030, 443, 2, b"")));
    let dns = ether(0x0800, &ip4(17, NEAR, 0, 0, &udp(40030, 53, &[1; 30])));
    let syn6 = ether(0x86dd, &ip6(6, &tcp(40030, 443, 2, b"")));
    let jumbo = |len, byte| {
        ether(
            0x0800,
            &ip4(17, NEAR, 0, 0, &udp(40031, 53, &vec![byte; len])),
        )
    };
    vec![
        cut(15, syn.clone()),
        cut(24, syn.clone()),
        cut(35, syn.clone()),
        cut(37, syn.clone()),
        cut(48, syn.clone()),
        cut(30, syn6.clone()),
        cut(55, syn6),
        cut(26, tagged(0x8100, 5, &syn)),
        cut(41, tagged(0x8100, 5, &dns)),
        cut(30, tagged(0x88a8, 9, &tagged(0x8100, 5, &syn))),
        jumbo(1472, 2),
        jumbo(1473, 3),
        jumbo(4000, 4),
        jumbo(8972, 5),
        tagged(0x8100, 5, &jumbo(8000, 6)),
        ether(
            0x0800,
            &ip4(6, FAR, 3, 0, &tcp(40032, 443, 0x18, &[7; 5000])),
        ),
    ]
}
