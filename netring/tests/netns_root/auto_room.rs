//! The selected backend holds every packet that the interface can bring, by its MTU and as offloads
//! merge them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring::auto::{self, AutoCapture, Backend};
use netring::{Count, PacketSource};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, numbered, segmenting};

const SILENCE: Duration = Duration::from_millis(200);
const BACKENDS: [Backend; 3] = [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket];

/// A pair of interfaces with this MTU; the other end of `v1` has an address, and a neighbour that
/// does not exist.
fn pair(mtu: u32) {
    veth("v0", "v1").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set {end} mtu {mtu}")).unwrap();
    }
    ip("addr add 10.0.0.1/24 dev v0").unwrap();
    ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0").unwrap();
}

fn open(backends: &[Backend]) -> AutoCapture {
    let builder = auto::builder().interface("v1").divert(true);
    builder.backends(backends.iter().copied()).build().unwrap()
}

/// All packets that arrive, which must be as many as were sent and counted.
#[track_caller]
fn all(capture: &mut AutoCapture, sent: u64) -> Vec<Vec<u8>> {
    let packets = collect(capture, usize::MAX, SILENCE).unwrap();
    let stats = capture.stats().unwrap();
    let counted = [stats.offered, stats.delivered, stats.dropped];
    assert_eq!(counted, [sent, sent, 0].map(Count::Exact));
    assert_eq!(packets.len() as u64, sent);
    let bytes = packets.iter().map(|packet| packet.data().to_vec());
    bytes.collect()
}

/// Sends a thousand frames of all lengths that the MTU allows before the first is read. (AF_PACKET
/// has no chunks; how long a pause its ring outlasts is tested elsewhere.)
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_loses_no_packet_of_a_large_mtu() {
    for backend in [Backend::XdpNative, Backend::XdpGeneric] {
        for mtu in [1500, 1770, 1771, 1774, 1775, 3506, 3507, 9000] {
            let _ns = Netns::enter().unwrap();
            pair(mtu);
            let mut capture = open(&[backend]);
            let sender = Sender::on("v0").unwrap();
            let frame = |n: u64| numbered(n, 60 + (n as usize * 7919) % (mtu as usize - 45));
            for n in 0..1000 {
                sender.send(&frame(n)).unwrap();
            }
            for (n, packet) in all(&mut capture, 1000).iter().enumerate() {
                assert_eq!(*packet, frame(n as u64), "{backend}, MTU {mtu}, frame {n}");
            }
        }
    }
}

/// Packets that the peer's stack left to its interface to segment: native mode receives the
/// segments, generic mode the whole packets.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_loses_no_offloaded_packet() {
    for backend in BACKENDS {
        for mtu in [1500, 9000] {
            let _ns = Netns::enter().unwrap();
            pair(mtu);
            let mut capture = open(&[backend]);
            let socket = segmenting(1000).unwrap();
            for n in 0..20 {
                socket.send_to(&[n; 60_000], "10.0.0.2:9").unwrap();
            }
            let (count, len) = match backend {
                Backend::XdpNative => (1200, 1000),
                _ => (20, 60_000),
            };
            for (n, packet) in all(&mut capture, count).iter().enumerate() {
                let payload = vec![(n * len / 60_000) as u8; len];
                assert_eq!(packet[42..], payload, "{backend}, MTU {mtu}, packet {n}");
            }
        }
    }
}

/// What is opened says whether a packet may take several chunks.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_reports_that_it_opened_with_multi_buffer() {
    let expected = [
        (1500, "opened", Some(1792)),
        (3400, "opened", Some(3840)),
        (9000, "opened with multi-buffer", None),
    ];
    for (mtu, line, longest) in expected {
        let _ns = Netns::enter().unwrap();
        pair(mtu);
        let capture = open(&Backend::ALL);
        let told: Vec<_> = capture.attempts().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)",
                &format!("AF_XDP native: {line}; captured packets do not reach this host")
            ]
        );
        assert_eq!(capture.as_xdp().unwrap().longest(), longest);
    }
}
