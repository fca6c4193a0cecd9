//! The ring without a kernel.
//!
//! # Safety
//! The invariant of this file: the thread that acts as the kernel outlives no mapping, and accesses
//! a slot only while its status gives it to that thread.
#![expect(unsafe_code, reason = "acts as the kernel; the invariant stands above")]

use super::*;

impl Ring {
    /// Acts as the kernel: takes up to `count` frames, which it then sends, and returns them.
    pub(crate) fn take(&self, head: &mut usize, count: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let start = self.start_of(*head % self.slots);
            if self.word(start).load(Ordering::Acquire) != TP_STATUS_SEND_REQUEST {
                break;
            }
            taken.push(self.committed(start).to_vec());
            self.word(start).store(TP_STATUS_SENDING, Ordering::Release);
            *head += 1;
        }
        taken
    }

    /// Acts as the kernel: sets the status of a slot.
    pub(crate) fn set_status(&self, slot: usize, status: u32) {
        let start = self.start_of(slot % self.slots);
        self.word(start).store(status, Ordering::Release);
    }

    fn start_of(&self, slot: usize) -> usize {
        slot / self.per_block * self.block_size + slot % self.per_block * self.slot_size
    }

    /// A ring that no kernel reads.
    pub(crate) fn without_kernel(blocks: usize, slot_size: usize, vnet: bool) -> Self {
        let geometry = RingGeometry {
            block_size: 4096,
            block_count: blocks,
            requested_blocks: blocks,
            slot_size: Some(slot_size),
        };
        Self::new(Mmap::anonymous(geometry.bytes()).unwrap(), geometry, vnet)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.frame_mut(bytes.len()).copy_from_slice(bytes);
        self.commit(bytes.len(), &virtio_net_hdr::default());
    }
}

/// Three slots of 1360 bytes leave 16 bytes of a block over, and none divides a page.
#[test]
fn s1_slots_go_round_in_order_and_the_remainder_of_a_block_is_skipped() {
    for vnet in [false, true] {
        let mut ring = Ring::without_kernel(2, 1360, vnet);
        let (mut head, mut starts) = (0, Vec::new());
        for round in 0..20_u8 {
            assert_eq!((ring.room(), ring.used), (6, 0));
            starts.push(ring.next.start);
            let frame = vec![round; 100 + usize::from(round)];
            ring.put(&frame);
            assert_eq!(ring.waiting(), 1);
            assert_eq!(ring.take(&mut head, 9), [frame]);
            assert_eq!((ring.waiting(), ring.reclaim()), (0, 0));
            // A timestamp stays in the status of a slot that is done.
            ring.set_status(usize::from(round), TP_STATUS_AVAILABLE | 1 << 29);
            assert_eq!(ring.reclaim(), 1);
        }
        let expected = [0, 1360, 2720, 4096, 5456, 6816];
        assert!(starts.iter().eq(expected.iter().cycle().take(20)));
    }
}

#[test]
fn s2_the_kernel_takes_frames_in_the_order_of_their_commits() {
    let mut ring = Ring::without_kernel(1, 256, false);
    let mut head = 0;
    for n in 0..16_u8 {
        // A frame that is written and not committed leaves no trace.
        ring.frame_mut(50).fill(0xee);
        ring.put(&[n; 20]);
    }
    assert_eq!(ring.room(), 0);
    for taken in 0..16 {
        assert_eq!(ring.waiting(), 16 - taken);
        assert_eq!(ring.take(&mut head, 1), [vec![taken as u8; 20]]);
    }
    // Done out of order: slots are free in order.
    ring.set_status(1, TP_STATUS_AVAILABLE);
    assert_eq!(ring.reclaim(), 0);
    ring.set_status(0, TP_STATUS_AVAILABLE);
    assert_eq!((ring.reclaim(), ring.room()), (2, 2));
}

/// At any place in the ring, and with any of the frames.
#[test]
fn p19_a_refused_frame_is_taken_out_and_those_behind_it_move_up() {
    for first in 0..20 {
        for bad in 0..8 {
            let mut ring = Ring::without_kernel(4, 1360, true);
            let mut head = 0;
            for n in 0..first {
                ring.put(&[1; 60]);
                ring.take(&mut head, 1);
                ring.set_status(n, TP_STATUS_AVAILABLE);
                ring.reclaim();
            }
            for n in 0..8 {
                ring.put(&vec![n as u8; 60 + n]);
            }
            assert_eq!(ring.take(&mut head, bad).len(), bad);
            ring.set_status(head, TP_STATUS_WRONG_FORMAT);
            assert_eq!(ring.waiting(), 8 - bad);
            assert!(ring.take(&mut head, 9).is_empty(), "the kernel is stuck");
            let removed = ring.remove(8 - bad, |waits| {
                assert_eq!(
                    waits.frame,
                    vec![(bad + waits.nth) as u8; 60 + bad + waits.nth]
                );
                waits.nth == 0
            });
            assert_eq!((removed, ring.waiting()), (1, 7 - bad));
            ring.put(&[99; 30]);
            let rest = ring.take(&mut head, 9);
            let expected = (bad + 1..8).map(|n| vec![n as u8; 60 + n]);
            assert!(rest.into_iter().eq(expected.chain([vec![99; 30]])));
        }
    }
}

