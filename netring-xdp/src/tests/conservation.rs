//! No chunk is lost or doubled, whatever the kernel does in what order.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn x2_chunks_are_conserved_whatever_happens_in_whatever_order(
        receive_chunks in 1_u32..20, transmit_chunks in 0_u32..20, multi_buffer: bool, described: bool,
        steps in prop::collection::vec((0_u8..11, 1_u32..10), 0..150)
    ) {
        let mut harness = harness(receive_chunks, transmit_chunks, multi_buffer);
        if described {
            harness.rx.describe(MetadataPlacement::Default);
        }
        let mut held = Vec::new();
        for (step, n) in steps {
            let Harness { shared, rx, tx, kernel } = &mut harness;
            match step {
                0 => kernel.take_fill(n),
                1 => kernel.receive(if multi_buffer { n.min(3) } else { 1 }, n * 100),
                2 => kernel.send(shared, n),
                3 => kernel.complete(n),
                4 => if rx.look() {
                    let lent = rx.lend();
                    prop_assert!(lent.frames().all(|bytes| bytes.len() % 100 == 0));
                },
                5 => {
                    rx.look();
                    let mut lent = rx.lend();
                    held.extend((0..n).map_while(|_| lent.take()));
                },
                6 => {
                    rx.look();
                    rx.lend().forward(tx, |bytes| bytes.len() != 300);
                },
                7 => for taken in held.drain(..) {
                    let (token, offset) = (taken.token, taken.offset);
                    if let Err(token) = tx.stage_token(token, offset, taken.len.max(1), 0, &Request::NONE) {
                        shared.return_to_owner(std::iter::once(token));
                    }
                },
                8 => for _ in 0..n {
                    if tx.room() > 0 && let Some(token) = tx.pool().pop() {
                        prop_assert!(tx.stage_token(token, 0, 60, 0, &Request::NONE).is_ok());
                        tx.publish_count();
                    }
                },
                9 => { tx.flush().unwrap(); },
                _ => {
                    rx.look();
                    rx.lend().leave_after(u64::from(n));
                },
            }
            shared.user.store(held.len() as u32, Ordering::Relaxed);
            harness.conserved();
        }
        // Every chunk returns to its owner.
        harness.shared.return_to_owner(held.drain(..).map(|taken| taken.token));
        harness.shared.user.store(0, Ordering::Relaxed);
        for _ in 0..20 {
            harness.tx.flush().unwrap();
            harness.kernel.send(&harness.shared, RING);
            harness.kernel.complete(RING);
            harness.tx.reclaim();
            while harness.rx.look() {
                drop(harness.rx.lend());
            }
        }
        harness.conserved();
        let census = harness.shared.census();
        let held_by_kernel = harness.kernel.held.len() as u32;
        prop_assert_eq!(census.pool + census.fill + held_by_kernel, receive_chunks + transmit_chunks);
    }
}

/// X6: the driver parks itself until it is woken for new chunks, and a loop that only receives
/// wakes it.
#[test]
fn x6_a_driver_that_parks_is_woken_by_receiving_alone() {
    let mut harness = harness(8, 0, false);
    harness.kernel.wants_calls(true);
    let mut received = 0;
    for _ in 0..100 {
        let Harness { rx, kernel, .. } = &mut harness;
        let before = rx.kicks();
        if rx.look() {
            received += rx.lend().frames().count();
        }
        // It runs when it is called, and only then.
        if rx.kicks() > before {
            kernel.take_fill(RING);
            for _ in 0..RING {
                kernel.receive(1, 64);
            }
        }
    }
    assert!(received >= 10 * RING as usize, "{received}");
    assert_eq!(harness.rx.delivered(), received as u64);
    // One that runs by itself is not called.
    harness.kernel.wants_calls(false);
    let before = harness.rx.kicks();
    for _ in 0..100 {
        harness.rx.look();
    }
    assert_eq!(harness.rx.kicks(), before);
    harness.conserved();
}

