//! Packets that a wire carries twice: on a loopback interface in both directions, on a bridge whose
//! port is mirrored as frames enter and as they leave; and the output of a program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use futures::StreamExt;
use netring::afpacket::Profile;
use netring::dedup::{Content, Dedup};
use netring::flow::FlowEvent;
use netring::flow::extract::FiveTuple;
use netring::wait::Stop;
use netring::{AsyncSource, Capture, Count, Error, Interface, PacketBatch, PacketSource, Timed};
use tokio::time::timeout;
use xtask::load::wait_until;
use xtask::netns::{Netns, bridge, ip, tc, veth};
use xtask::wire::{Sender, numbered, udp4};

use super::examples::timed;
use crate::program::{Program, captures};

const LIMIT: Duration = Duration::from_secs(10);
/// A loaded host may be slow between a frame and its copy.
const SLOW: Duration = Duration::from_secs(60);

fn open(interface: &str) -> Capture {
    let builder = Capture::builder().interface(interface);
    let builder = builder.profile(Profile::LowMemory).ignore_outgoing(false);
    builder.build().unwrap()
}

/// Reads until the inner source has lent this many; returns the frames that passed.
fn lent(dedup: &mut Dedup<Capture>, inside: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while dedup.get_mut().stats().unwrap().delivered != Count::Exact(inside) {
        match dedup.next_batch_timeout(LIMIT).unwrap() {
            Timed::Batch(batch) => frames.extend(batch.packets().map(|it| it.data().to_vec())),
            _ => panic!("nothing more after {} packets", frames.len()),
        }
    }
    frames
}

/// Checks that the statistics add up to this many, half of which are duplicates.
#[track_caller]
fn is_half(dedup: &mut Dedup<Capture>, all: u64) {
    let stats = dedup.stats().unwrap();
    let half = Count::Exact(all / 2);
    assert_eq!(stats.offered, Count::Exact(all));
    assert_eq!((stats.delivered, stats.left_out), (half, half));
    assert_eq!((stats.dropped, stats.pending()), (Count::Exact(0), Some(0)));
    assert_eq!((dedup.duplicates(), dedup.forgotten()), (all / 2, 0));
}

/// A switch with the ports `p0` and `p1`, whose other ends are `h0` and `h1`, and a mirror on `m0`,
/// whose other end is `m1`: of what enters at `p0`, and of what leaves at `p1`.
fn mirrored() {
    for (host, port) in [("h0", "p0"), ("h1", "p1"), ("m1", "m0")] {
        veth(host, port).unwrap();
    }
    bridge("br0", &["p0", "p1"]).unwrap();
    for (port, direction) in [("p0", "ingress"), ("p1", "egress")] {
        tc(&format!("qdisc add dev {port} clsact")).unwrap();
        tc(&format!(
            "filter add dev {port} {direction} protocol all u32 match u32 0 0 action mirred egress mirror dev m0"
        ))
        .unwrap();
    }
    // Without a learning phase, the bridge forwards at once.
    for port in ["p0", "p1"] {
        let is_forwarding = || {
            let said = xtask::netns::ip_says(&format!("-d link show {port}")).unwrap();
            said.contains("state forwarding")
        };
        wait_until("the port forwards", LIMIT, is_forwarding);
    }
}

