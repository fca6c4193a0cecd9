//! The mapped ring: which block is next, looking at whose it is, and giving it back.
//!
//! ```text
//!  current ─┐
//! ┌─────────▼┬──────────┬──────────┬──────────┐   one mapping; block n starts at n × block_size
//! │ status 1 │ status 1 │ status 0 │ status 0 │   1: the reader's   0: the kernel's
//! └──────────┴──────────┴──────────┴──────────┘   both go round in order; the kernel waits for a block it finds taken
//! ```
//!
//! # Safety
//! The invariant of this file: bytes of a block are lent only while its status word has `TP_STATUS_USER`, and the word is set back
//! only by [`Ring::release`], whose `&mut self` no lent byte outlives. While the word has that bit the kernel does not write
//! to the block.
#![expect(
    unsafe_code,
    reason = "lends mapped memory; the invariant stands above"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::Mmap;
use netring_sys::kernel::packet::{TP_STATUS_KERNEL, TP_STATUS_USER, tpacket_block_desc};

/// Blocks that the kernel fills and a reader gives back, in order.
#[derive(Debug)]
pub(crate) struct Ring {
    map: Mmap,
    block_size: usize,
    block_count: usize,
    current: usize,
}

impl Ring {
    /// A ring over a mapping of at least `block_count` blocks.
    pub(crate) fn new(map: Mmap, block_size: usize, block_count: usize) -> Self {
        let fits = block_size.checked_mul(block_count).is_some_and(|bytes| {
            bytes <= map.len() && block_size >= size_of::<tpacket_block_desc>()
        });
        assert!(
            fits && block_size.is_multiple_of(4),
            "the ring is made for this mapping"
        );
        Self {
            map,
            block_size,
            block_count,
            current: 0,
        }
    }

    /// The status of the current block, where it is the reader's.
    #[inline]
    pub(crate) fn status(&self) -> Option<u32> {
        // Acquire: what the kernel wrote to the block before it stored this word is seen after this load. Partner: the
        // barrier before `BLOCK_STATUS(pbd) = status` in the kernel's prb_flush_block (net/packet/af_packet.c).
        let status = self.status_word().load(Ordering::Acquire);
        (status & TP_STATUS_USER != 0).then_some(status)
    }

    /// The current block, where it is the reader's.
    #[inline]
    pub(crate) fn block(&self) -> Option<&[u8]> {
        self.status()?;
        // SAFETY: the mapping is owned by `self` and borrowed with it; the status says that the block is the reader's,
        // and `release`, which ends that, needs `&mut self`; `new` checked that every block is inside.
        unsafe {
            self.map
                .bytes(self.current * self.block_size, self.block_size)
        }
    }

    /// Gives the current block back to the kernel, and goes on to the next.
    #[inline]
    pub(crate) fn release(&mut self) {
        // Release: all reads of the block are done before the kernel can see it free. Partner: the kernel's read of
        // BLOCK_STATUS in prb_dispatch_next_block, and the barrier after it in prb_open_block.
        self.status_word()
            .store(TP_STATUS_KERNEL, Ordering::Release);
        self.current += 1;
        if self.current == self.block_count {
            self.current = 0;
        }
    }

    #[inline]
    fn status_word(&self) -> &AtomicU32 {
        let offset = std::mem::offset_of!(tpacket_block_desc, block_status);
        let word = self.map.atomic_u32(self.current * self.block_size + offset);
        word.expect("`new` checked that every block is inside the mapping")
    }
}

#[cfg(test)]
impl Ring {
    /// Plays the kernel: writes to block `n`, which is the kernel's, and hands it to the reader.
    pub(crate) fn fill(&mut self, n: usize, bytes: &[u8], status: u32) {
        let start = n * self.block_size;
        let offset = start + std::mem::offset_of!(tpacket_block_desc, block_status);
        let word = self.map.atomic_u32(offset).unwrap();
        assert_eq!(word.load(Ordering::Acquire), TP_STATUS_KERNEL);
        // SAFETY: the mapping is this ring's; it is an anonymous one, so no kernel writes to it; the range is all of it.
        let all = unsafe { self.map.bytes_mut() };
        all[start..start + bytes.len()].copy_from_slice(bytes);
        let word = self.map.atomic_u32(offset).unwrap();
        word.store(TP_STATUS_USER | status, Ordering::Release);
    }

