//! Fragments of what carries a tunnel, and of what is inside.

use netring_flow::extract::{FiveTuple, Piece, Tunnels};
use netring_flow::{FlowTracker, TrackerConfig};

use super::{All, MEMORY, Together, cut};
use crate::common::{CLIENT, SERVER, udp};

/// A frame in a VXLAN of number 1, between two other hosts.
fn vxlan(frame: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], frame].concat();
    udp("198.51.100.1:50000", "198.51.100.2:4789", &payload)
}

fn inside() -> Together {
    let extract = FiveTuple::bidirectional()
        .with_tunnels(Tunnels::all())
        .with_tunnel_id();
    let config = TrackerConfig::new().defragment(MEMORY);
    Together {
        tracker: FlowTracker::with_config(extract, config).unwrap(),
        shown: All::default(),
    }
}

#[test]
fn what_is_inside_is_reassembled_whichever_was_fragmented() {
    let payload: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let datagram = udp(CLIENT, SERVER, &payload);
    // What carries it.
    let outer = cut(&vxlan(&datagram), 1, 1480);
    // What is inside.
    let inner: Vec<_> = cut(&datagram, 2, 1400)
        .iter()
        .map(|frame| vxlan(frame))
        .collect();
    // Both: each fragment inside in several outside, but for the last.
    let both = cut(&datagram, 3, 1400);
    let both = both.iter().zip(4..);
    let both: Vec<_> = both
        .flat_map(|(frame, id)| cut(&vxlan(frame), id, 600))
        .collect();
    for (frames, packets) in [(outer, 1), (inner, 1), (both.clone(), 3)] {
        let mut together = inside();
        together.frames(&frames);
        assert_eq!(together.together(), std::slice::from_ref(&payload));
        let last = together.shown.0.last().unwrap();
        assert_eq!(last.piece, Piece::Reassembled);
        assert_eq!(last.key, "udp 192.0.2.10:443 192.0.2.200:40000 in vxlan 1");
        let stats = together.finish();
        assert_eq!((stats.begun, stats.reassembled), (packets, packets));
        assert_eq!(together.tracker.stats().tracked, frames.len() as u64);
    }
    // The last fragment inside first.
    let mut together = inside();
    let backwards: Vec<_> = both.iter().rev().cloned().collect();
    together.frames(&backwards);
    let stats = together.finish();
    assert_eq!(stats.begun, stats.reassembled + stats.incomplete.total());
}

#[test]
fn a_first_fragment_that_does_not_reach_into_the_tunnel_leaves_the_packet_to_what_carries_it() {
    let frame = vxlan(&udp(CLIENT, SERVER, b"inside"));
    let mut together = inside();
    together.frames(&cut(&frame, 1, 24));
    let last = together.shown.0.last().unwrap();
    assert_eq!(last.piece, Piece::Reassembled);
    assert_eq!(last.key, "udp 198.51.100.1:50000 198.51.100.2:4789");
    assert_eq!(last.payload, frame[42..]);
}
