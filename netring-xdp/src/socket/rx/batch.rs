//! Packets that are lent: those at the front of the receive ring.
//!
//! # Safety
//! The invariant of this file is that of its parent: a token is made only for a chunk whose entry
//! is released in the same step.
#![expect(
    unsafe_code,
    reason = "takes chunks out of the receive ring; the invariant stands above"
)]

use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;

use netring_sys::kernel::xdp::XDP_PKT_CONTD;

use super::RxHalf;
use crate::memory::token::ChunkToken;

/// Packets at the front of the receive ring.
#[derive(Debug)]
pub(crate) struct RxBatch<'a> {
    pub(super) half: &'a mut RxHalf,
    /// Entries that are still lent.
    pub(super) count: u32,
    /// Packets of the assembly that are no longer lent.
    pub(super) gone: usize,
    /// The first entry is the rest of a packet whose front was taken.
    open: bool,
    /// No packet has several entries; and the entries, and the room for their chunks in the fill
    /// ring, do not wrap.
    pub(super) contiguous: bool,
    /// The packets are those of the assembly: some have several entries.
    pub(super) assembled: bool,
    /// The chunks of all lent entries are written into the fill ring, unpublished; so all entries
    /// were read, and were inside. Relaxed, with no partner: the owner of the batch reads it once
    /// nobody borrows it.
    pub(super) written: AtomicBool,
}

/// A packet that was taken out of the ring: its chunk, and where in it the packet is.
#[derive(Debug)]
pub(crate) struct OwnedChunk {
    pub(crate) token: ChunkToken,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) continues: bool,
    /// Where in the chunk it started, if metadata may precede it.
    pub(crate) described: Option<NonZeroU32>,
}

impl<'a> RxBatch<'a> {
    #[inline]
    pub(super) const fn new(
        half: &'a mut RxHalf,
        count: u32,
        contiguous: bool,
        assembled: bool,
    ) -> Self {
        Self {
            half,
            count,
            gone: 0,
            open: false,
            contiguous,
            assembled,
            written: AtomicBool::new(false),
        }
    }

    /// Gives back the first `packets` and what precedes the packet behind them. The rest stays in
    /// the ring, and is lent again.
    pub(crate) fn leave_after(mut self, packets: u64) {
        *self.written.get_mut() = false;
        for _ in 0..packets {
            while self.count > 0 {
                let (fragments, whole) = self.first_packet();
                self.count -= fragments;
                self.half.give_back(fragments);
                if whole {
                    break;
                }
            }
        }
        self.count = 0;
    }

    /// Takes the first packet out; if it spans several chunks, the next of them.
    pub(crate) fn take(&mut self) -> Option<OwnedChunk> {
        *self.written.get_mut() = false;
        while self.count > 0 {
            if !self.open {
                let (fragments, whole) = self.first_packet();
                if !whole {
                    self.count -= fragments;
                    self.half.give_back(fragments);
                    continue;
                }
                self.gone += 1;
            }
            let desc = self.half.rx.entries(self.count).peek()?;
            let geometry = self.half.shared.geometry();
            let range = geometry.received(&desc)?;
            let offset = range.start - geometry.base(range.chunk);
            let first = !self.open;
            self.count -= 1;
            self.half.rx.release(1);
            self.open = desc.options & XDP_PKT_CONTD != 0;
            self.half.delivered += u64::from(!self.open);
            return Some(OwnedChunk {
                // SAFETY: the chunk is one of the region's; its entry was released above; it went
                // nowhere else.
                token: unsafe { ChunkToken::from_ring(range.chunk) },
                offset: offset as u32,
                len: range.len,
                continues: self.open,
                described: first.then(|| self.half.described_start(&range)).flatten(),
            });
        }
        None
    }

    /// How many entries the first packet has, and whether all of them are inside.
    pub(super) fn first_packet(&self) -> (u32, bool) {
        let (mut fragments, mut whole) = (0, true);
        for desc in self.half.rx.entries(self.count) {
            fragments += 1;
            whole &= self.half.shared.geometry().received(&desc).is_some();
            if desc.options & XDP_PKT_CONTD == 0 {
                return (fragments, whole);
            }
        }
        (fragments, false)
    }
}

impl Drop for RxBatch<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 && *self.written.get_mut() {
            self.half.give_back_written(self.count);
        } else if self.count > 0 {
            self.half.give_back(self.count);
        }
        // Also if all of them were taken or forwarded: what came back since goes to the kernel.
        self.half.settle();
    }
}
