//! Flows inside tunnels: how deep, in fragments, and what else is read of their packets.

use netring_flow::extract::{Extract, FiveTupleKey, Tunnels, WindowScale};
use netring_flow::{FlowEvent, FlowTracker, TrackerConfig};
use netring_sys::{LinkType, Packet};

use crate::common::{ACK, CLIENT, Frames, SERVER, SYN, at, tcp, udp};
use crate::fragments::part;
use crate::tunnels::{INNER, all, datagram, frame, inner_ip, ip, join, key};

/// This many tunnels around a segment.
fn nested(depth: usize) -> Vec<u8> {
    let packet = (0..depth).fold(inner_ip(), |packet, _| ip(4, &packet));
    frame(0x0800, &packet)
}

#[test]
fn a_depth_bounds_the_tunnels_and_a_bomb_counts_once() {
    for depth in 0..=4 {
        assert!(key(all(), &nested(depth)).starts_with(INNER), "{depth}");
    }
    for (extract, depth) in [
        (all(), 5),
        (all(), 1000),
        (all().with_tunnels(Tunnels::all().max_depth(0)), 1),
        (all().with_tunnels(Tunnels::all().max_depth(255)), 1000),
    ] {
        let frames = [(0.0, nested(depth))];
        let mut tracker = FlowTracker::new(extract);
        let mut events: Vec<FlowEvent<FiveTupleKey>> = Vec::new();
        tracker.track_batch(&Frames(&frames), &mut events);
        let stats = tracker.stats();
        assert_eq!(
            (stats.too_deep, stats.tracked, stats.untracked.total()),
            (1, 1, 0)
        );
        let key = events[0].key().unwrap().to_string();
        assert!(key.starts_with("proto 4 10.0.0.1:0 10.0.0.2:0"), "{key}");
    }
}

#[test]
fn fragments_of_what_carries_a_tunnel_and_of_what_is_inside_follow_the_flow_inside() {
    let mut tracker = FlowTracker::new(all());
    let mut events = Vec::new();
    let mut track = |frame: &[u8]| {
        let packet = Packet::new(frame, at(0.0), LinkType::ETHERNET);
        tracker.track(&packet, &mut events);
    };
    let vxlan = |frame: &[u8]| datagram(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], frame]));
    // What carries it, in two: the second is bytes of the inner payload.
    let long = udp(CLIENT, SERVER, &[7; 120]);
    let outer = frame(0x0800, &vxlan(&long));
    let end = outer.len() - 34;
    track(&part(&outer, 1, 0, 96, true));
    track(&part(&outer, 1, 96, end, false));
    // What is inside, in two.
    let inside = [part(&long, 2, 0, 64, true), part(&long, 2, 64, 128, false)];
    for piece in &inside {
        track(&frame(0x0800, &vxlan(piece)));
    }
    // Both: the first inside in two outside, and the second in one.
    let inside = [part(&long, 3, 0, 64, true), part(&long, 3, 64, 128, false)];
    let outer = frame(0x0800, &vxlan(&inside[0]));
    let end = outer.len() - 34;
    track(&part(&outer, 3, 0, 88, true));
    track(&part(&outer, 3, 88, end, false));
    track(&frame(0x0800, &vxlan(&inside[1])));
    while tracker.finish(&mut events) {}
    let stats = tracker.stats();
    assert_eq!((stats.tracked, stats.flows_started), (7, 1));
    assert_eq!((stats.fragments.first, stats.fragments.followed), (4, 4));
    let FlowEvent::Ended { key, stats, .. } = events.last().unwrap() else {
        panic!("{events:?}")
    };
    assert_eq!(
        key.to_string(),
        "udp 192.0.2.10:443 192.0.2.200:40000 in vxlan 1"
    );
    assert!(!stats.malformed);
}

#[test]
fn a_connection_inside_a_tunnel_is_tracked_with_its_window_scale() {
    let mut syn = tcp(CLIENT, SERVER, 1, 0, SYN, b"");
    // A window scale of 7, and an end of options.
    syn[46] = 0x60;
    syn[17] += 4;
    syn.extend([3, 3, 7, 0]);
    let packet = frame(0x0800, &ip(4, &syn[14..]));
    let packet = Packet::new(&packet, at(0.0), LinkType::ETHERNET);
    let scale = all().window_scale(&packet);
    assert_eq!(scale, WindowScale::shift(7));
}

#[test]
fn an_icmp_error_inside_a_tunnel_is_about_the_flow_inside() {
    let mut tracker = FlowTracker::with_config(all(), TrackerConfig::new()).unwrap();
    let mut events = Vec::new();
    let back = tcp(SERVER, CLIENT, 1, 1, ACK, b"");
    let error = ip(1, &join(&[&[3, 3, 0, 0, 0, 0, 0, 0], &back[14..42]]));
    for inside in [inner_ip(), error] {
        let frame = frame(0x0800, &ip(47, &join(&[&[0, 0, 8, 0], &inside])));
        tracker.track(
            &Packet::new(&frame, at(0.0), LinkType::ETHERNET),
            &mut events,
        );
    }
    assert_eq!(
        (tracker.stats().icmp_errors, tracker.active_flows()),
        (1, 1)
    );
}
