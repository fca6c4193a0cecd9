//! Neither direction starves the other, and a full ring is counted.

use netring::bridge::{Bridge, Port};
use netring::{Capture, Count, Profile};
use xtask::load::Flood;
use xtask::netns::Netns;
use xtask::wire::{Sender, collect, number, numbered};

use super::{LIMIT, run_until, settled, while_bridged, wires};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_a_flood_of_either_side_does_not_starve_the_other() {
    let _ns = Netns::enter().unwrap();
    wires();
    for (flooded, other) in [("a1", "b1"), ("b1", "a1")] {
        let mut bridge = Bridge::open("a0", "b0").unwrap();
        let builder = Capture::builder().interface(flooded).ignore_outgoing(true);
        let mut arrived = builder.profile(Profile::LowLatency).build().unwrap();
        let sender = Sender::on(other).unwrap();
        let work = || {
            let flood = Flood::on(flooded, |n| numbered(n, 60)).unwrap();
            // Each is sent once the one before it has arrived.
            for n in 0..50 {
                sender.send(&numbered(n, 100)).unwrap();
                let packets = collect(&mut arrived, 1, LIMIT).unwrap();
                assert_eq!(number(packets[0].data()), Some(n));
            }
            flood.stop()
        };
        let ways = |stats: &netring::bridge::BridgeStats| match flooded {
            "a1" => (stats.a_to_b, stats.b_to_a),
            _ => (stats.b_to_a, stats.a_to_b),
        };
        let (sent, stats) = while_bridged(&mut bridge, work, |stats| {
            let flood = ways(stats).0;
            flood.source.pending() == Some(0) && flood.pending() == 0
        });
        settled(&stats);
        let (flood, back) = ways(&stats);
        assert_eq!(flood.source.offered, Count::Exact(sent));
        assert_eq!(Count::from(flood.received), flood.source.delivered);
        assert_eq!((flood.lost(), back.lost()), (0, 0));
        assert_eq!((back.received, back.forwarded), (50, 50));
    }
}

/// The ring of the capture is the queue: packets for which it has no room are counted separately.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_what_a_full_ring_drops_is_shown_beside_the_books() {
    let _ns = Netns::enter().unwrap();
    wires();
    let port = |name: &str| {
        let (capture, injector) = Port::afpacket_settings(name);
        let capture = capture.block_size(64 << 10).block_count(2);
        Port::new(capture.build().unwrap(), injector.build().unwrap())
    };
    let mut bridge = Bridge::new(port("a0"), port("b0")).unwrap();
    let sender = Sender::on("a1").unwrap();
    // Nobody reads meanwhile.
    for n in 0..1000 {
        sender.send(&numbered(n, 1000)).unwrap();
    }
    let stats = run_until(&mut bridge, |stats| {
        stats.a_to_b.source.pending() == Some(0) && stats.a_to_b.pending() == 0
    });
    settled(&stats);
    let way = stats.a_to_b;
    assert_eq!(way.source.offered, Count::Exact(1000));
    let dropped = way.source.dropped.exact().unwrap();
    assert!(dropped > 0);
    assert_eq!(
        (way.received, way.forwarded),
        (1000 - dropped, 1000 - dropped)
    );
    let said = format!("; {dropped} more dropped by the ring");
    assert!(way.to_string().ends_with(&said), "{way}");
}
