//! Filter expressions on interfaces of several link types.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Filter, Profile};
use netring_sys::kernel::packet::ETH_P_ALL;
use netring_sys::syscall;
use netring_sys::{Count, Error, Interface, LinkType, PacketSource};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, tcp4, udp4};

use super::tun::tun;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_expression_is_compiled_for_an_interface_without_a_link_layer() {
    let _ns = Netns::enter().unwrap();
    let mut wire = tun("tun");
    let filtered = |text: &str| {
        let filter: Filter = text.parse().unwrap();
        let builder = Capture::builder().interface("tun").filter(filter);
        builder.profile(Profile::LowMemory).build()
    };
    let mut capture = filtered("udp dst port 53 and not src net 192.168.0.0/16").unwrap();
    for port in [52, 53, 54] {
        wire.write_all(&udp4(53, port, b"datagram")[14..]).unwrap();
        wire.write_all(&tcp4(53, port, 1, 2, b"segment")[14..])
            .unwrap();
    }
    let packet = collect(&mut capture, 1, LIMIT).unwrap().remove(0);
    assert_eq!(packet.data(), &udp4(53, 53, b"datagram")[14..]);
    assert_eq!(packet.as_packet().link_type(), LinkType::RAW_IP);
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(1));
    for (text, expected) in [
        ("udp or vlan 5", "`vlan 5`: VLAN tags"),
        ("not broadcast", "`broadcast`: link-layer addresses"),
        ("llc", "`llc`: LLC headers"),
    ] {
        match filtered(text).unwrap_err() {
            Error::Config {
                setting: "filter",
                why,
            } => assert_eq!(
                why,
                format!("{expected} are not in packets of the link type LinkType::RAW_IP")
            ),
            other => panic!("{other}"),
        }
    }
}

/// What a socket for all interfaces selects by this expression, before the last frame. The term for
/// the last frame precedes the text, because `vlan` changes what follows it.
fn select(text: &str, send: impl FnOnce(), last: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let filter: Filter = format!("udp port 9999 or ({text})").parse().unwrap();
    let program = filter.for_all_interfaces().unwrap();
    let socket = syscall::packet_socket().unwrap();
    let fd = socket.as_fd();
    syscall::attach_filter(fd, program.instructions()).unwrap();
    syscall::bind_packet(fd, 0, ETH_P_ALL).unwrap();
    send();
    let (mut selected, deadline) = (Vec::new(), Instant::now() + LIMIT);
    loop {
        assert!(Instant::now() < deadline, "{text}: {selected:?}");
        let mut buffer = vec![0; 4096];
        let Some((len, from)) = syscall::receive(fd, &mut buffer).unwrap() else {
            syscall::poll_readable(fd, Some(Duration::from_millis(100))).unwrap();
            continue;
        };
        buffer.truncate(len);
        // `PACKET_OUTGOING` of the other end of the pair.
        if from.sll_pkttype == 4 {
            continue;
        }
        if buffer == last {
            return selected;
        }
        selected.push((from.sll_ifindex as u32, buffer));
    }
}

/// One program for Ethernet, tagged or not, and for an interface without a link layer.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn one_program_filters_the_packets_of_all_interfaces() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut wire = tun("tun");
    let sender = Sender::on("v0").unwrap();
    let ethernet = Interface::by_name("v1").unwrap().index;
    let tunnel = Interface::by_name("tun").unwrap().index;
    let (dns, web) = (udp4(40_000, 53, b"a query"), tcp4(40_000, 80, 1, 2, b"syn"));
    let mut tagged = dns.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    let last = udp4(9999, 9999, b"the last one");
    let mut send = || {
        for frame in [&dns, &web] {
            sender.send(frame).unwrap();
            wire.write_all(&frame[14..]).unwrap();
        }
        sender.send(&tagged).unwrap();
        sender.send(&last).unwrap();
    };
    // A socket receives a tagged frame without its tag.
    let (on_ethernet, behind_tag) = ((ethernet, dns.clone()), (ethernet, dns.clone()));
    let on_tunnel = (tunnel, dns[14..].to_vec());
    let web_on_both = [(ethernet, web.clone()), (tunnel, web[14..].to_vec())];
    let [web_on_ethernet, web_on_tunnel] = web_on_both.clone();
    for (text, expected) in [
        (
            "udp dst port 53",
            vec![on_ethernet.clone(), on_tunnel.clone()],
        ),
        ("host 10.0.0.2 and tcp", web_on_both.to_vec()),
        ("vlan 5 and udp", vec![behind_tag.clone()]),
        (
            "not vlan and not arp",
            vec![
                on_ethernet.clone(),
                on_tunnel.clone(),
                web_on_ethernet.clone(),
                web_on_tunnel.clone(),
            ],
        ),
        (
            "udp port 53 or (vlan and udp)",
            vec![on_ethernet, on_tunnel, behind_tag],
        ),
        ("ether dst 02:00:00:00:00:02 and tcp", vec![web_on_ethernet]),
    ] {
        let mut selected = select(text, &mut send, &last);
        // Without those that the stack itself sends through a tunnel, such as router solicitations.
        selected.retain(|(index, _)| [ethernet, tunnel].contains(index));
        assert_eq!(selected, expected, "{text}");
    }
}
