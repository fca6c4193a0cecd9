//! Iterates over the packets of a batch.
//!
//! # Safety
//! The invariant of this file is that of its parent: entries that are lent are not released while a
//! [`RawIter`] borrows their [`RxBatch`], and until then nobody writes to their chunks.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use netring_sys::kernel::xdp::xdp_desc;

use super::RxBatch;
use super::assemble::Piece;
use crate::memory::geometry::ByteRange;
use crate::memory::region::View;
use crate::ring::Entry;

/// The bytes of packets that were received, oldest first.
#[derive(Debug)]
pub struct Frames<'a>(RawIter<'a, Bytes>);

/// Iterates over the packets of a batch, and maps each.
#[derive(Debug)]
pub(crate) struct RawIter<'a, M> {
    mapper: M,
    view: View<'a>,
    /// Entries of the receive ring, and as much room for their chunks in the fill ring.
    entries: &'a [[AtomicU64; 2]],
    room: &'a [AtomicU64],
    /// The index of the next of these; out of bounds once the slow path has begun.
    next: usize,
    /// For the slow path. It borrows nothing of this iterator, which could otherwise not stay in
    /// registers.
    lent: &'a RxBatch<'a>,
    /// The number of the next packet on the slow path.
    at: u32,
}

/// The result for each packet.
pub(crate) trait PacketMapper<'a>: Copy {
    type Item;

    /// Maps a packet in an aligned chunk that it does not fill to its end; `None` for any other.
    ///
    /// # Safety
    /// Those of [`View::received`].
    unsafe fn fast(self, view: &View<'a>, desc: &xdp_desc) -> Option<Self::Item>;

    /// Maps the packet with this number or behind it. Returns the next number too; behind the last
    /// packet there is none, however often this is called.
    fn slow(self, lent: &'a RxBatch<'a>, at: u32) -> (Option<Self::Item>, u32);
}

/// Maps a packet to its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

/// All packets are in `entries`, and were inside so far: the fast path.
const STRAIGHT: u32 = u32::MAX;

/// How many packets `for_each` takes in one step, so that the cost of a step hardly counts.
const STEP: usize = 8;

impl RxBatch<'_> {
    /// The packets that are still lent.
    #[inline]
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames(self.raw_iter(Bytes))
    }

    /// As [`PacketMapper::slow`]: the bytes of the packet, and where the first of them are.
    #[inline]
    pub(super) fn slow(&self, mut at: u32) -> (Option<(&[u8], ByteRange)>, u32) {
        let region = self.half.shared.region();
        if let (true, Some(assembly)) = (self.assembled, &self.half.assembly) {
            let piece = assembly.pieces().get(self.gone + at as usize);
            let packet = piece.and_then(|piece| match piece {
                // SAFETY: the range is that of a lent entry, which is not released while `self` is
                // borrowed; nobody else writes to its chunk; it is of this region's geometry.
                Piece::InRing(span) => Some((unsafe { region.received(span) }, *span)),
                Piece::Copied(range, first) => {
                    let bytes = assembly.scratch().get(range.clone())?;
                    Some((bytes, *first))
                }
            });
            return (packet, at + u32::from(packet.is_some()));
        }
        while at < self.count {
            let desc = self.half.rx.entry(at);
            at += 1;
            // A descriptor that points outside is skipped here, and counted when the batch is given
            // back.
            if let Some(span) = region.geometry().received(&desc) {
                // SAFETY: the entry is lent, and not released while `self` is borrowed; nobody else
                // writes to its chunk; the range is of this region's geometry.
                return (Some((unsafe { region.received(&span) }, span)), at);
            }
        }
        (None, at)
    }

    #[inline]
    pub(super) fn raw_iter<M>(&self, mapper: M) -> RawIter<'_, M> {
        let (mut entries, mut room) = (&[][..], &[][..]);
        if let (true, Some(fill)) = (self.contiguous, &self.half.fill) {
            entries = self.half.rx.next_run(self.count);
            room = fill.next_run(self.count);
        }
        // They have the same length; in this form the compiler sees it.
        let count = entries.len().min(room.len());
        RawIter {
            mapper,
            view: self.half.shared.region().view(),
            at: if self.contiguous { STRAIGHT } else { 0 },
            entries: &entries[..count],
            room: &room[..count],
            next: 0,
            lent: self,
        }
    }
}

impl<'a> PacketMapper<'a> for Bytes {
    type Item = &'a [u8];

    #[inline]
    unsafe fn fast(self, view: &View<'a>, desc: &xdp_desc) -> Option<&'a [u8]> {
        // SAFETY: the caller guarantees it.
        unsafe { view.received(desc) }
    }

    #[inline(never)]
    fn slow(self, lent: &'a RxBatch<'a>, at: u32) -> (Option<&'a [u8]>, u32) {
        let (packet, at) = lent.slow(at);
        (packet.map(|(bytes, _)| bytes), at)
    }
}

impl<'a, M: PacketMapper<'a>> Iterator for RawIter<'a, M> {
    type Item = M::Item;

    #[inline]
    fn next(&mut self) -> Option<M::Item> {
        if let (Some(words), Some(room)) = (self.entries.get(self.next), self.room.get(self.next)) {
            let desc = xdp_desc::load(words);
            // Any address inside an aligned chunk will do: the kernel goes back to its start. If it
            // is not inside one, the entry is not published. Relaxed: the ring's position orders
            // it.
            room.store(desc.addr, Ordering::Relaxed);
            // SAFETY: the entry is lent, and not released while the iterator borrows the `RxBatch`;
            // nobody else writes to its chunk; the view is of this region.
            if let Some(item) = unsafe { self.mapper.fast(&self.view, &desc) } {
                self.next += 1;
                return Some(item);
            }
            // The slow path from this one on. The slices stay as they are, because otherwise the
            // compiler could not see that they have the same length.
            self.at = self.next as u32;
            self.next = usize::MAX;
        } else if self.at == STRAIGHT {
            // Relaxed, with no partner: see there.
            self.lent.written.store(true, Ordering::Relaxed);
            return None;
        }
        let (item, at) = self.mapper.slow(self.lent, self.at);
        self.at = at;
        item
    }

    /// Several at a time: `for_each` uses it, and a `for` loop does not.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        let entries = self.entries.get(self.next..).unwrap_or_default();
        let room = self.room.get(self.next..).unwrap_or_default();
        let steps = entries.as_chunks::<STEP>().0.iter();
        let mut done = 0;
        'fast: for (step, room) in steps.zip(room.as_chunks::<STEP>().0) {
            for (words, room) in step.iter().zip(room) {
                let desc = xdp_desc::load(words);
                // Relaxed: as in `next`.
                room.store(desc.addr, Ordering::Relaxed);
                // SAFETY: as in `next`.
                let Some(item) = (unsafe { self.mapper.fast(&self.view, &desc) }) else {
                    break 'fast;
                };
                folded = f(folded, item);
                done += 1;
            }
        }
        self.next += done;
        for item in self {
            folded = f(folded, item);
        }
        folded
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let others = if self.at == STRAIGHT {
            0
        } else {
            self.lent.count
        };
        let left = self.entries.len().saturating_sub(self.next);
        (0, Some(left + others as usize))
    }
}

#[cfg(test)]
impl Frames<'_> {
    /// The number of the next packet on the slow path.
    pub(crate) const fn at(&self) -> u32 {
        self.0.at
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next()
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, f: F) -> B {
        self.0.fold(init, f)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
