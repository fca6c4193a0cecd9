//! Memory under hostile fragments.

use netring_flow::TrackerConfig;

use super::{Together, datagram};
use crate::common::{CLIENT, SERVER, udp};
use crate::counting::allocated;
use crate::fragments::part;

const BOUND: usize = 512 << 10;

/// Of what is allocated besides: the flow, the tables of fragments that are not reassembled, the
/// packet that is shown, and what the test itself keeps.
const BESIDES: usize = 3_900_000 + 4096 * 1200 + (64 << 10);

fn hostile(frames: impl Iterator<Item = Vec<u8>>) -> Together {
    let mut together = Together::with(TrackerConfig::new().max_flows(64).defragment(BOUND));
    let before = allocated();
    for (number, frame) in frames.enumerate() {
        together.frame(number as f64 * 1e-6, &frame);
        together.shown.0.clear();
        let stats = together.stats();
        assert!(stats.memory <= BOUND as u64, "{stats:?}");
        let more = allocated().saturating_sub(before);
        assert!(more <= BOUND + BESIDES, "{more}");
    }
    together
}

/// A frame with this number in its source address and its identification.
fn numbered(number: u32, mut frame: Vec<u8>) -> Vec<u8> {
    frame[26..30].copy_from_slice(&(number >> 8).to_be_bytes());
    frame[18..20].copy_from_slice(&(number as u16).to_be_bytes());
    frame
}

#[test]
fn floods_of_packets_that_are_never_complete() {
    let frame = udp(CLIENT, SERVER, &[7; 2000]);
    for (start, end, more) in [
        (0, 1480, true),
        (0, 8, true),
        (1480, 2008, false),
        (8, 16, true),
    ] {
        let piece = part(&frame, 1, start, end, more);
        let mut together = hostile((0..50_000).map(|number| numbered(number, piece.clone())));
        let stats = together.finish();
        assert_eq!(stats.begun, 50_000);
        let most = (BOUND / 4096) as u64;
        assert!(stats.incomplete.displaced >= 50_000 - most, "{stats:?}");
    }
}

#[test]
fn a_last_fragment_far_away_takes_its_own_bytes_only() {
    let frame = udp(CLIENT, SERVER, &[7; 40]);
    let far = part(&frame, 1, 65_504, 65_512, false);
    let together = hostile((0..100).map(|number| numbered(number, far.clone())));
    let stats = together.stats();
    assert_eq!(stats.open, 100);
    assert!(stats.memory <= 100 * 1000, "{stats:?}");
}

#[test]
fn a_packet_in_the_smallest_fragments_backwards_and_with_holes() {
    // 65,504 bytes in 8188 fragments, and the same without every second one.
    let (payload, fragments) = datagram(1, 65_496, 8);
    let mut together = hostile(fragments.iter().rev().cloned());
    assert_eq!(together.stats().reassembled, 1);
    together.shown.0.clear();
    together.frames(&fragments);
    assert_eq!(together.together(), [payload]);
    let holes = fragments.iter().step_by(2).cloned();
    let stats = hostile(holes).stats();
    assert_eq!((stats.open, stats.reassembled), (1, 0));
}

/// Each over half of the packet, and over fifty runs with holes between them.
#[test]
fn overlapping_fragments_take_no_more_memory_than_the_packet() {
    let (_, mut fragments) = datagram(1, 1400, 8);
    fragments.truncate(100);
    let frame = udp(CLIENT, SERVER, &[7; 1400]);
    let wide: Vec<_> = (0..100)
        .map(|at| part(&frame, 1, at * 8, at * 8 + 600, true))
        .collect();
    let holes = fragments.into_iter().step_by(2);
    let again = (0..2000).map(|number| wide[number % 100].clone());
    let together = hostile(holes.chain(again));
    let stats = together.stats();
    assert_eq!(stats.open, 1);
    assert!(stats.memory < 10_000, "{stats:?}");
}

#[test]
fn a_packet_larger_than_the_bound_is_given_up() {
    let mut together = Together::with(TrackerConfig::new().defragment(10_000));
    let (_, fragments) = datagram(1, 20_000, 1480);
    together.frames(&fragments);
    assert!(together.together().is_empty());
    let (payload, fragments) = datagram(2, 5000, 1480);
    together.frames(&fragments);
    assert_eq!(together.together(), [payload]);
    let stats = together.finish();
    assert_eq!((stats.incomplete.displaced, stats.begun), (1, 2));
}
