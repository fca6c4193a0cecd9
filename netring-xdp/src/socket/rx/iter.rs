//! The packets of a batch, one after the other.
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

/// A way through the packets of a batch, which makes something of each.
#[derive(Debug)]
pub(crate) struct RawIter<'a, L> {
    make: L,
    view: View<'a>,
    /// Entries of the receive ring, and as much room for their chunks in the fill ring.
    entries: &'a [[AtomicU64; 2]],
    room: &'a [AtomicU64],
    /// The next of these; far behind them once a packet is not in `entries`.
    next: usize,
    /// For what is not usual. Nothing of this is borrowed for that, or none of it could stay in
    /// registers.
    lent: &'a RxBatch<'a>,
    /// The number of the next packet, once it is not in `entries`.
    at: u32,
}

/// What is made of each packet.
pub(crate) trait PacketMapper<'a>: Copy {
    type Item;

    /// Of one that lies in an aligned chunk and fills it not to its end; else `None`.
    ///
    /// # Safety
    /// As [`View::received`].
    unsafe fn usual(self, view: &View<'a>, desc: &xdp_desc) -> Option<Self::Item>;

    /// Of the packet of this number or behind, and the number that is next: behind the last it
    /// stays, however often it is asked for.
    fn other(self, lent: &'a RxBatch<'a>, at: u32) -> (Option<Self::Item>, u32);
}

/// Its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

/// All packets are in `entries`, and were inside so far.
const STRAIGHT: u32 = u32::MAX;

/// How many packets `for_each` takes in one step: what a step costs by itself is then next to
/// nothing.
const STEP: usize = 8;

impl RxBatch<'_> {
    /// The packets that are still in it.
    #[inline]
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames(self.walk(Bytes))
    }

    /// As [`PacketMapper::other`]: its bytes, and where the first of them are.
    #[inline]
    pub(super) fn other(&self, mut at: u32) -> (Option<(&[u8], ByteRange)>, u32) {
        let region = self.half.shared.region();
        if let (true, Some(assembly)) = (self.assembled, &self.half.assembly) {
            let piece = assembly.pieces().get(self.gone + at as usize);
            let packet = piece.and_then(|piece| match piece {
                // SAFETY: the span is that of an entry that is lent, which the borrow of `self`
                // keeps from being released; nobody else writes to it; it is of
                // this region's geometry.
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
            // What points outside is passed over here, and counted when the batch is given back.
            if let Some(span) = region.geometry().received(&desc) {
                // SAFETY: as above.
                return (Some((unsafe { region.received(&span) }, span)), at);
            }
        }
        (None, at)
    }

    #[inline]
    pub(super) fn walk<L>(&self, make: L) -> RawIter<'_, L> {
        let (mut entries, mut room) = (&[][..], &[][..]);
        if let (true, Some(fill)) = (self.contiguous, &self.half.fill) {
            entries = self.half.rx.next_run(self.count);
            room = fill.next_run(self.count);
        }
        // They are as many. Said so that the compiler sees it.
        let count = entries.len().min(room.len());
        RawIter {
            make,
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
    unsafe fn usual(self, view: &View<'a>, desc: &xdp_desc) -> Option<&'a [u8]> {
        // SAFETY: as the caller vouches.
        unsafe { view.received(desc) }
    }

    #[inline(never)]
    fn other(self, lent: &'a RxBatch<'a>, at: u32) -> (Option<&'a [u8]>, u32) {
        let (packet, at) = lent.other(at);
        (packet.map(|(bytes, _)| bytes), at)
    }
}

impl<'a, L: PacketMapper<'a>> Iterator for RawIter<'a, L> {
    type Item = L::Item;

    #[inline]
    fn next(&mut self) -> Option<L::Item> {
        if let (Some(words), Some(room)) = (self.entries.get(self.next), self.room.get(self.next)) {
            let desc = xdp_desc::load(words);
            // Of an aligned chunk any address will do: the kernel goes back to its start. Where it
            // is none this counts for nothing.
            room.store(desc.addr, Ordering::Relaxed);
            // SAFETY: the entry is lent, which the iterator's borrow of the `RxBatch` keeps from
            // being released; nobody else writes to its chunk; the view is this region's.
            if let Some(item) = unsafe { self.make.usual(&self.view, &desc) } {
                self.next += 1;
                return Some(item);
            }
            // From this one on. The slices stay as they are: the compiler would no longer see that
            // they are as many.
            self.at = self.next as u32;
            self.next = usize::MAX;
        } else if self.at == STRAIGHT {
            // Relaxed: see there.
            self.lent.written.store(true, Ordering::Relaxed);
            return None;
        }
        let (item, at) = self.make.other(self.lent, self.at);
        self.at = at;
        item
    }

    /// Several at a time: `for_each` takes this way, and a `for` loop does not.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        let entries = self.entries.get(self.next..).unwrap_or_default();
        let room = self.room.get(self.next..).unwrap_or_default();
        let steps = entries.as_chunks::<STEP>().0.iter();
        let mut done = 0;
        'usual: for (step, room) in steps.zip(room.as_chunks::<STEP>().0) {
            for (words, room) in step.iter().zip(room) {
                let desc = xdp_desc::load(words);
                // As in `next`.
                room.store(desc.addr, Ordering::Relaxed);
                // SAFETY: as in `next`.
                let Some(item) = (unsafe { self.make.usual(&self.view, &desc) }) else {
                    break 'usual;
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
    /// The number of the next packet, where not all are usual.
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
