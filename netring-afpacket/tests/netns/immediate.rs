//! `Profile::Immediate`: each packet is delivered at once; everything else is as with blocks.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile};
use netring_sys::{
    Count, Error, Interface, PacketBatch, PacketBuf, PacketSource, Readiness, Timed,
};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, number, numbered};

use super::ring::never_sleeps_over_a_packet;

const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

fn immediate(interface: &str) -> CaptureBuilder {
    let builder = Capture::builder().interface(interface);
    builder.profile(Profile::Immediate)
}

/// 2 blocks of 25 slots of 160 bytes each: 96 of headers, 64 of packet.
fn small() -> CaptureBuilder {
    immediate("a").block_size(4096).block_count(2).snap_len(60)
}

fn numbers<'a>(packets: impl IntoIterator<Item = &'a PacketBuf>) -> Vec<u64> {
    let numbers = packets.into_iter().map(|packet| number(packet.data()));
    numbers.map(|number| number.unwrap()).collect()
}

/// Sends a hundred packets. Returns how many had arrived when the sending call returned.
fn at_once(profile: Profile) -> usize {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").profile(profile);
    let mut capture = builder.build().unwrap();
    let sender = Sender::on("b").unwrap();
    let mut at_once = 0;
    for n in 0..100 {
        sender.send(&numbered(n, 64)).unwrap();
        if capture.ready().unwrap() == Readiness::Ready {
            at_once += 1;
        }
        let packets = collect(&mut capture, 1, PATIENCE).unwrap();
        assert_eq!(numbers(&packets), [n]);
    }
    at_once
}

/// A veth pair delivers within the sending call, except what the kernel defers to a thread of its
/// own.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_is_handed_over_when_it_comes_and_not_when_a_time_is_over() {
    let (immediate, blocks) = (at_once(Profile::Immediate), at_once(Profile::Default));
    assert!(immediate >= 80, "{immediate} of 100");
    assert!(blocks <= 20, "{blocks} of 100");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_full_ring_holds_one_packet_a_slot_and_counts_the_others() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let ring = capture.ring();
    assert_eq!((ring.slot_size, ring.slots()), (Some(160), Some(50)));
    let sender = Sender::on("b").unwrap();
    for round in 0..3 {
        let first = round * 1000;
        (first..first + 150).for_each(|n| sender.send(&numbered(n, 60)).unwrap());
        let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
        assert_eq!(numbers(&packets), (first..first + 50).collect::<Vec<_>>());
        assert!(packets.iter().all(|packet| !packet.as_packet().is_cut()));
        let stats = capture.stats().unwrap();
        assert_eq!(stats.offered, Count::Exact(150 * (round + 1)));
        assert_eq!(stats.delivered, Count::Exact(50 * (round + 1)));
        assert_eq!(stats.dropped, Count::Exact(100 * (round + 1)));
        assert_eq!(stats.freezes, Count::Unavailable);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_sizes_that_the_docs_promise() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let slots = |builder: CaptureBuilder| builder.build().unwrap().ring().slots();
    assert_eq!(slots(immediate("a")), Some(960));
    assert_eq!(slots(immediate("a").snap_len(1514)), Some(41_472));
    assert_eq!(slots(immediate("a").snap_len(256)), Some(190_592));
}

