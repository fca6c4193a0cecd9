//! The mapped ring: which block is next, who owns it, and giving it back.
//!
//! ```text
//!  current ─┐
//! ┌─────────▼┬──────────┬──────────┬──────────┐   one mapping; block n starts at n × block_size
//! │ status 1 │ status 1 │ status 0 │ status 0 │   1: the reader's   0: the kernel's
//! └──────────┴──────────┴──────────┴──────────┘   the kernel waits at a block that is taken
//! ```
//!
//! In a version 2 ring the kernel hands over slots for one packet rather than blocks. A block is
//! divided into as many slots as fit, each with a status of its own.
//!
//! # Safety
//! The invariant of this file: bytes of a block are lent only while its status word has
//! `TP_STATUS_USER`, and the word is set back only by [`Ring::release`], whose `&mut self` no lent
//! byte outlives. While the word has that bit the kernel does not write to the block.
#![expect(
    unsafe_code,
    reason = "lends mapped memory; the invariant stands above"
)]

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::Mmap;
use netring_sys::kernel::packet::{
    TP_STATUS_KERNEL, TP_STATUS_USER, TPACKET2_HDRLEN_ALIGNED, TPACKET3_HDRLEN_ALIGNED,
    sockaddr_ll, tpacket_block_desc, tpacket2_hdr, tpacket3_hdr,
};

use super::geometry::RingGeometry;

/// Bytes of a slot's header once it was [converted](Ring::convert_header) into one of version 3.
pub(crate) const SLOT_HEADER: usize = TPACKET3_HDRLEN_ALIGNED + size_of::<sockaddr_ll>();

/// Blocks, or slots, that the kernel fills and the reader gives back in order.
#[derive(Debug)]
pub(crate) struct Ring {
    map: Mmap,
    block_size: usize,
    block_count: usize,
    /// Bytes of a unit that is handed over: a block or a slot.
    unit: usize,
    units_per_block: usize,
    /// Bytes from the start of a unit to its status.
    status_at: usize,
    block: usize,
    unit_in_block: usize,
}

impl Ring {
    /// A ring over a mapping of at least its size.
    pub(crate) fn new(map: Mmap, size: RingGeometry) -> Self {
        let (unit, status_at, header) = match size.slot_size {
            Some(slot) => {
                let status = offset_of!(tpacket2_hdr, tp_status);
                (slot, status, SLOT_HEADER)
            }
            None => {
                let status = offset_of!(tpacket_block_desc, block_status);
                (size.block_size, status, size_of::<tpacket_block_desc>())
            }
        };
        let bytes = size.block_size.checked_mul(size.block_count);
        let fits = bytes.is_some_and(|bytes| bytes <= map.len());
        let holds_header = unit >= header && unit <= size.block_size;
        let aligned = unit.is_multiple_of(4) && size.block_size.is_multiple_of(4);
        assert!(
            fits && holds_header && aligned,
            "the ring is made for this mapping"
        );
        Self {
            map,
            block_size: size.block_size,
            block_count: size.block_count,
            unit,
            units_per_block: size.block_size / unit,
            status_at,
            block: 0,
            unit_in_block: 0,
        }
    }

    /// The status of the current block, if the reader owns it.
    #[inline]
    pub(crate) fn status(&self) -> Option<u32> {
        // Acquire: everything that the kernel wrote to the block before it stored this word is
        // visible after this load. Partner: the barrier before `BLOCK_STATUS(pbd) = status` in the
        // kernel's prb_flush_block (net/packet/af_packet.c), and for a slot the one before
        // __packet_set_status in tpacket_rcv.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L826
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L426
        let status = self.status_word().load(Ordering::Acquire);
        (status & TP_STATUS_USER != 0).then_some(status)
    }

    /// The current block, if the reader owns it.
    #[inline]
    pub(crate) fn block(&self) -> Option<&[u8]> {
        self.status()?;
        // SAFETY: the mapping is owned by `self` and borrowed with it; the status says that the
        // block is the reader's, and `release`, which ends that, needs `&mut self`; `new`
        // checked that every block is inside.
        unsafe { self.map.bytes(self.start(), self.unit) }
    }

