//! Packets that are forwarded in place.
//!
//! # Safety
//! The invariant of this file is that of its parent; the one slice that is lent for writing is gone
//! before the next entry is read.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

use netring_sys::kernel::xdp::xdp_desc;

use super::{RxBatch, RxHalf};
use crate::memory::geometry::{ByteRange, ChunkIndex};
use crate::ring::Entry;
use crate::socket::tx::TxHalf;

/// The fate of forwarded packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// Packets that are now in the transmit ring.
    pub sent: u64,
    /// Lost packets: the ring had no room for them, or they span more chunks than a frame may.
    pub refused: u64,
}

impl RxHalf {
    /// Takes back chunks that another half has sent.
    #[inline]
    fn take_back(&mut self, tx: &mut TxHalf) {
        let own = self.pool.range();
        // Without a fill ring the chunks may be those of any half.
        let any = 0..ChunkIndex::MAX;
        let whose = if self.fill.is_some() { own } else { &any };
        let only = tx.sends_foreign(whose) && self.fill.is_some();
        if self.metadata.is_some() || !only {
            // (With metadata the marks are cleared on the slow path.)
            tx.keep_completions(0);
            return;
        }
        // With few chunks some have to come back by the next flush.
        tx.keep_completions(self.most().min((own.end - own.start) / 2));
        if let Some(fill) = &mut self.fill
            && tx.reclaim_into(&self.pool, fill) > 0
        {
            self.wake();
        }
    }
}

impl RxBatch<'_> {
    /// Shows each packet to `f`, or the first fragment if it has several, and forwards it if `f`
    /// returns true and `tx` has room. Returns how many were forwarded; the others go back to the
    /// kernel.
    #[inline]
    pub(crate) fn forward(
        &mut self,
        tx: &mut TxHalf,
        mut f: impl FnMut(&mut [u8]) -> bool,
    ) -> Forwarded {
        *self.written.get_mut() = false;
        self.half.take_back(tx);
        let mut done = Forwarded::default();
        while self.count > 0 {
            if self.half.assembly.is_none() && self.forward_run(tx, &mut f, &mut done) {
                continue;
            }
            self.forward_first(tx, &mut f, &mut done);
        }
        done
    }

    /// Forwards packets of one entry each, as far as they take the fast path and there is room.
    /// Returns whether there were any.
    #[inline]
    fn forward_run(
        &mut self,
        tx: &mut TxHalf,
        f: &mut impl FnMut(&mut [u8]) -> bool,
        done: &mut Forwarded,
    ) -> bool {
        let half = &mut *self.half;
        let view = half.shared.region().view();
        // As many as there is room for before one of the rings wraps.
        let most = self.count.min(tx.ring_room(self.count));
        let most = most.min(half.rx.to_end()).min(tx.ring().to_end());
        let (entries, room) = (half.rx.next_run(most), tx.ring().next_run(most));
        let (mut sent, mut unwanted) = (entries.len().min(room.len()) as u32, false);
        for (n, (words, out)) in (0..).zip(entries.iter().zip(room)) {
            let desc = xdp_desc::load(words);
            // SAFETY: the entry is lent, and is not released before `f` returns; because of
            // `&mut self` no other slice lives; the view is of this region.
            let bytes = unsafe { view.received_mut(&desc) };
            let wanted = bytes.map(&mut *f);
            if wanted != Some(true) {
                (sent, unwanted) = (n, wanted == Some(false));
                break;
            }
            desc.store(out);
        }
        tx.stage_run(sent);
        tx.publish_count();
        half.rx.release(sent);
        half.delivered += u64::from(sent);
        self.count -= sent;
        self.gone += sent as usize;
        done.sent += u64::from(sent);
        if unwanted {
            half.give_back(1);
            self.count -= 1;
            self.gone += 1;
        }
        sent > 0 || unwanted
    }

    fn forward_first(
        &mut self,
        tx: &mut TxHalf,
        f: &mut impl FnMut(&mut [u8]) -> bool,
        done: &mut Forwarded,
    ) {
        let (fragments, whole) = self.first_packet();
        let send = whole && {
            let desc = self.half.rx.entries(1).peek().unwrap_or_default();
            let span = self.half.shared.geometry().received(&desc);
            // SAFETY: the entry is the first that is lent, and is not released before `f` returns;
            // because of `&mut self` no other slice lives; the range is of this region's geometry.
            span.is_some_and(|span| f(unsafe { self.half.shared.region().received_mut(&span) }))
        };
        let sent = send && self.move_to(tx, fragments);
        self.count -= fragments;
        self.gone += usize::from(whole);
        if sent {
            self.half.rx.release(fragments);
            self.half.delivered += 1;
            done.sent += 1;
        } else {
            done.refused += u64::from(send);
            self.half.give_back(fragments);
        }
    }

    /// Stages the first packet in another half's transmit ring, all of it or nothing.
    fn move_to(&self, tx: &mut TxHalf, fragments: u32) -> bool {
        let geometry = self.half.shared.geometry();
        let fits = |desc: &xdp_desc| geometry.takes_transmit(desc);
        if fragments > tx.max_pieces()
            || tx.ring_room(fragments) < fragments
            || !self.half.rx.entries(fragments).all(|d| fits(&d))
        {
            return false;
        }
        self.clear_request();
        for desc in self.half.rx.entries(fragments) {
            if let Some(chunk) = geometry.chunk_of(desc.addr) {
                tx.note_sent(&desc, chunk, None);
            }
            tx.stage(desc);
        }
        tx.publish_count();
        true
    }

    /// Clears the words that the kernel reads for requests: anything may precede a received packet.
    /// (Some drivers ignore the option that says that there is no request.)
    fn clear_request(&self) {
        let geometry = self.half.shared.geometry();
        let front = geometry.front();
        let first = self.half.rx.entries(1).peek();
        let Some(span) = first.and_then(|desc| geometry.received(&desc)) else {
            return;
        };
        if front > 0 && span.start - geometry.base(span.chunk) >= u64::from(front) {
            let words = ByteRange {
                start: span.start - u64::from(front),
                len: front,
                ..span
            };
            // SAFETY: the entry is lent and not released; no other slice lives; the check keeps the
            // words inside the packet's chunk.
            unsafe { self.half.shared.region().received_mut(&words) }.fill(0);
        }
    }
}
