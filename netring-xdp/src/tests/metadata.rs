//! Metadata before packets: the bytes that the kernel wrote before this packet and nothing else,
//! whatever its chunk held earlier.

use super::*;
use crate::program::Metadata;
use std::num::NonZeroU32;

/// Mark, hash and tag are there.
const MARK: u32 = 0x6e72_4d06;

impl Harness {
    /// Writes the metadata of a packet that starts at `start`: its number.
    fn write_before(&self, start: u64, number: u32) {
        let before = (start as usize) - Metadata::LEN;
        let words = self.shared.region().map().atomic_u64s(before, 3).unwrap();
        let pair = |first: [u8; 4], second: u32| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&first);
            bytes[4..].copy_from_slice(&second.to_ne_bytes());
            u64::from_ne_bytes(bytes)
        };
        words[1].store(pair(number.to_ne_bytes(), 0), Ordering::Relaxed);
        let [c0, c1] = (number as u16).to_ne_bytes();
        words[2].store(pair([0x81, 0, c0, c1], MARK), Ordering::Relaxed);
    }

    /// A packet arrives, with metadata or without, if there is a chunk and room for it.
    fn arrive_described(&mut self, fragments: u32, number: u32, writes: bool) -> bool {
        self.kernel.take_fill(fragments);
        let Some(first) = self.kernel.held.front().copied() else {
            return false;
        };
        let held = self.kernel.held.len();
        self.kernel.receive(fragments, 64);
        let came = self.kernel.held.len() < held;
        if came && writes {
            self.write_before(first / 2048 * 2048 + 256, number);
        }
        came
    }
}

fn number(metadata: Option<Metadata>) -> Option<u32> {
    metadata.map(|metadata| {
        let number = metadata.hash.unwrap();
        assert_eq!(metadata.vlan.unwrap().tci, number as u16);
        number
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn metadata_is_what_was_written_before_this_packet(
        chunks in 1_u32..10, multi_buffer: bool, place in prop_oneof![Just(MetadataPlacement::Default), Just(MetadataPlacement::Anywhere)],
        steps in prop::collection::vec((0_u8..6, 1_u32..6, any::<bool>()), 0..200)
    ) {
        let mut harness = harness(chunks, 2, multi_buffer);
        harness.rx.describe(place);
        let mut arrived = VecDeque::new();
        let mut next = 1;
        for (step, n, writes) in steps {
            for _ in 0..n {
                let fragments = if multi_buffer { n.min(2) } else { 1 };
                if harness.arrive_described(fragments, next, writes) {
                    arrived.push_back(writes.then_some(next));
                    next += 1;
                }
            }
            loop {
                let Harness { shared, rx, tx, kernel } = &mut harness;
                if !rx.look() {
                    break;
                }
                let mut lent = rx.lend();
                let shown: Vec<_> = lent.described().map(|(bytes, metadata)| {
                    assert!(bytes.len() % 64 == 0);
                    number(metadata)
                }).collect();
                prop_assert_eq!(lent.frames().count(), shown.len());
                let expected: Vec<_> = arrived.drain(..shown.len()).collect();
                prop_assert_eq!(&shown, &expected);
                match step {
                    0 => drop(lent),
                    1 => { lent.forward(tx, |_| true); }
                    2 => { lent.forward(tx, |_| false); }
                    3 => {
                        let mut at = expected.iter();
                        let mut within = false;
                        while let Some(taken) = lent.take() {
                            // The front of a packet has it, and the rest has not.
                            let described = if within { None } else { at.next().and(NonZeroU32::new(256)) };
                            prop_assert_eq!(taken.described, described);
                            within = taken.continues;
                            shared.return_to_owner(std::iter::once(taken.token));
                        }
                    }
                    4 => {
                        for expected in expected.iter().rev() {
                            arrived.push_front(*expected);
                        }
                        lent.leave_after(1);
                        arrived.pop_front();
                    }
                    _ => {
                        // One is taken, and the others go back with the batch.
                        let taken = lent.take().unwrap();
                        drop(lent);
                        shared.return_to_owner(std::iter::once(taken.token));
                    }
                }
                tx.flush().unwrap();
                kernel.send(shared, RING);
                kernel.complete(RING);
            }
            harness.conserved();
        }
    }

    /// X10: wherever a descriptor points, what is read before its packet is inside its chunk.
    #[test]
    fn x10_nothing_is_read_before_a_chunk(
        place in prop_oneof![Just(MetadataPlacement::Default), Just(MetadataPlacement::Anywhere)],
        descs in prop::collection::vec((0_u64..4 * 2048, 0_u32..2100), 1..8)
    ) {
        let mut harness = harness(RING, 0, false);
        harness.rx.describe(place);
        harness.kernel.take_fill(descs.len() as u32);
        for (addr, len) in &descs {
            harness.write_before((*addr / 8 * 8).max(24), 7);
            let desc = xdp_desc { addr: *addr, len: *len, options: 0 };
            assert!(harness.kernel.rx.writer(1).push(desc));
        }
        harness.rx.look();
        let lent = harness.rx.lend();
        let inside = |(addr, len): &&(u64, u32)| addr % 2048 + u64::from(*len) <= 2048;
        let starts: Vec<_> = descs.iter().filter(inside).map(|(addr, _)| addr % 2048).collect();
        prop_assert_eq!(lent.described().count(), starts.len());
        for (start, (_, metadata)) in starts.iter().zip(lent.described()) {
            let allowed = match place {
                MetadataPlacement::Default => *start == 256,
                MetadataPlacement::Anywhere => *start >= 24,
            };
            prop_assert!(allowed || metadata.is_none());
        }
    }
}