    /// The current block, if the reader owns it, to change the packets in it before they are lent.
    pub(crate) fn block_mut(&mut self) -> Option<&mut [u8]> {
        self.status()?;
        let (start, unit) = (self.start(), self.unit);
        // SAFETY: the mapping is owned by `self`, and `&mut self` leaves no lent byte; the status
        // says that the block is the reader's, so the kernel writes nothing to it and reads its
        // status only, which is not changed through the slice; `new` checked that every block is
        // inside.
        unsafe { self.map.slice_mut(start, unit) }
    }

    /// Converts the header of the current slot, which the reader owns, into one of version 3, so
    /// that one parser reads both. Call it once for each slot.
    ///
    /// A version 3 header is longer, and `PACKET_RESERVE` made the kernel leave room for it. The
    /// first word, which is the slot's status, stays: version 3 does not use it in the last packet
    /// of a block.
    pub(crate) fn convert_header(&mut self) {
        let start = self.start();
        // Relaxed: the reader owns the slot, and nobody else accesses it. Partner: none; `status`
        // acquired what the kernel wrote.
        let word = |at: usize| {
            let word = self.map.atomic_u32(start + at);
            word.expect("`new` checked that a slot holds the longer header")
        };
        let load = |at: usize| word(at).load(Ordering::Relaxed);
        let [tci_0, tci_1, tpid @ ..] = load(offset_of!(tpacket2_hdr, tp_vlan_tci)).to_ne_bytes();
        let header = [
            (
                offset_of!(tpacket3_hdr, tp_sec),
                load(offset_of!(tpacket2_hdr, tp_sec)),
            ),
            (
                offset_of!(tpacket3_hdr, tp_nsec),
                load(offset_of!(tpacket2_hdr, tp_nsec)),
            ),
            (
                offset_of!(tpacket3_hdr, tp_snaplen),
                load(offset_of!(tpacket2_hdr, tp_snaplen)),
            ),
            (
                offset_of!(tpacket3_hdr, tp_len),
                load(offset_of!(tpacket2_hdr, tp_len)),
            ),
            (
                offset_of!(tpacket3_hdr, tp_status),
                load(offset_of!(tpacket2_hdr, tp_status)),
            ),
            // And tp_net, which follows it in both.
            (
                offset_of!(tpacket3_hdr, tp_mac),
                load(offset_of!(tpacket2_hdr, tp_mac)),
            ),
            (offset_of!(tpacket3_hdr, tp_rxhash), 0),
            // 16 bits there, 32 here.
            (
                offset_of!(tpacket3_hdr, tp_vlan_tci),
                u32::from(u16::from_ne_bytes([tci_0, tci_1])),
            ),
            (
                offset_of!(tpacket3_hdr, tp_vlan_tpid),
                u32::from_ne_bytes([tpid[0], tpid[1], 0, 0]),
            ),
        ];
        let address: [u32; size_of::<sockaddr_ll>() / 4] =
            std::array::from_fn(|n| load(TPACKET2_HDRLEN_ALIGNED + 4 * n));
        for (at, value) in header {
            word(at).store(value, Ordering::Relaxed);
        }
        for (n, value) in address.into_iter().enumerate() {
            word(TPACKET3_HDRLEN_ALIGNED + 4 * n).store(value, Ordering::Relaxed);
        }
    }

    /// Gives the current block back to the kernel, and goes on to the next.
    #[inline]
    pub(crate) fn release(&mut self) {
        // Release: all reads of the block are done before the kernel can see that it is free.
        // Partner: the kernel's read of BLOCK_STATUS in prb_dispatch_next_block, and the barrier
        // after it in prb_open_block; for a slot the read in packet_lookup_frame.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L973
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L433
        self.status_word()
            .store(TP_STATUS_KERNEL, Ordering::Release);
        self.unit_in_block += 1;
        if self.unit_in_block == self.units_per_block {
            self.unit_in_block = 0;
            self.block += 1;
            if self.block == self.block_count {
                self.block = 0;
            }
        }
    }

