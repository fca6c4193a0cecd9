//! Filter expressions on a packet socket.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, CaptureBuilder, Filter, Profile, SockFilter};
use netring_sys::{Count, Error, Interface, PacketSource};
use xtask::load::Flood;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, udp4};

const LIMIT: Duration = Duration::from_secs(10);

fn filtered(interface: &str, text: &str) -> CaptureBuilder {
    let filter: Filter = text.parse().unwrap();
    Capture::builder()
        .interface(interface)
        .profile(Profile::LowMemory)
        .retire_timeout(Duration::from_millis(1))
        .filter(filter)
}

/// A frame whose source port identifies the interface; every second one is not for port 2000, and
/// every third one has a tag.
fn marked(interface: u16) -> impl FnMut(u64) -> Vec<u8> + Send + 'static {
    move |n| {
        let mut frame = udp4(interface, 2000 + (n % 2) as u16, &n.to_be_bytes());
        if n.is_multiple_of(3) {
            frame.splice(12..12, [0x81, 0, 0, 7]);
        }
        frame
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s5_nothing_but_packets_of_the_expression_enters_during_setup() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let index = Interface::by_name("a").unwrap().index;
    let floods = [
        Flood::on("b", marked(1)).unwrap(),
        Flood::on("d", marked(2)).unwrap(),
    ];
    for round in 0..60 {
        let is_tagged = round % 2 == 1;
        let text = match is_tagged {
            true => "vlan 7 and udp dst port 2000",
            false => "udp dst port 2000 and src host 10.0.0.1",
        };
        let mut capture = filtered("a", text).build().unwrap();
        let packets = collect(&mut capture, 100, LIMIT).unwrap();
        assert!(packets.len() >= 100, "{} packets of a flood", packets.len());
        for packet in packets {
            let packet = packet.as_packet();
            assert_eq!(packet.interface(), index, "round {round}");
            let ports = [packet.data()[35], packet.data()[36], packet.data()[37]];
            assert_eq!(ports, [1, 7, 208], "round {round}");
            assert_eq!(packet.vlan().map(|tag| tag.tci), is_tagged.then_some(7));
        }
    }
    for flood in floods {
        assert!(flood.stop() > 2000);
    }
}

/// Offloads build packets of over 190 kB (BIG TCP), which an expression does not cut. They have a
/// hop-by-hop header, behind which `tcp` does not look.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s12_an_expression_does_not_cut_a_packet_of_190_kilobytes() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up gso_max_size 250000 gro_max_size 250000").unwrap();
    let capture = filtered("lo", "ip6 host ::1 and not udp").block_size(1 << 20);
    let mut capture = capture.block_count(64).build().unwrap();
    let (mut longest, deadline) = (0, Instant::now() + 2 * LIMIT);
    while longest < 190_000 {
        assert!(Instant::now() < deadline, "{longest} is the longest");
        transfer(32 << 20);
        for packet in collect(&mut capture, usize::MAX, Duration::from_millis(20)).unwrap() {
            let packet = packet.as_packet();
            assert!(!packet.is_cut());
            assert_eq!(packet.data().len(), packet.wire_len() as usize);
            longest = longest.max(packet.data().len());
        }
    }
}

/// Sends this many bytes over a connection of its own.
fn transfer(bytes: usize) {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = listener.accept().unwrap().0;
    thread::scope(|scope| {
        scope.spawn(move || client.write_all(&vec![b'b'; bytes]).unwrap());
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), bytes);
    });
}

/// Every form that the builder accepts: text, typed parts, and instructions.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_form_of_a_filter_selects_the_same() {
    use netring_sys::filter::{Expr, Program, Side, Transport};
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let built = Expr::port(Transport::Udp, Side::Dst, 53);
    let instructions = [
        SockFilter::stmt(0x28, 36),
        SockFilter::jump(0x15, 53, 0, 1),
        SockFilter::stmt(0x06, 1),
        SockFilter::stmt(0x06, 0),
    ];
    let filters: [Filter; 5] = [
        "udp dst port 53".parse().unwrap(),
        (&built).into(),
        built.into(),
        Program::from(instructions).into(),
        instructions.into(),
    ];
    for filter in filters {
        let builder = Capture::builder().interface("v1").filter(&filter);
        let mut capture = builder.profile(Profile::LowMemory).build().unwrap();
        for port in [52, 53, 54] {
            sender.send(&udp4(53, port, &[7; 900])).unwrap();
        }
        let packets = collect(&mut capture, 1, LIMIT).unwrap();
        assert_eq!(packets[0].data(), udp4(53, 53, &[7; 900]), "{filter}");
        assert_eq!(capture.stats().unwrap().offered, Count::Exact(1));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_an_expression_that_the_socket_cannot_express_opens_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for (text, expected) in [
        (
            "ah[0] = 1",
            "filter: `ah[0] = 1`: the header of this protocol has no fixed place: use `ip[…]` or \
             `ether[…]`",
        ),
        (
            "ether[12:4] = 1",
            "filter: it reads bytes across a VLAN tag, or at a computed offset from the start of \
             the frame, which a packet socket cannot: it has the tag aside",
        ),
    ] {
        let error = filtered("v1", text).build().unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
}
