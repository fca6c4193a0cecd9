//! What it costs to look into tunnels: the extractor alone, over one segment in each.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use etherparse::PacketBuilder;
use netring_flow::extract::{Extract, FiveTuple, Tunnels};
use netring_sys::{LinkType, Packet, Timestamp};

/// Packets in one call.
const PACKETS: usize = 4096;

const OFF: FiveTuple = FiveTuple::bidirectional();
const ON: FiveTuple = OFF.with_tunnels(Tunnels::all());

fn main() {
    divan::main();
}

/// No tunnel, and none looked for.
#[divan::bench]
fn plain_off(bencher: Bencher<'_, '_>) {
    measure(bencher, OFF, &framed(segment()));
}

/// No tunnel, but all are looked for.
#[divan::bench]
fn plain_on(bencher: Bencher<'_, '_>) {
    measure(bencher, ON, &framed(segment()));
}

/// One, two and four tunnels of IP in IP.
#[divan::bench(args = [1, 2, 4])]
fn ip_in_ip(bencher: Bencher<'_, '_>, depth: usize) {
    let packet = (0..depth).fold(segment(), |inner, _| ip(4, &inner));
    measure(bencher, ON, &framed(packet));
}

/// IP, UDP, VXLAN and Ethernet: four headers.
#[divan::bench]
fn vxlan(bencher: Bencher<'_, '_>) {
    let inner = framed(segment());
    let len = (inner.len() as u16 + 16).to_be_bytes();
    let mut datagram = vec![
        0xc0, 1, 18, 181, len[0], len[1], 0, 0, 8, 0, 0, 0, 0, 0, 5, 0,
    ];
    datagram.extend(inner);
    measure(bencher, ON, &framed(ip(17, &datagram)));
}

fn measure(bencher: Bencher<'_, '_>, extract: FiveTuple, frame: &[u8]) {
    bencher.counter(ItemsCount::new(PACKETS)).bench(|| {
        for _ in 0..PACKETS {
            let packet = Packet::new(black_box(frame), Timestamp::default(), LinkType::ETHERNET);
            let found = extract.extract(&packet).map(|found| found.key);
            let _ = black_box(found);
        }
    });
}

/// An IP packet with a TCP segment.
fn segment() -> Vec<u8> {
    let builder = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).tcp(40_000, 443, 1, 8192);
    let mut packet = Vec::with_capacity(40);
    // A vector takes everything.
    let _ = builder.write(&mut packet, &[]);
    packet
}

fn ip(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    packet[2..4].copy_from_slice(&((20 + body.len()) as u16).to_be_bytes());
    packet.extend(body);
    packet
}

fn framed(packet: Vec<u8>) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0]);
    frame.extend(packet);
    frame
}