    /// Bytes from the start of the mapping to the current block or slot.
    #[inline]
    const fn start(&self) -> usize {
        self.block * self.block_size + self.unit_in_block * self.unit
    }

    #[inline]
    fn status_word(&self) -> &AtomicU32 {
        let word = self.map.atomic_u32(self.start() + self.status_at);
        word.expect("`new` checked that every block is inside the mapping")
    }
}

#[cfg(test)]
impl Ring {
    /// Acts as the kernel: writes to block or slot `n`, which the kernel owns, and hands it to the
    /// reader.
    pub(crate) fn fill(&mut self, n: usize, bytes: &[u8], status: u32) {
        let start = self.start_of(n);
        assert!(self.is_kernels(n));
        // SAFETY: the mapping is this ring's; it is an anonymous one, so no kernel writes to it;
        // the range is all of it.
        let all = unsafe { self.map.bytes_mut() };
        all[start..start + bytes.len()].copy_from_slice(bytes);
        let word = self.map.atomic_u32(start + self.status_at).unwrap();
        word.store(TP_STATUS_USER | status, Ordering::Release);
    }

    /// Whether the kernel owns block or slot `n`.
    pub(crate) fn is_kernels(&self, n: usize) -> bool {
        let word = self.map.atomic_u32(self.start_of(n) + self.status_at);
        word.unwrap().load(Ordering::Acquire) == TP_STATUS_KERNEL
    }

    const fn start_of(&self, n: usize) -> usize {
        let (block, unit) = (n / self.units_per_block, n % self.units_per_block);
        block * self.block_size + unit * self.unit
    }

    /// A ring that no kernel fills.
    pub(crate) fn without_kernel(geometry: RingGeometry) -> Self {
        Self::new(Mmap::anonymous(geometry.bytes()).unwrap(), geometry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(block_count: usize, slot_size: Option<usize>) -> Ring {
        Ring::without_kernel(RingGeometry {
            block_size: 4096,
            block_count,
            requested_blocks: block_count,
            slot_size,
        })
    }

    fn hand_over(ring: &mut Ring, n: usize) {
        ring.fill(n, &[], 0);
    }

    #[test]
    fn blocks_are_lent_in_order_and_only_when_the_reader_owns_them() {
        let mut ring = ring(3, None);
        assert!(ring.block().is_none());
        // Block 1 is handed over out of order: the reader does not look at it before its turn.
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

    /// The kernel's side of a block, for a thread that acts as the kernel.
    struct Kernels {
        status: *mut u32,
        words: [*mut u32; 2],
    }

    // SAFETY: pointers into a mapping that outlives the thread; both sides use them in turns, which
    // is what is tested; they were range checked when they were made.
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
            // SAFETY: a word of the mapping, which outlives the thread; both sides access it by
            // turns; range checked above.
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
        let mut ring = ring(2, None);
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

    /// Three slots of a block leave 16 bytes over.
    #[test]
    fn slots_are_lent_in_order_and_the_remainder_of_a_block_is_skipped() {
        let mut ring = ring(2, Some(1360));
        let mut starts = Vec::new();
        for round in 0..13_u8 {
            let n = usize::from(round) % 6;
            assert!(ring.block().is_none());
            let bytes = [round; 1360];
            ring.fill(n, &bytes, 0);
            assert_eq!(ring.block().unwrap().len(), 1360);
            assert_eq!(ring.block().unwrap()[4..], bytes[4..]);
            starts.push(ring.start());
            ring.release();
            assert!(ring.is_kernels(n));
        }
        let expected = [0, 1360, 2720, 4096, 5456, 6816];
        assert!(starts.iter().eq(expected.iter().cycle().take(13)));
    }

    #[test]
    #[should_panic(expected = "made for this mapping")]
    fn a_ring_that_is_larger_than_its_mapping_is_a_bug() {
        let size = RingGeometry {
            block_size: 4096,
            block_count: 2,
            requested_blocks: 2,
            slot_size: None,
        };
        Ring::new(Mmap::anonymous(4096).unwrap(), size);
    }
}