#[test]
fn frames_in_the_middle_are_taken_out_and_none_of_those_that_were_taken() {
    let mut ring = Ring::without_kernel(1, 256, false);
    let mut head = 0;
    (0..10_u8).for_each(|n| ring.put(&[n; 40]));
    ring.take(&mut head, 3);
    assert_eq!(ring.remove(7, |waits| waits.frame[0] % 2 == 0), 3);
    let rest: Vec<_> = ring
        .take(&mut head, 9)
        .iter()
        .map(|frame| frame[0])
        .collect();
    assert_eq!(rest, [3, 5, 7, 9]);
    assert_eq!((ring.used, ring.room()), (7, 9));
    assert_eq!(ring.remove(0, |_| true), 0);
    assert_eq!(ring.remove(usize::MAX, |_| true), 7);
    assert_eq!(ring.room(), 16);
}

/// Whatever stands in the status words and lengths, nothing outside of a slot is read, and the
/// counts stay within the ring.
#[test]
fn p6_forged_words_in_the_ring_read_nothing_outside_of_it() {
    let words = [0, 1, 2, 3, 4, 5, 7, 1 << 29, 1 << 31, 0x55, u32::MAX];
    for status in words {
        for len in [0, 9, 10, 2048, u32::MAX - 3, u32::MAX] {
            let mut ring = Ring::without_kernel(2, 1360, true);
            (0..6_u8).for_each(|n| ring.put(&[n; 1300]));
            for slot in 0..6 {
                ring.set_status(slot, status);
                let at = ring.start_of(slot) + offset_of!(tpacket2_hdr, tp_len);
                ring.word(at).store(len, Ordering::Relaxed);
            }
            let waiting = ring.waiting();
            assert!(waiting <= 6);
            ring.hide(waiting, 2, true);
            ring.hide(waiting, 2, false);
            let mut longest = 0;
            ring.remove(waiting, |waits| {
                longest = longest.max(waits.frame.len());
                waits.nth % 2 == 0
            });
            assert!(longest <= 1360 - 42);
            ring.reclaim();
            assert!(ring.used <= 6);
        }
    }
}

#[test]
fn a_hidden_frame_stops_the_kernel_until_it_is_shown() {
    let mut ring = Ring::without_kernel(1, 256, false);
    let mut head = 0;
    (0..10_u8).for_each(|n| ring.put(&[n; 40]));
    ring.take(&mut head, 2);
    ring.hide(8, 3, true);
    assert_eq!(ring.take(&mut head, 9).len(), 3);
    ring.hide(8, 3, false);
    assert_eq!(ring.waiting(), 5);
    ring.hide(5, 5, true);
    assert_eq!(ring.take(&mut head, 9).len(), 5);
}

/// The kernel's side of a ring, for a thread that acts as the kernel.
struct Kernels(*mut u32);

// SAFETY: a pointer into a mapping that outlives the thread; both sides use it in turns, which is
// what is tested; it was range checked when it was made.
unsafe impl Send for Kernels {}

/// Under Miri a missing Acquire or Release is a data race between these two, and an error.
#[test]
fn p23_a_slot_is_written_and_read_by_turns() {
    const ROUNDS: u32 = if cfg!(miri) { 40 } else { 20_000 };
    let mut ring = Ring::without_kernel(1, 2048, false);
    let words = [0, 2048].map(|start| Kernels(ring.word(start).as_ptr()));
    let kernel = std::thread::spawn(move || {
        let words = words;
        for round in 0..ROUNDS {
            let at = words[round as usize % 2].0;
            // SAFETY: a word of the mapping, which outlives the thread; both sides access it by
            // turns; range checked above.
            let status = unsafe { AtomicU32::from_ptr(at) };
            while status.load(Ordering::Acquire) != TP_STATUS_SEND_REQUEST {
                std::thread::yield_now();
            }
            // SAFETY: the first bytes of the frame in the same slot, which the status gives to this
            // thread; the ring waits for its turn; 32 bytes behind the start is inside the slot.
            let found = unsafe { at.wrapping_add(8).read() };
            assert_eq!(found, round);
            status.store(TP_STATUS_AVAILABLE, Ordering::Release);
        }
    });
    for round in 0..ROUNDS {
        while ring.room() == 0 {
            ring.reclaim();
            std::thread::yield_now();
        }
        ring.put(&round.to_ne_bytes());
    }
    kernel.join().unwrap();
    ring.reclaim();
    assert_eq!(ring.room(), 2);
}

#[test]
#[should_panic(expected = "made for this mapping")]
fn a_ring_that_is_larger_than_its_mapping_is_a_bug() {
    let geometry = RingGeometry {
        block_size: 4096,
        block_count: 2,
        requested_blocks: 2,
        slot_size: Some(2048),
    };
    Ring::new(Mmap::anonymous(4096).unwrap(), geometry, false);
}