/// X5: frames that are pending are kicked again, also when nothing new was queued.
#[test]
fn x5_a_flush_kicks_for_what_is_pending() {
    let mut harness = harness(1, 4, false);
    harness.kernel.wants_calls(true);
    for _ in 0..3 {
        let token = harness.tx.pool().pop().unwrap();
        harness
            .tx
            .stage_token(token, 0, 60, 0, &Request::NONE)
            .unwrap();
    }
    harness.tx.publish_count();
    assert_eq!(harness.tx.flush().unwrap(), 3);
    assert_eq!(harness.kernel.calls(), 1);
    assert_eq!(harness.tx.flush().unwrap(), 3);
    assert_eq!(harness.kernel.calls(), 1);
    harness.kernel.send(&harness.shared, 3);
    assert_eq!(harness.tx.flush().unwrap(), 0);
    assert_eq!(harness.kernel.calls(), 0, "nothing is pending");
    harness.conserved();
}

/// X8: completions never come; the wait ends in time, and reports how many frames are in flight.
#[test]
fn x8_a_drain_without_completions_ends_in_time_and_says_how_many_are_in_flight() {
    let Harness {
        tx,
        mut kernel,
        shared,
        ..
    } = harness(1, 6, false);
    let mut injector = XdpInjector::new(tx);
    for n in 0..5_u8 {
        let mut slot = injector.slot(60).unwrap().unwrap();
        slot.fill(n);
        slot.commit();
    }
    injector.flush().unwrap();
    // Two are taken, of which one is done; three are not even taken.
    kernel.send(&shared, 2);
    kernel.complete(1);
    let start = Instant::now();
    assert_eq!(injector.drain(Duration::from_millis(60)).unwrap(), 5 - 1);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(60) && took < Duration::from_millis(500),
        "{took:?}"
    );
    assert_eq!(injector.census().total(), 7);
    // Once they come, all is well. (The one that was taken is with the kernel yet.)
    kernel.send(&shared, 8);
    kernel.complete(8);
    assert_eq!(injector.drain(Duration::from_millis(60)).unwrap(), 0);
    assert_eq!(
        kernel.sent,
        (0..5_u8).map(|n| vec![n; 8]).collect::<Vec<_>>()
    );
}

/// X10, S18: whatever a descriptor says, nothing outside a chunk is lent, and what is not a chunk
/// goes to nobody.
#[test]
fn x10_forged_descriptors_are_counted_and_go_nowhere() {
    let mut harness = harness(8, 4, false);
    harness.kernel.take_fill(4);
    let forged = [
        (u64::MAX, 64),
        (12 * 2048, 64),
        (2047, 2),
        (0, u32::MAX),
        (1 << 48, 64),
    ];
    for (addr, len) in forged {
        assert!(harness.kernel.rx.writer(1).push(xdp_desc {
            addr,
            len,
            options: 0
        }));
    }
    harness.kernel.receive(1, 100);
    assert!(harness.rx.look());
    let lent = harness.rx.lend();
    assert_eq!(lent.frames().map(<[u8]>::len).collect::<Vec<_>>(), [100]);
    drop(lent);
    assert_eq!((harness.rx.delivered(), harness.rx.invalid()), (1, 5));
    for addr in [u64::MAX, 12 * 2048] {
        harness.kernel.completion.writer(1).push(addr);
    }
    assert_eq!(harness.tx.reclaim(), 2);
    assert_eq!(harness.tx.pool().len(), 4);
}

/// S17: what is received never takes a chunk that frames are sent from, and the reverse.
#[test]
fn s17_receiving_and_sending_have_chunks_of_their_own() {
    let mut harness = harness(6, 4, false);
    // A flood that nobody reads has all of its chunks.
    harness.kernel.take_fill(RING);
    for _ in 0..20 {
        harness.kernel.receive(1, 64);
    }
    assert_eq!(harness.shared.census().receive, 6);
    assert_eq!(harness.tx.room(), 4);
    // Forwarding uses only the chunks of received packets.
    harness.rx.look();
    let forwarded = harness.rx.lend().forward(&mut harness.tx, |_| true);
    assert_eq!((forwarded.sent, forwarded.refused), (6, 0));
    assert_eq!(harness.tx.pool().len(), 4);
    harness.tx.flush().unwrap();
    harness.kernel.send(&harness.shared, RING);
    harness.kernel.complete(RING);
    harness.tx.reclaim();
    assert_eq!(harness.tx.pool().len(), 4, "they returned to their owner");
    harness.rx.look();
    let census = harness.shared.census();
    assert_eq!((census.fill, census.pool), (6, 4));
    harness.conserved();
}