/// The packets that the interface has received, by its own counters.
fn received(interface: &str) -> u64 {
    let file = "/proc/thread-self/net/dev";
    let text = std::fs::read_to_string(file).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{interface}:")));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_each_packet_of_loopback_is_lent_once_also_if_it_is_sent_again() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    let capture = open("lo");
    let index = capture.interface().index;
    let mut dedup = Dedup::loopback(capture, index);
    let sender = Sender::on("lo").unwrap();
    // Three packets with equal bytes are three packets.
    let frames: Vec<_> = (0..300).map(|n| numbered(n / 3, 60)).collect();
    frames.iter().for_each(|frame| sender.send(frame).unwrap());
    assert_eq!(lent(&mut dedup, 600), frames);
    is_half(&mut dedup, 600);
    assert_eq!(received("lo"), 300);

    // By content the result is the same: each arrives twice.
    let mut dedup = Dedup::content(open("lo"), Content::default().window(SLOW)).unwrap();
    frames.iter().for_each(|frame| sender.send(frame).unwrap());
    assert_eq!(lent(&mut dedup, 600), frames);
    is_half(&mut dedup, 600);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_frame_of_a_mirrored_switch_is_lent_once() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    mirrored();
    let before = received("m1");
    let content = Content::default().window(SLOW);
    let mut dedup = Dedup::content(open("m1"), content).unwrap();
    let stop = dedup.stop_handle();
    assert!(dedup.is_live());
    let sender = Sender::on("h0").unwrap();
    let frames: Vec<_> = (0..900).map(|n| numbered(n / 3, 60 + n as usize)).collect();
    frames.iter().for_each(|frame| sender.send(frame).unwrap());
    let seen = lent(&mut dedup, 1800);
    assert_eq!(received("m1") - before, 1800);
    assert_eq!(seen, frames);
    is_half(&mut dedup, 1800);

    // A frame that is sent again unchanged is a new packet, and also arrives twice.
    (0..3).for_each(|_| sender.send(&frames[7]).unwrap());
    assert_eq!(lent(&mut dedup, 1806), vec![frames[7].clone(); 3]);
    is_half(&mut dedup, 1806);

    stop.stop();
    assert!(dedup.next_batch().unwrap().is_none());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_an_interface_that_goes_away_is_reported_through_it() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut dedup = Dedup::content(open("v1"), Content::default()).unwrap();
    ip("link set v1 down").unwrap();
    assert!(matches!(
        dedup.next_batch_timeout(Duration::from_millis(50)),
        Ok(Timed::TimedOut)
    ));
    assert_eq!(dedup.stats().unwrap().link_downs, Count::Exact(1));
    ip("link del v1").unwrap();
    assert!(matches!(
        dedup.next_batch(),
        Err(Error::InterfaceRemoved { .. })
    ));
}

/// Flows and subscribers see each packet once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn flows_of_a_mirrored_switch_count_each_packet_once() {
    let _ns = Netns::enter().unwrap();
    mirrored();
    let dedup = Dedup::content(open("m1"), Content::default().window(SLOW)).unwrap();
    let source = AsyncSource::new(dedup).unwrap();
    let stream = source.flow_stream(FiveTuple::bidirectional());
    let stop = stream.stop_handle();
    let broadcast = stream.broadcast(64);
    let mut subscribers = [broadcast.subscribe(), broadcast.subscribe()];
    let (before, sender) = (received("m1"), Sender::on("h0").unwrap());
    for n in 0..50 {
        sender.send(&udp4(5000, 53, &[n; 30])).unwrap();
    }
    // Once this flow has started, the reader has received all of the other.
    sender.send(&udp4(6000, 53, &[0; 30])).unwrap();
    for subscriber in &mut subscribers {
        let mut ports = Vec::new();
        while ports.len() < 2 {
            let event = timeout(LIMIT, subscriber.next()).await.unwrap();
            if let FlowEvent::Started { key, .. } = &*event.unwrap().unwrap() {
                ports.push(key.a().port());
            }
        }
        assert_eq!(ports, [5000, 6000]);
    }
    stop.stop();
    for subscriber in &mut subscribers {
        let mut packets = Vec::new();
        while packets.len() < 2 {
            let event = timeout(LIMIT, subscriber.next()).await.unwrap();
            if let FlowEvent::Ended { key, stats, .. } = &*event.unwrap().unwrap() {
                let both = stats.forward.packets + stats.reverse.packets;
                packets.push((key.a().port(), both));
            }
        }
        packets.sort_unstable();
        assert_eq!(packets, [(5000, 50), (6000, 1)]);
    }
    assert_eq!(received("m1") - before, 102);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn dedup_prints_each_packet_once_and_the_balance() {
    let _ns = Netns::enter().unwrap();
    mirrored();
    assert!(Interface::by_name("m1").is_ok());
    let mut program = Program::start("dedup", &["m1", "4", "5"]);
    program.until("capture", |pid| captures(pid, "m1"));
    let sender = Sender::on("h0").unwrap();
    (0..3).for_each(|n| sender.send(&numbered(n, 60 + n as usize)).unwrap());
    let said = program.end();
    said.went_well();
    let (packets, balance) = said.out.split_at(3);
    let packets: Vec<_> = packets.iter().map(|line| timed(line)).collect();
    assert_eq!(packets, ["60 bytes", "61 bytes", "62 bytes"]);
    let expected = [
        "3 duplicates, 0 forgotten too early",
        "6 offered, 3 delivered, 3 left out, 0 dropped",
    ];
    assert_eq!(balance, expected);
}
