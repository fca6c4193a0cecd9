//! The kernel's TCP through a bridge: the bytes are equal, and the figures match those of the
//! interfaces of both hosts.

use std::os::fd::AsFd;
use std::time::Duration;

use netring::bridge::{Bridge, BridgeStats, Port};
use netring::{Capture, Count, Error, Injector, Interface, PacketSink, PacketSource, Profile};
use xtask::netns::ip;

use super::hosts::{Hosts, converse, hosts, hosts_with_mtu};
use super::{balanced, settled, while_bridged};

/// Lets the hosts talk through the bridge, and compares its counts with their interfaces.
fn talk<S, K, T, L>(
    hosts: &Hosts,
    bridge: &mut Bridge<Port<S, K>, Port<T, L>>,
    time: Duration,
    to: &str,
) -> BridgeStats
where
    S: PacketSource + AsFd + Send,
    K: PacketSink + Send,
    T: PacketSource + AsFd + Send,
    L: PacketSink + Send,
{
    let before = hosts.counted();
    let since = || {
        let now = hosts.counted();
        [0, 1].map(|host| (now[host].0 - before[host].0, now[host].1 - before[host].1))
    };
    let is_quiet = |stats: &BridgeStats| {
        let [a, b] = since();
        let ways = [(&stats.a_to_b, a.0, b.1), (&stats.b_to_a, b.0, a.1)];
        ways.iter().all(|(way, sent, arrived)| {
            way.source.offered == Count::Exact(*sent)
                && way.received == *sent
                && way.pending() == 0
                && way.forwarded == *arrived
        })
    };
    let (blocks, stats) = while_bridged(bridge, || converse(hosts, to, time), is_quiet);
    settled(&stats);
    assert!(blocks.0 > 0 && blocks.1 > 0, "{blocks:?}");
    for way in [&stats.a_to_b, &stats.b_to_a] {
        assert_eq!((way.lost(), way.dropped, way.outgoing), (0, 0, 0), "{way}");
        assert_eq!(way.source.dropped, Count::Exact(0), "{way}");
    }
    stats
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_tcp_flows_both_ways_at_the_rate_of_the_wire() {
    let hosts = hosts();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let stats = talk(&hosts, &mut bridge, Duration::from_secs(3), "10.9.0.2");
    // A segmented packet counts as one frame here too.
    assert_eq!((stats.a_to_b.split, stats.b_to_a.split), (0, 0));
    assert_eq!(stats.a_to_b.forwarded, stats.a_to_b.received);
}

/// A sink that computes nothing gets segments and checksums made by the bridge.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tcp_is_segmented_for_a_sink_that_does_not_do_it() {
    for knows_sizes in [true, false] {
        let hosts = hosts();
        let port = |name: &str| {
            let capture = Capture::builder().interface(name).promiscuous(true);
            let capture = capture.profile(Profile::LowLatency).ignore_outgoing(true);
            let capture = capture.offload_state(knows_sizes).build()?;
            Ok::<_, Error>(Port::new(capture, Injector::open(name)?))
        };
        let mut bridge = Bridge::new(port("a0").unwrap(), port("b0").unwrap()).unwrap();
        let stats = talk(&hosts, &mut bridge, Duration::from_secs(1), "10.9.0.2");
        for way in [&stats.a_to_b, &stats.b_to_a] {
            assert!(way.split > 0, "{way}");
            assert_eq!(way.forwarded, way.received + way.split);
        }
    }
}

/// Frames of a host with a larger MTU do not fit the other wire: a bridge does not fragment them,
/// and does not notify their sender.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_connection_with_segments_too_long_for_the_other_side_is_counted() {
    let hosts = hosts_with_mtu(9000);
    ip("link set dev b0 mtu 1500").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let connected = || {
        hosts.b.run(|| {
            let listener = std::net::TcpListener::bind("10.9.0.2:7000")?;
            std::thread::scope(|scope| {
                let client = scope.spawn(|| {
                    hosts.a.run(|| {
                        use std::io::Write;
                        let mut stream = std::net::TcpStream::connect("10.9.0.2:7000")?;
                        // A super-packet of a few segments, each of 9000 bytes.
                        stream.write_all(&[7; 40_000])?;
                        Ok(stream)
                    })
                });
                let (server, _) = listener.accept()?;
                client.join().unwrap().map(|stream| (stream, server))
            })
        })
    };
    let is_refused = |stats: &BridgeStats| stats.a_to_b.refused.too_long > 0;
    let (streams, stats) = while_bridged(&mut bridge, connected, is_refused);
    drop(streams);
    balanced(&stats.a_to_b);
    let refused = stats.a_to_b.refused;
    assert_eq!(refused.total(), refused.too_long);
    assert_eq!(Interface::by_name("b0").unwrap().counters.tx_dropped, 0);
}
