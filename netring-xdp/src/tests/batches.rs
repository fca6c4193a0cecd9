//! The fast paths of batches: read whole, forwarded, sent together. Each has the same result as the
//! slow path.

use super::*;

/// As many chunks as the ring has entries: both rings wrap at the same place, and batches are
/// in one run.
fn in_phase() -> Harness {
    harness(RING, RING, false)
}

impl Harness {
    /// Packets of these lengths are in the receive ring; 0 for one that points outside.
    fn arrive(&mut self, lens: &[u32]) {
        self.kernel.take_fill(lens.len() as u32);
        for len in lens {
            if *len > 0 {
                self.kernel.receive(1, *len);
            } else {
                let (addr, len, options) = (u64::MAX, 64, 0);
                let forged = xdp_desc { addr, len, options };
                assert!(self.kernel.rx.writer(1).push(forged));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    /// X10, S18: `for_each` and a `for` loop yield the same, a batch that was read is returned like
    /// one that was not, and all count the same, whatever points outside.
    #[test]
    fn x10_every_way_through_a_batch_is_the_same(
        batches in prop::collection::vec((prop::collection::vec(0_usize..4, 1..9), 0_u8..5), 1..12)
    ) {
        let mut harness = in_phase();
        let (mut good, mut bad) = (0, 0);
        for (lens, way) in batches {
            // The last fills its chunk.
            let lens: Vec<_> = lens.iter().map(|&len| [0, 700, 1400, 1792][len]).collect();
            harness.arrive(&lens);
            let expected: Vec<_> = lens.iter().copied().filter(|len| *len > 0).collect();
            let mut shown = Vec::new();
            // A batch may end where a ring wraps.
            while harness.rx.look() {
                let lent = harness.rx.lend();
                match way {
                    // Not read; and not to the end.
                    0 => {}
                    1 => { lent.frames().next(); }
                    2 => lent.frames().for_each(|frame| shown.push(frame.len() as u32)),
                    3 => {
                        // Twice, and one within the other.
                        for frame in lent.frames() {
                            prop_assert!(lent.frames().count() > 0);
                            shown.push(frame.len() as u32);
                        }
                    }
                    _ => {
                        let mut frames = lent.frames();
                        shown.extend(frames.next().map(|frame| frame.len() as u32));
                        for frame in frames {
                            shown.push(frame.len() as u32);
                        }
                    }
                }
            }
            if way > 1 {
                prop_assert_eq!(&shown, &expected);
            }
            good += expected.len() as u64;
            bad += (lens.len() - expected.len()) as u64;
            prop_assert_eq!((harness.rx.delivered(), harness.rx.invalid()), (good, bad));
            // The kernel keeps a chunk whose place a forged entry took; all others can be received
            // in again.
            let fill = harness.kernel.fill.available(RING);
            let left = harness.kernel.held.len() as u32;
            prop_assert_eq!(fill + left, RING);
            let given: BTreeSet<_> = harness.kernel.chunks().into_iter().collect();
            prop_assert_eq!(given.len(), RING as usize, "no chunk is with the kernel twice");
        }
    }
}

/// Behind the last packet there is none however often `next` is called, also where packets may have
/// several chunks.
#[test]
fn a_batch_that_is_at_its_end_stays_there() {
    for multi_buffer in [false, true] {
        let mut harness = harness(RING, 0, multi_buffer);
        harness.rx.look();
        harness.arrive(&[100, 200]);
        harness.rx.look();
        let lent = harness.rx.lend();
        let mut frames = lent.frames();
        assert_eq!(frames.by_ref().count(), 2);
        let at = frames.at();
        for _ in 0..10 {
            assert_eq!(frames.next(), None);
        }
        assert_eq!(frames.at(), at);
    }
}

/// A batch that was read, and of which a packet was taken then, gives back the others and not
/// that one.
#[test]
fn x1_a_packet_that_is_taken_after_a_look_is_not_given_back() {
    let mut harness = in_phase();
    harness.arrive(&[100, 200, 300]);
    harness.rx.look();
    let mut lent = harness.rx.lend();
    assert_eq!(lent.frames().count(), 3);
    let taken = lent.take().unwrap();
    assert_eq!(taken.len, 100);
    drop(lent);
    harness.shared.user.store(1, Ordering::Relaxed);
    harness.conserved();
    assert_eq!(harness.shared.census().fill, RING - 1);
    let mut given: Vec<_> = harness.kernel.chunks();
    given.sort_unstable();
    given.dedup();
    assert!(
        !given.contains(&u64::from(taken.token.chunk())),
        "{given:?}"
    );
    harness.shared.return_to_owner(std::iter::once(taken.token));
    harness.shared.user.store(0, Ordering::Relaxed);
}

/// A caller that forwards only when packets arrive still gets its chunks back, however few there
/// are: completions do not stay in the ring.
#[test]
fn a_forwarder_does_not_starve() {
    for chunks in 1..=RING {
        let mut harness = harness(chunks, 1, false);
        let mut sent = 0;
        for _ in 0..100 {
            let Harness {
                shared,
                rx,
                tx,
                kernel,
            } = &mut harness;
            kernel.take_fill(RING);
            kernel.receive(1, 100);
            if rx.look() {
                sent += rx.lend().forward(tx, |_| true).sent;
                tx.flush().unwrap();
                kernel.send(shared, RING);
                kernel.complete(RING);
                // In copy mode the call of a flush completes what it sends.
                tx.flush().unwrap();
            }
            harness.conserved();
        }
        // With a single one it is under way every other time.
        assert!(sent >= 50, "{sent} with {chunks} chunks");
    }
}

/// Unwanted packets go back to the kernel; wanted ones go out, in order.
#[test]
fn what_is_sent_on_and_what_is_not_go_their_ways() {
    let mut harness = in_phase();
    harness.arrive(&[100, 200, 300, 400]);
    harness.rx.look();
    let mut shown = Vec::new();
    let forwarded = harness.rx.lend().forward(&mut harness.tx, |bytes| {
        shown.push(bytes.len());
        bytes.len() % 200 == 0
    });
    assert_eq!(shown, [100, 200, 300, 400], "each once");
    assert_eq!((forwarded.sent, forwarded.refused), (2, 0));
    assert_eq!(harness.rx.delivered(), 4);
    harness.conserved();
    assert_eq!(
        (
            harness.shared.census().transmit,
            harness.shared.census().fill
        ),
        (2, RING - 2)
    );
    harness.tx.flush().unwrap();
    let count = harness.kernel.tx.available(RING);
    let lens: Vec<_> = harness
        .kernel
        .tx
        .entries(count)
        .map(|desc| desc.len)
        .collect();
    assert_eq!(lens, [200, 400]);
}

/// Frames that are written together come out as they were written, also where the ring wraps
/// in between; a length that cannot be ends it, and what was before is sent.
#[test]
fn frames_written_together_are_sent() {
    let mut harness = harness(1, RING, false);
    let (mut number, mut expected) = (0_u64, Vec::new());
    for round in 0..20 {
        let (count, bad) = harness.tx.write_each(5, |bytes| {
            bytes[..8].copy_from_slice(&number.to_ne_bytes());
            expected.push(number.to_ne_bytes().to_vec());
            number += 1;
            60
        });
        assert_eq!((count, bad), (5, None), "{round}");
        harness.conserved();
        assert_eq!(harness.shared.census().transmit, 5);
        harness.tx.flush().unwrap();
        harness.kernel.send(&harness.shared, RING);
        harness.kernel.complete(RING);
    }
    assert_eq!(harness.kernel.sent, expected);
    for bad in [0, 2049, usize::MAX] {
        let mut lens = [60, bad, 60].into_iter();
        let done = harness.tx.write_each(3, |_| lens.next().unwrap());
        assert_eq!(done, (1, Some(bad)));
        // None of the others is the one that is under way.
        assert_eq!(harness.tx.write_each(100, |_| 60), (RING - 1, None));
        harness.tx.flush().unwrap();
        harness.conserved();
        harness.tx.flush().unwrap();
        harness.kernel.send(&harness.shared, RING);
        harness.kernel.complete(RING);
    }
    // More than there are.
    assert_eq!(harness.tx.write_each(100, |_| 60), (RING, None));
    assert_eq!(harness.tx.write_each(1, |_| 60), (0, None));
    harness.conserved();
}
