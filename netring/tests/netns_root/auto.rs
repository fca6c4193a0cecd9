//! Automatic backend selection as root: which backend is opened, why each better one is rejected,
//! and which packets it delivers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring::auto::{self, AutoCapture, Backend, NoBackend};
use netring::flow::FlowEvent;
use netring::flow::extract::FiveTuple;
use netring::xdp::program::{AttachMode, Program};
use netring::{
    AsyncAutoCapture, BroadcastRecvError, Checksum, Count, Error, Interface, PacketBatch,
    PacketSource, Profile, VlanTag,
};
use xtask::netns::{Netns, bridge, ip, veth};
use xtask::wire::{Sender, Sniffer, collect, numbered, tcp4, udp4};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(200);

/// The outcome for each backend, in words.
fn told(capture: &AutoCapture) -> Vec<String> {
    capture.attempts().iter().map(ToString::to_string).collect()
}

/// Checks that these frames arrive, byte for byte, each counted once, and no others.
#[track_caller]
fn receives(capture: &mut AutoCapture, frames: &[Vec<u8>]) {
    let packets = collect(capture, frames.len() + 1, SILENCE).unwrap();
    let got: Vec<_> = packets
        .iter()
        .map(|packet| packet.data().to_vec())
        .collect();
    assert_eq!(got, frames);
    let stats = capture.stats().unwrap();
    let sent = Count::Exact(frames.len() as u64);
    assert_eq!((stats.offered, stats.delivered), (sent, sent), "{stats:?}");
    assert_eq!(stats.dropped, Count::Exact(0));
}

/// The settings of a capture that may divert packets from the host.
fn diverting(interface: &str) -> auto::Builder {
    auto::builder().interface(interface).divert(true)
}

fn some() -> Vec<Vec<u8>> {
    (0..50).map(|n| numbered(n, 60 + 29 * n as usize)).collect()
}

fn send(from: &str, frames: &[Vec<u8>]) {
    let sender = Sender::on(from).unwrap();
    frames.iter().for_each(|frame| sender.send(frame).unwrap());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_on_veth_is_af_xdp_in_the_driver() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut capture = diverting("v1").build().unwrap();
    assert_eq!(
        told(&capture),
        [
            "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)",
            "AF_XDP native: opened; captured packets do not reach this host",
        ]
    );
    assert_eq!(capture.backend(), Backend::XdpNative);
    assert_eq!(capture.attempts()[0].backends(), [Backend::XdpZeroCopy]);
    assert!(capture.attempts()[1].why_not().is_none());
    assert!(capture.as_xdp().is_some() && capture.as_afpacket().is_none());
    // What this host sends itself is not captured.
    send("v1", &some());
    send("v0", &some());
    receives(&mut capture, &some());
    drop(capture);
    assert_eq!(Interface::by_name("v1").unwrap().xdp, None);
}

/// The stack takes a tag out of the bytes when a bridge's port receives it, and passes it on beside
/// them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_tag_beside_the_bytes_is_the_same_in_both_backends() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    bridge("br0", &["v1", "w1"]).unwrap();
    let backends = [Backend::XdpNative, Backend::AfPacket];
    for (backend, in_bytes) in backends.into_iter().zip([true, false]) {
        let builder = diverting("v0").promiscuous(true);
        let mut capture = builder.backends([backend]).build().unwrap();
        for (tpid, tci) in [(0x8100_u16, 3 << 13 | 5_u16), (0x88a8, 77), (0x8100, 0)] {
            let plain = numbered(7, 100);
            let mut tagged = plain.clone();
            let ([t0, t1], [c0, c1]) = (tpid.to_be_bytes(), tci.to_be_bytes());
            tagged.splice(12..12, [t0, t1, c0, c1]);
            send("w0", std::slice::from_ref(&tagged));
            let packet = &collect(&mut capture, 1, LIMIT).unwrap()[0];
            let vlan = Some(VlanTag { tpid, tci });
            assert_eq!((packet.data(), packet.vlan()), (&plain[..], vlan));
            // The tag was on the wire, wherever it is now.
            let lengths = (packet.wire_len(), packet.frame_len());
            assert_eq!(
                lengths,
                (tagged.len() as u32, plain.len() as u32),
                "{backend}"
            );
            // A tag in the bytes stays there in native mode; before AF_PACKET sees it, the stack
            // takes it out.
            send("v1", std::slice::from_ref(&tagged));
            let packet = &collect(&mut capture, 1, LIMIT).unwrap()[0];
            let expected = if in_bytes {
                (&tagged[..], None)
            } else {
                (&plain[..], vlan)
            };
            assert_eq!((packet.data(), packet.vlan()), expected, "{backend}");
            assert_eq!(packet.wire_len(), tagged.len() as u32, "{backend}");
        }
    }
}