/// Packets as large as receive offload builds them; those that are larger than a slot are cut and
/// marked as cut.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_large_packet_is_whole_and_one_that_is_larger_than_its_slot_is_cut() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    let mut whole = immediate("lo").build().unwrap();
    let mut cut = immediate("lo").block_size(1 << 14).build().unwrap();
    let mut snapped = immediate("lo").snap_len(100).build().unwrap();
    let (from, to) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let payload: Vec<u8> = (0..65_507_u32).map(|n| n as u8).collect();
    from.send_to(&payload, to.local_addr().unwrap()).unwrap();

    let one = |capture: &mut Capture| {
        let mut packets = collect(capture, 1, PATIENCE).unwrap();
        packets.pop().unwrap()
    };
    let packet = one(&mut whole);
    assert_eq!(packet.data()[42..], payload);
    assert!(!packet.as_packet().is_cut());
    let packet = one(&mut cut);
    let kept = packet.data().len();
    assert!(((1 << 14) - 96..1 << 14).contains(&kept), "{kept}");
    assert_eq!(packet.data()[42..], payload[..kept - 42]);
    assert_eq!(
        (packet.wire_len(), packet.as_packet().is_cut()),
        (65_549, true)
    );
    let packet = one(&mut snapped);
    assert_eq!(packet.data()[42..], payload[..58]);
    assert_eq!(
        (packet.wire_len(), packet.as_packet().is_cut()),
        (65_549, true)
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_stays_as_it_is_while_it_is_held_and_comes_once() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let sender = Sender::on("b").unwrap();
    (0..10).for_each(|n| sender.send(&numbered(n, 60)).unwrap());
    let held = capture
        .next_batch_timeout(PATIENCE)
        .unwrap()
        .batch()
        .unwrap();
    assert_eq!(held.sequence(), 1);
    let bytes = |batch: &netring_afpacket::Batch<'_>| {
        batch.packets().map(PacketBuf::from).collect::<Vec<_>>()
    };
    let before = bytes(&held);
    // Many times around the ring, which stops at the slot that is held.
    (10..1000).for_each(|n| sender.send(&numbered(n, 60)).unwrap());
    assert_eq!(numbers(&bytes(&held)), [0]);
    assert_eq!(before[0].data(), numbered(0, 60));
    drop(held);
    // A loop that breaks keeps its place.
    for expected in 1..=3 {
        let found = capture.try_for_each(|packet| ControlFlow::Break(number(packet.data())));
        assert_eq!(found.unwrap(), Some(Some(expected)));
    }
    let rest = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    assert_eq!(numbers(&rest), (4..50).collect::<Vec<_>>());
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.delivered, stats.dropped),
        (Count::Exact(50), Count::Exact(950))
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_edge_triggered_reader_never_sleeps_over_a_packet() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = immediate("a").snap_len(60).build().unwrap();
    never_sleeps_over_a_packet(&mut capture, 20_000);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_link_goes_down_and_up_and_away_behind_the_last_packet() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let sender = Sender::on("b").unwrap();
    sender.send(&numbered(1, 60)).unwrap();
    wait_until("the packet is there", PATIENCE, || {
        capture.stats().unwrap().offered == Count::Exact(1)
    });
    ip("link set dev a down").unwrap();
    // The packet comes first, then the report, once.
    let packets = capture
        .next_batch_timeout(PATIENCE)
        .unwrap()
        .batch()
        .unwrap();
    assert_eq!(number(packets.packets().next().unwrap().data()), Some(1));
    drop(packets);
    let down = capture.wait(Some(PATIENCE)).unwrap_err();
    assert!(matches!(down, Error::LinkDown { .. }), "{down}");
    assert_eq!(capture.wait(Some(SILENCE)).unwrap(), Readiness::Empty);

    ip("link set dev a up").unwrap();
    wait_until("the link is up", PATIENCE, || {
        Interface::by_name("a").unwrap().is_up()
    });
    wait_until("packets pass", PATIENCE, || {
        let _ = sender.send(&numbered(2, 60));
        capture.stats().unwrap().offered != Count::Exact(1)
    });
    assert_eq!(
        number(collect(&mut capture, 1, PATIENCE).unwrap()[0].data()),
        Some(2)
    );
    ip("link del dev a").unwrap();
    let gone = loop {
        match capture.next_batch_timeout(PATIENCE) {
            Ok(Timed::Batch(_)) => {}
            Ok(end) => panic!("the capture hangs: {end:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, Error::InterfaceRemoved { .. }), "{gone}");
    assert_eq!(capture.stats().unwrap().pending(), Some(0));
}
