//! Flows of segments that are longer than their IP header can express (BIG TCP), live.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use netring::Direction;
use netring::flow::extract::FiveTuple;
use netring::flow::{FlowEvent, FlowTracker};
use netring::{Capture, PacketBatch, PacketSource};
use xtask::netns::{Netns, ip};

const SENT: usize = 20 << 20;

/// Sends bytes over a connection of its own, and closes it.
fn transfer() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = listener.accept().unwrap().0;
    thread::scope(|scope| {
        scope.spawn(move || client.write_all(&vec![b'b'; SENT]).unwrap());
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), SENT);
    });
}

/// What the flow of a transfer carried, in a capture with this snap length; and the longest packet.
/// `None` if some of it was sent twice, as the kernel does if the receiver cannot keep up.
fn carried(snap_len: u32) -> Option<(u64, u32)> {
    let mut capture = Capture::builder()
        .interface("lo")
        .snap_len(snap_len)
        .build()
        .unwrap();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let (mut events, mut longest) = (Vec::new(), 0);
    thread::scope(|scope| {
        let transfer = scope.spawn(transfer);
        loop {
            let is_over = transfer.is_finished();
            let Some(batch) = capture
                .next_batch_timeout(Duration::from_millis(500))
                .unwrap()
                .batch()
            else {
                if is_over {
                    break;
                }
                continue;
            };
            // On the loopback device each packet is seen twice, outgoing and incoming.
            for packet in batch.packets() {
                if packet.direction() != Some(Direction::Outgoing) {
                    longest = longest.max(packet.wire_len());
                    tracker.track(&packet, &mut events);
                }
            }
        }
    });
    while tracker.finish(&mut events) {}
    let stats = events.iter().find_map(|event| match event {
        FlowEvent::Ended { key, stats, .. } if key.protocol() == 6 => Some(stats),
        _ => None,
    });
    let stats = stats.unwrap();
    assert!(!stats.malformed);
    assert_eq!(stats.by_responder().payload_bytes, 0);
    let sent = stats.by_initiator();
    (sent.retransmitted == 0).then_some((sent.payload_bytes, longest))
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_byte_of_big_tcp_is_in_the_flow_whatever_the_snap_length() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up gso_max_size 180000 gro_max_size 180000").unwrap();
    // Nothing is sent again because a machine with other work acknowledges late.
    std::fs::write("/proc/sys/net/ipv4/tcp_early_retrans", "0").unwrap();
    ip("-6 route del table local ::1").unwrap();
    ip("-6 route add local ::1 dev lo table local rto_min 10s").unwrap();
    for snap_len in [128, 262_144] {
        let once = (0..10).find_map(|_| carried(snap_len));
        let (payload, longest) = once.expect("a transfer in which nothing is sent twice");
        assert_eq!(payload, SENT as u64, "{snap_len}");
        assert!(longest > 65_575, "no packet of BIG TCP: {longest}");
    }
}