/// The other end's stack leaves the checksum to its interface, which computes none.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_partial_checksum_is_reported_by_af_packet_and_unknown_to_af_xdp() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    ip("addr add 10.0.0.1/24 dev v0").unwrap();
    ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0").unwrap();
    let socket = UdpSocket::bind("10.0.0.1:1000").unwrap();
    let backends = [
        (Backend::XdpNative, Checksum::Unknown),
        (Backend::XdpGeneric, Checksum::Unknown),
        (Backend::AfPacket, Checksum::Partial),
    ];
    for (backend, expected) in backends {
        let builder = diverting("v1").backends([backend]);
        let mut capture = builder.build().unwrap();
        socket.send_to(&[7; 30], "10.0.0.2:9").unwrap();
        let packet = &collect(&mut capture, 1, LIMIT).unwrap()[0];
        assert_eq!(packet.checksum(), expected, "{backend}");
        assert_eq!(packet.data()[42..], [7; 30]);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_on_lo_is_generic_and_sees_each_packet_once() {
    let _ns = Netns::enter().unwrap();
    let mut capture = diverting("lo").build().unwrap();
    assert_eq!(
        capture.backend(),
        Backend::XdpGeneric,
        "{:?}",
        told(&capture)
    );
    assert_eq!(
        told(&capture).last().unwrap(),
        "AF_XDP generic (skb): opened with multi-buffer; captured packets do not reach this host"
    );
    let mut af_packet = auto::builder()
        .interface("lo")
        .backends([Backend::AfPacket])
        .build()
        .unwrap();
    assert_eq!(told(&af_packet), ["AF_PACKET: opened"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..20u8 {
        socket.send_to(&[n; 30], "127.0.0.1:9").unwrap();
    }
    let payloads = |capture: &mut AutoCapture| -> Vec<u8> {
        let packets = collect(capture, 1000, SILENCE).unwrap();
        let packets = packets.iter().filter(|packet| packet.data()[23] == 17);
        packets.map(|packet| packet.data()[42]).collect()
    };
    assert_eq!(payloads(&mut capture), (0..20).collect::<Vec<_>>());
    // Generic mode takes packets before packet sockets see them.
    assert_eq!(payloads(&mut af_packet), Vec::<u8>::new());
    drop(capture);
    for n in 0..20u8 {
        socket.send_to(&[n; 30], "127.0.0.1:9").unwrap();
    }
    assert_eq!(payloads(&mut af_packet), (0..20).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_leaves_a_foreign_program_alone_and_says_that_it_is_in_the_way() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let interface = Interface::by_name("v1").unwrap();
    let program = Program::redirect().queues(1).load().unwrap();
    let foreign = program.attach(&interface, AttachMode::Native).unwrap();
    let mut capture = diverting("v1").build().unwrap();
    assert_eq!(capture.backend(), Backend::AfPacket, "{:?}", told(&capture));
    assert!(capture.as_afpacket().is_some() && capture.as_xdp().is_none());
    let id = foreign.program_id();
    // Once for both backends that it blocks.
    let attempt = &capture.attempts()[1];
    let both = [Backend::XdpNative, Backend::XdpGeneric];
    assert_eq!(attempt.backends(), both);
    let Some(Error::ProgramInTheWay { id: told, .. }) = attempt.why_not() else {
        panic!("{attempt}");
    };
    assert_eq!(*told, id);
    assert_eq!(capture.attempts().len(), 3);
    assert!(foreign.is_attached().unwrap());
    // The foreign program passes packets for which there is no socket.
    send("v1", &some());
    send("v0", &some());
    receives(&mut capture, &some());
}

/// The kernel releases a queue some time after its socket is closed, so opening waits up to 5 s for
/// a busy queue: once, not for each AF_XDP backend.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_waits_once_for_a_queue_that_is_taken() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let _other = netring::xdp::XdpCapture::open("v1").unwrap();
    let start = Instant::now();
    let capture = diverting("v1").build().unwrap();
    assert!(start.elapsed() < Duration::from_secs(9));
    assert_eq!(capture.backend(), Backend::AfPacket);
    assert_eq!(
        told(&capture),
        [
            "AF_XDP zero-copy, native, generic (skb): queue 0 of v1 already has an AF_XDP socket; close that socket, use another queue, or share its UMEM",
            "AF_PACKET: opened",
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_tries_the_requested_backends_only() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let builder = || diverting("v1");
    let capture = builder().backends([Backend::XdpGeneric]).build().unwrap();
    assert_eq!(
        told(&capture),
        ["AF_XDP generic (skb): opened with multi-buffer; captured packets do not reach this host"]
    );
    drop(capture);
    // The only backend to try is unavailable: that is the error, and no other one is opened.
    let refused = builder().backends([Backend::XdpZeroCopy]).build();
    let Err(Error::Syscall(refused)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.call, "bind(AF_XDP)");
    let refused = builder().backends([]).build().unwrap_err();
    assert!(
        refused.to_string().contains("pass at least one"),
        "{refused}"
    );
    assert!(matches!(
        auto::open("eth7"),
        Err(Error::NoSuchInterface { name, .. }) if name == "eth7"
    ));
}

/// Each backend is listed in order with its own error, for programs to match on and for users to
/// read.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_without_a_backend_gives_the_reason_for_each() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let interface = Interface::by_name("v1").unwrap();
    let program = Program::redirect().queues(1).load().unwrap();
    let foreign = program.attach(&interface, AttachMode::Native).unwrap();
    let builder = diverting("v1").backends([Backend::XdpZeroCopy, Backend::XdpGeneric]);
    let error = builder.build().unwrap_err();
    let text = error.to_string();
    // Each reason once, with its cause, however the error is printed.
    assert_eq!(format!("{error:?}"), text);
    assert!(std::error::Error::source(&error).is_none());
    assert!(matches!(&error, Error::Source { what, .. } if what == "v1"));
    let Some(none) = error.downcast_ref::<NoBackend>() else {
        panic!("{error}");
    };
    let [zero_copy, generic] = none.attempts() else {
        panic!("{none}");
    };
    assert_eq!(zero_copy.backends(), [Backend::XdpZeroCopy]);
    let why = zero_copy.why_not().unwrap();
    assert!(matches!(why, Error::Syscall(failed) if failed.call == "bind(AF_XDP)"));
    assert_eq!(generic.backends(), [Backend::XdpGeneric]);
    let why = generic.why_not().unwrap();
    let id = foreign.program_id();
    assert!(matches!(why, Error::ProgramInTheWay { id: told, .. } if *told == id));
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "v1: no backend is available:".into(),
            format!("  AF_XDP zero-copy: {:?}", zero_copy.why_not().unwrap()),
            format!("  AF_XDP generic (skb): {:?}", generic.why_not().unwrap()),
        ]
    );
    assert!(foreign.is_attached().unwrap());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_sets_promiscuous_mode_by_each_backend() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let promiscuous = || {
        let shown = xtask::netns::ip_says("-details link show dev v1").unwrap();
        shown.contains("promiscuity 1")
    };
    for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
        let builder = diverting("v1").backends([backend]);
        let capture = builder.clone().build().unwrap();
        assert!(!promiscuous(), "{backend}");
        drop(capture);
        let capture = builder.promiscuous(true).build().unwrap();
        assert!(promiscuous(), "{backend}");
        drop(capture);
        assert!(!promiscuous(), "{backend}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_requests_the_hash_and_sizes_the_ring_by_each_backend() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    for (backend, wanted, has) in [
        (Backend::XdpNative, true, true),
        (Backend::AfPacket, true, true),
        (Backend::XdpNative, false, false),
        (Backend::AfPacket, false, false),
    ] {
        let builder = diverting("v1").backends([backend]);
        let builder = builder.rx_hash(wanted).profile(Profile::LowMemory);
        let mut capture = builder.build().unwrap();
        if let Some(capture) = capture.as_afpacket() {
            assert_eq!(capture.ring().bytes(), 4 << 20);
        }
        sender.send(&udp4(1, 53, &[7; 60])).unwrap();
        let got = collect(&mut capture, 1, LIMIT).unwrap();
        assert_eq!(got[0].rx_hash().is_some(), has, "{backend}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_reports_a_link_that_goes_down_and_a_removal() {
    for backend in [Backend::XdpNative, Backend::AfPacket] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = diverting("v1").backends([backend]);
        let mut capture = builder.build().unwrap();
        let start = Instant::now();
        ip("link set v1 down").unwrap();
        let down = capture.wait(Some(LIMIT)).unwrap_err();
        assert!(matches!(down, Error::LinkDown { .. }), "{down}");
        ip("link del v1").unwrap();
        let gone = capture.next_batch_timeout(LIMIT).unwrap_err();
        assert!(matches!(gone, Error::InterfaceRemoved { .. }), "{gone}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

/// Flows, and their broadcast to two subscribers, over every backend.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn flows_and_broadcast_work_over_auto() {
    const SYN: u8 = 2;
    const RST: u8 = 4;
    for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let capture = match backend {
            // As in the example: by the name of the interface alone.
            Backend::AfPacket => AsyncAutoCapture::open("v1").unwrap(),
            other => {
                let builder = diverting("v1").backends([other]);
                AsyncAutoCapture::new(builder.build().unwrap()).unwrap()
            }
        };
        assert_eq!(capture.get_ref().backend(), backend);
        let stop = capture.get_ref().stop_handle();
        let broadcast = capture
            .flow_stream(FiveTuple::bidirectional())
            .broadcast(64);
        let subscribers = [broadcast.subscribe(), broadcast.subscribe()];
        send(
            "v0",
            &[
                tcp4(4000, 80, 1, SYN, b""),
                tcp4(4000, 80, 2, RST, b""),
                udp4(5000, 53, &[0; 30]),
            ],
        );
        for (n, mut subscriber) in subscribers.into_iter().enumerate() {
            let mut ended = Vec::new();
            while let Some(event) = tokio::time::timeout(LIMIT, subscriber.next())
                .await
                .unwrap()
            {
                let event = event.map_err(|error: BroadcastRecvError| error.to_string());
                match &*event.unwrap() {
                    // The last of the packets; those before it are tracked.
                    FlowEvent::Started { key, .. } if key.to_string().starts_with("udp") => {
                        stop.stop();
                    }
                    FlowEvent::Ended {
                        key, reason, stats, ..
                    } => {
                        ended.push(format!("{key}: {} {reason}", stats.packets()));
                    }
                    _ => {}
                }
            }
            ended.sort();
            assert_eq!(
                ended,
                [
                    "tcp 10.0.0.1:4000 10.0.0.2:80: 2 reset",
                    "udp 10.0.0.1:5000 10.0.0.2:53: 1 source-ended",
                ],
                "{backend}, subscriber {n}"
            );
        }
    }
}

/// An interrupted loop keeps its place, with both backends.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s7_a_loop_over_auto_that_is_left_goes_on_with_the_next_packet() {
    use std::ops::ControlFlow;
    for backend in [Backend::XdpNative, Backend::AfPacket] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = diverting("v1").backends([backend]);
        let mut capture = builder.build().unwrap();
        send("v0", &some());
        for (n, frame) in some().iter().enumerate() {
            if n % 2 == 0 {
                let got = capture.try_for_each(|packet| ControlFlow::Break(packet.data().to_vec()));
                assert_eq!(got.unwrap().as_ref(), Some(frame));
            } else {
                let got = capture.try_for_each(|packet| ControlFlow::Break(packet.wire_len()));
                assert_eq!(got.unwrap(), Some(frame.len() as u32));
            }
        }
        let stop = capture.stop_handle();
        stop.stop();
        let end = capture.try_for_each(|_| ControlFlow::<()>::Continue(()));
        assert_eq!(end.unwrap(), None);
        let mut seen = 0;
        capture.for_each(|_| seen += 1).unwrap();
        assert_eq!(seen, 0);
        assert_eq!(capture.batch().packets().count(), 0);
        assert_eq!(capture.stats().unwrap().delivered, Count::Exact(50));
    }
    // The host's stack saw nothing of what AF_XDP took, and everything that AF_PACKET copied.
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for (backend, seen) in [(Backend::XdpNative, false), (Backend::AfPacket, true)] {
        let builder = diverting("v1").backends([backend]);
        let mut capture = builder.build().unwrap();
        let stack = Sniffer::on("v1").unwrap();
        send("v0", &[numbered(1, 60)]);
        receives(&mut capture, &[numbered(1, 60)]);
        let expected = seen.then(|| numbered(1, 60));
        assert_eq!(stack.receive(SILENCE).unwrap(), expected, "{backend}");
    }
}
