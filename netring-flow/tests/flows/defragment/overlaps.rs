//! Overlapping, repeated and contradictory fragments, and identifications that are used again.

use netring_flow::extract::Piece;
use netring_flow::reassembly::OverlapPolicy;
use netring_flow::{IncompleteStats, TrackerConfig};

use super::{MEMORY, Together, cut, datagram};
use crate::common::{CLIENT, SERVER, udp};
use crate::fragments::{part, v6};

fn incomplete(together: &mut Together) -> IncompleteStats {
    let stats = together.finish();
    assert_eq!(stats.begun, stats.reassembled + stats.incomplete.total());
    stats.incomplete
}

#[test]
fn a_policy_decides_and_overlaps_are_counted() {
    // In units of eight bytes, of a datagram without a checksum.
    let mut frame = udp(CLIENT, SERVER, &[0; 32]);
    frame[40..42].fill(0);
    let piece = |letter: u8, start: usize, end: usize, more| {
        let mut fragment = part(&frame, 5, start * 8, end * 8, more);
        fragment[34..].fill(letter);
        fragment
    };
    let header = part(&frame, 5, 0, 8, true);
    for (policy, expected) in [
        (OverlapPolicy::First, "aaab"),
        (OverlapPolicy::Last, "ccbb"),
        (OverlapPolicy::Linux, "aabb"),
    ] {
        let config = TrackerConfig::new()
            .defragment(MEMORY)
            .fragment_overlap(policy);
        let mut together = Together::with(config);
        let pieces = match policy {
            OverlapPolicy::Linux => [piece(b'b', 2, 5, true), piece(b'a', 1, 3, true)],
            _ => [piece(b'a', 1, 4, true), piece(b'c', 1, 3, true)],
        };
        together.frames(&pieces);
        together.frames(&[header.clone(), piece(b'b', 3, 5, false)]);
        let got = together.together();
        let got: String = got[0]
            .iter()
            .step_by(8)
            .map(|byte| char::from(*byte))
            .collect();
        assert_eq!(got, expected, "{policy}");
        assert_eq!(together.tracker.stats().fragments.overlapping, 2);
    }
}

#[test]
fn overlapping_ipv6_fragments_discard_the_packet_and_a_repetition_does_not() {
    let mut together = Together::new();
    together.frames(&[
        v6(1, 0, 40, true),
        v6(1, 0, 40, true),
        v6(1, 40, 100, false),
    ]);
    assert_eq!(together.together().len(), 1);
    together.frames(&[
        v6(2, 0, 40, true),
        v6(2, 32, 64, true),
        v6(2, 40, 100, false),
    ]);
    assert_eq!(together.together().len(), 1);
    assert_eq!(together.pieces()[4..], [Piece::Later, Piece::Later]);
    assert_eq!(incomplete(&mut together).overlapping, 1);
}

#[test]
fn contradictory_ends_give_the_packet_up() {
    let (_, fragments) = datagram(1, 120, 40);
    let frame = udp(CLIENT, SERVER, &[7; 200]);
    for wrong in [
        part(&frame, 1, 120, 126, false),
        part(&frame, 1, 80, 100, false),
        part(&frame, 1, 160, 168, true),
    ] {
        let mut together = Together::new();
        together.frames(&[fragments[0].clone(), fragments[3].clone(), wrong]);
        together.frames(&fragments[1..3]);
        assert!(together.together().is_empty());
        assert_eq!(incomplete(&mut together).contradictory, 1);
    }
    // More than an IP packet can have.
    let mut together = Together::new();
    together.frames(&[fragments[0].clone(), part(&frame, 1, 65_512, 65_520, false)]);
    assert_eq!(incomplete(&mut together).contradictory, 1);
}

#[test]
fn f20_an_identification_used_again_gives_two_packets_or_a_count_and_never_a_mixture() {
    let (first, of_first) = datagram(1, 92, 40);
    let second: Vec<u8> = first.iter().map(|byte| byte ^ 0x55).collect();
    let of_second = cut(&udp(CLIENT, SERVER, &second), 1, 40);
    let [a, b, c] = &of_first[..] else { panic!() };
    let [x, y, z] = &of_second[..] else { panic!() };

    // One after the other, in both orders of the fragments.
    let mut together = Together::new();
    together.frames(&of_first);
    together.frames(&of_second);
    assert_eq!(together.together(), [first.clone(), second.clone()]);
    let mut together = Together::new();
    together.frames(&[c, b, a, z, y, x].map(Clone::clone));
    assert_eq!(together.together(), [first.clone(), second.clone()]);

    // A repeated fragment between them is of the first.
    let mut together = Together::new();
    together.frames(&[a, b, c, c, b, x, y, z].map(Clone::clone));
    assert_eq!(together.together(), [first.clone(), second.clone()]);
    assert_eq!(together.finish().begun, 2);

    // The first is incomplete.
    let mut together = Together::new();
    together.frames(&[a, x, y, z].map(Clone::clone));
    assert!(together.together().is_empty());
    assert_eq!(incomplete(&mut together).mixed, 1);

    // Of another flow.
    let other = cut(&udp("192.0.2.200:5", SERVER, &second), 1, 40);
    let mut together = Together::new();
    together.frames(&[a.clone(), b.clone()]);
    together.frames(&other);
    assert_eq!(together.together(), [second]);
    assert_eq!(incomplete(&mut together).reused, 1);
}

#[test]
fn the_same_packet_again_is_shown_again() {
    let (payload, fragments) = datagram(1, 92, 40);
    let mut together = Together::new();
    together.frames(&fragments);
    together.frames(&fragments);
    assert_eq!(together.together(), [payload.clone(), payload]);
}