    /// Whether block `n` is the kernel's.
    pub(crate) fn is_kernels(&self, n: usize) -> bool {
        let offset = std::mem::offset_of!(tpacket_block_desc, block_status);
        let word = self.map.atomic_u32(n * self.block_size + offset).unwrap();
        word.load(Ordering::Acquire) == TP_STATUS_KERNEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand_over(ring: &mut Ring, n: usize) {
        ring.fill(n, &[], 0);
    }

    #[test]
    fn blocks_are_lent_in_order_and_only_when_they_are_the_readers() {
        let mut ring = Ring::new(Mmap::anonymous(3 * 4096).unwrap(), 4096, 3);
        assert!(ring.block().is_none());
        // The kernel is one block ahead of us, out of order: it is not looked at before its turn.
        hand_over(&mut ring, 1);
        assert!(ring.block().is_none());
        for round in 0..7 {
            if round != 1 {
                hand_over(&mut ring, round % 3);
            }
            assert_eq!(ring.block().unwrap().len(), 4096);
            ring.release();
            assert!(ring.is_kernels(round % 3));
            if round == 0 {
                assert!(ring.block().is_some(), "block 1 was handed over early");
            }
        }
    }

    /// The kernel's side of a block, for a thread that plays it.
    struct Kernels {
        status: *mut u32,
        words: [*mut u32; 2],
    }

    // SAFETY: pointers into a mapping that outlives the thread; both sides use them in turns, which is what is tested; they
    // were range checked when they were made.
    unsafe impl Send for Kernels {}

    impl Kernels {
        fn of(ring: &Ring, n: usize) -> Self {
            let word = |offset: usize| {
                ring.map
                    .atomic_u32(n * ring.block_size + offset)
                    .unwrap()
                    .as_ptr()
            };
            Self {
                status: word(8),
                words: [word(48), word(ring.block_size - 4)],
            }
        }

        fn word<'a>(at: *mut u32) -> &'a AtomicU32 {
            // SAFETY: a word of the mapping, which outlives the thread; both sides access it by turns; range checked above.
            unsafe { AtomicU32::from_ptr(at) }
        }

        /// Waits for its turn, writes a number to the block, and hands it over.
        fn fill(&self, number: u32) {
            while Self::word(self.status).load(Ordering::Acquire) != TP_STATUS_KERNEL {
                std::thread::yield_now();
            }
            for word in self.words {
                Self::word(word).store(number, Ordering::Relaxed);
            }
            Self::word(self.status).store(TP_STATUS_USER, Ordering::Release);
        }
    }

    /// Under Miri a missing Acquire or Release is a data race between these two, and an error.
    #[test]
    fn p23_a_block_is_written_and_read_by_turns() {
        const ROUNDS: u32 = if cfg!(miri) { 40 } else { 20_000 };
        let mut ring = Ring::new(Mmap::anonymous(2 * 4096).unwrap(), 4096, 2);
        let blocks = [Kernels::of(&ring, 0), Kernels::of(&ring, 1)];
        let kernel = std::thread::spawn(move || {
            let blocks = blocks;
            (0..ROUNDS).for_each(|round| blocks[round as usize % 2].fill(round));
        });
        for round in 0..ROUNDS {
            while ring.status().is_none() {
                std::thread::yield_now();
            }
            let block = ring.block().unwrap();
            assert_eq!(block[48..52], round.to_ne_bytes());
            assert_eq!(block[4092..], round.to_ne_bytes());
            ring.release();
        }
        kernel.join().unwrap();
    }

    #[test]
    #[should_panic(expected = "made for this mapping")]
    fn a_ring_that_is_larger_than_its_mapping_is_a_bug() {
        Ring::new(Mmap::anonymous(4096).unwrap(), 4096, 2);
    }
}
