//! The packets of a batch, one after the other.
//!
//! # Safety
//! The invariant of this file is that of its parent: entries that are lent are not released while a [`Frames`] borrows their [`Lent`], and
//! until then nobody writes to their chunks.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

use std::slice::Iter;
use std::sync::atomic::{AtomicU64, Ordering};

use netring_sys::kernel::xdp::xdp_desc;

use super::Lent;
use crate::assemble::Piece;
use crate::region::View;
use crate::ring::Entry;

/// The bytes of packets that were received, oldest first.
#[derive(Debug)]
pub struct Frames<'a> {
    view: View<'a>,
    /// Entries of the receive ring, and as much room for their chunks in the fill ring.
    entries: Iter<'a, [AtomicU64; 2]>,
    room: Iter<'a, AtomicU64>,
    /// For what is not usual. Nothing of this is borrowed for that, or none of it could stay in registers.
    lent: &'a Lent<'a>,
    /// The number of the next packet, once it is not in `entries`.
    at: u32,
}

/// All packets are in `entries`, and were inside so far.
const STRAIGHT: u32 = u32::MAX;

impl Lent<'_> {
    /// The packets that are still in it.
    #[inline]
    pub(crate) fn frames(&self) -> Frames<'_> {
        let (mut entries, mut room) = (&[][..], &[][..]);
        if let (true, Some(fill)) = (self.straight, &self.half.fill) {
            entries = self.half.rx.next_run(self.count);
            room = fill.next_run(self.count);
        }
        Frames {
            view: self.half.shared.region().view(),
            at: if self.straight { STRAIGHT } else { 0 },
            entries: entries.iter(),
            room: room.iter(),
            lent: self,
        }
    }

    /// A packet that is not one of those that a [`Frames`] has in its entries, and where it is to go on.
    #[inline(never)]
    fn other(&self, mut at: u32) -> (Option<&[u8]>, u32) {
        if at == STRAIGHT {
            // Relaxed: see there.
            self.written.store(true, Ordering::Relaxed);
            return (None, at);
        }
        let region = self.half.shared.region();
        if let Some(assembly) = &self.half.assembly {
            let piece = assembly.pieces().get(self.gone + at as usize);
            let bytes = piece.and_then(|piece| match piece {
                // SAFETY: the span is that of an entry that is lent, which the borrow of `self` keeps from being released;
                // nobody else writes to it; it is of this region's geometry.
                Piece::InRing(span) => Some(unsafe { region.received(span) }),
                Piece::Copied(range) => assembly.scratch().get(range.clone()),
            });
            return (bytes, at + 1);
        }
        while at < self.count {
            let desc = self.half.rx.entry(at);
            at += 1;
            // What points outside is passed over here, and counted when the batch is given back.
            if let Some(span) = region.geometry().received(&desc) {
                // SAFETY: as above.
                return (Some(unsafe { region.received(&span) }), at);
            }
        }
        (None, at)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if let (Some(words), Some(room)) = (self.entries.next(), self.room.next()) {
            let desc = xdp_desc::load(words);
            // SAFETY: the entry is lent, which the iterator's borrow of the `Lent` keeps from being released; nobody else writes
            // to its chunk; the view is this region's.
            if let Some(bytes) = unsafe { self.view.received(&desc) } {
                // Of an aligned chunk any address will do: the kernel goes back to its start.
                room.store(desc.addr, Ordering::Relaxed);
                return Some(bytes);
            }
            // From this one on.
            self.at = self.lent.count - self.entries.len() as u32 - 1;
            self.entries = [].iter();
            self.room = [].iter();
        }
        let (bytes, at) = self.lent.other(self.at);
        self.at = at;
        bytes
    }

    /// Four at a time: `for_each` takes this way, and a `for` loop does not.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        let (entries, room) = (self.entries.as_slice(), self.room.as_slice());
        let groups = entries
            .as_chunks::<4>()
            .0
            .iter()
            .zip(room.as_chunks::<4>().0);
        let mut done = 0;
        'plain: for (group, room) in groups {
            for (words, room) in group.iter().zip(room) {
                let desc = xdp_desc::load(words);
                // SAFETY: as in `next`.
                let Some(bytes) = (unsafe { self.view.received(&desc) }) else {
                    break 'plain;
                };
                room.store(desc.addr, Ordering::Relaxed);
                folded = f(folded, bytes);
                done += 1;
            }
        }
        self.entries = entries.get(done..).unwrap_or_default().iter();
        self.room = room.get(done..).unwrap_or_default().iter();
        for bytes in self {
            folded = f(folded, bytes);
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
        (0, Some(self.entries.len() + others as usize))
    }
}
