//! Frames in several chunks, and notes about chunks in flight.

use super::*;

/// How many chunks of 2048 bytes a frame takes, if `front` bytes of each do not belong to it.
fn pieces(len: usize, front: usize) -> usize {
    len.div_ceil(2048 - front)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    /// X2, X14: frames are counted as frames whatever they lie in, at any
    /// moment; and a slot is available if there is room for all of it.
    #[test]
    fn x2_long_frames_are_counted_once_and_taken_whole(
        metadata in any::<bool>(),
        steps in prop::collection::vec((0_u8..4, 1_usize..9000, 0_u32..6), 1..60)
    ) {
        let config = UmemConfig::new().transmit_metadata(metadata);
        let mut harness = harness_over(&config, 1, RING, true);
        harness.kernel.wants_calls(false);
        let front = if metadata { 24 } else { 0 };
        let (mut sent, mut committed, mut completed) = (Vec::new(), 0, 0);
        for (step, len, count) in steps {
            match step {
                0 | 1 => {
                    harness.tx.reclaim();
                    // Read again: `room` may know of less.
                    let free = harness.tx.ring_room(RING).min(harness.tx.pool().len()) as usize;
                    let slot = Slot::new(&mut harness.tx, len).unwrap();
                    prop_assert_eq!(slot.is_some(), pieces(len, front) <= free);
                    if let Some(mut slot) = slot {
                        prop_assert_eq!(slot.len(), len);
                        slot.fill(len as u8);
                        slot.commit();
                        sent.extend(std::iter::repeat_n(committed, pieces(len, front)));
                        committed += 1;
                    }
                }
                2 => { harness.tx.flush().unwrap(); }
                _ => {
                    harness.kernel.send(&harness.shared, count);
                    harness.kernel.complete(count);
                    let in_flight = harness.kernel.in_flight.len();
                    completed = harness.kernel.sent.len() - in_flight;
                }
            }
            let done = sent.get(completed).copied().unwrap_or(committed);
            prop_assert_eq!(harness.tx.pending(), committed - done);
            prop_assert_eq!(harness.tx.committed(), committed);
            harness.conserved();
        }
    }
}

/// Packets that are sent on in several chunks are frames too.
#[test]
fn x2_a_packet_that_is_sent_on_in_several_chunks_is_one_frame() {
    let mut harness = harness(RING, 2, true);
    harness.kernel.take_fill(RING);
    harness.kernel.receive(3, 100);
    harness.kernel.receive(1, 100);
    harness.kernel.receive(2, 100);
    assert!(harness.rx.look());
    let done = harness.rx.lend().forward(&mut harness.tx, |_| true);
    assert_eq!(done.sent, 3);
    harness.tx.flush().unwrap();
    for (completed, pending) in [(0, 3), (2, 3), (1, 2), (1, 1), (1, 1), (1, 0)] {
        harness.kernel.send(&harness.shared, completed);
        harness.kernel.complete(completed);
        assert_eq!(harness.tx.pending(), pending);
        harness.conserved();
    }
}

/// With metadata there may be anything before a packet that is sent on, such as what its program
/// left there: it asks for nothing.
#[test]
fn nothing_is_asked_for_by_what_stands_before_a_received_packet() {
    let config = UmemConfig::new().transmit_metadata(true);
    let mut harness = harness_over(&config, 2, 2, false);
    harness.kernel.take_fill(RING);
    harness.kernel.receive(1, 100);
    for chunk in 0..2 {
        let words = harness
            .shared
            .region()
            .map()
            .atomic_u64s(2048 * chunk, 64)
            .unwrap();
        words
            .iter()
            .for_each(|word| word.store(3, Ordering::Relaxed));
    }
    assert!(harness.rx.look());
    assert_eq!(harness.rx.lend().forward(&mut harness.tx, |_| true).sent, 1);
    harness.tx.flush().unwrap();
    assert_eq!(harness.kernel.tx.available(1), 1);
    let desc = harness.kernel.tx.entries(1).next().unwrap();
    assert_eq!(desc.options, 0);
    let base = (desc.addr / 2048 * 2048) as usize;
    let words = harness.shared.region().map().atomic_u64s(base, 64).unwrap();
    let words: Vec<_> = words
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    // Three words before byte 256, and none else.
    let cleared = words.iter().enumerate().filter(|(_, word)| **word == 0);
    assert_eq!(cleared.map(|(n, _)| n).collect::<Vec<_>>(), [29, 30, 31]);
    harness.conserved();
}

/// A packet that a program moved, or a kernel that is not one, may start in the first bytes of its
/// chunk: what stands before it would be in the chunk before. The chunk comes back, and nothing
/// panics.
#[test]
fn a_chunk_whose_packet_starts_too_early_is_not_sent() {
    for (unaligned, size) in [(false, 2048), (true, 3000)] {
        let config = UmemConfig::new().chunk_size(size).unaligned(unaligned);
        let mut harness = harness_over(&config.transmit_metadata(true), 1, 4, false);
        for offset in [0, 1, 23, 24, size - 59, size, u32::MAX] {
            let token = harness.tx.pool().pop().unwrap();
            let sent = harness.tx.stage_token(token, offset, 60, 0, &Request::NONE);
            assert_eq!(sent.is_ok(), offset == 24, "{offset} of {size}");
            if let Err(token) = sent {
                harness.tx.pool().push(token);
            }
        }
        assert_eq!(harness.tx.committed(), 1);
    }
}
