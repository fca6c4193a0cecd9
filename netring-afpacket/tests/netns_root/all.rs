//! Interfaces with and without a link layer in one capture of all.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

use netring_afpacket::{Capture, Profile};
use netring_sys::{Count, Filter, LinkType, PacketSource};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, numbered, udp4};

use crate::plain::{Witness, of};
use crate::tun::tun;

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_packet_has_the_link_type_of_its_interface() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut wire = tun("tun");
    let witnesses = ["a", "b", "lo", "tun"].map(Witness::on);
    let builder = Capture::builder().profile(Profile::LowMemory);
    let mut capture = builder.all_interfaces().build().unwrap();
    let (sender, socket) = (
        Sender::on("b").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    for n in 0..20 {
        sender.send(&numbered(n, 60)).unwrap();
        wire.write_all(&udp4(1, 2, &n.to_be_bytes())[14..]).unwrap();
        let sent = socket.send_to(&n.to_be_bytes(), socket.local_addr().unwrap());
        assert_eq!(sent.unwrap(), 8);
    }
    let packets = collect(&mut capture, 80, Duration::from_secs(1)).unwrap();
    assert!(
        collect(&mut capture, 1, Duration::from_millis(200))
            .unwrap()
            .is_empty()
    );
    let types = [
        LinkType::ETHERNET,
        LinkType::ETHERNET,
        LinkType::ETHERNET,
        LinkType::RAW_IP,
    ];
    for (witness, link_type) in witnesses.iter().zip(types) {
        let seen = witness.seen();
        assert_eq!((seen.len(), seen[0].1), (20, link_type));
        assert_eq!(of(&packets, witness.index), seen);
    }
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.delivered),
        (Count::Exact(80), Count::Exact(80))
    );
}

/// An expression means the same on interfaces of each link type.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_expression_selects_on_all_interfaces() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut wire = tun("tun");
    let filter: Filter = "udp dst port 53 and inbound".parse().unwrap();
    let builder = Capture::builder()
        .profile(Profile::LowMemory)
        .filter(filter);
    let mut capture = builder.all_interfaces().build().unwrap();
    let sender = Sender::on("b").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for port in [53, 54] {
        sender.send(&udp4(1, port, b"wire")).unwrap();
        wire.write_all(&udp4(1, port, b"tunnel")[14..]).unwrap();
        // Nobody listens, so the answer is an ICMP error.
        socket.send_to(b"loop", ("127.0.0.1", port)).unwrap();
    }
    let packets = collect(&mut capture, 3, Duration::from_secs(1)).unwrap();
    let mut seen: Vec<_> = packets
        .iter()
        .map(|packet| (packet.link_type(), packet.wire_len()))
        .collect();
    seen.sort_unstable();
    let ethernet = |len| (LinkType::ETHERNET, len);
    assert_eq!(seen, [ethernet(46), ethernet(46), (LinkType::RAW_IP, 34)]);
    assert!(
        collect(&mut capture, 1, Duration::from_millis(200))
            .unwrap()
            .is_empty()
    );
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(3));
}
