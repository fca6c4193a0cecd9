//! Chunks on their way back to the kernel: out of the pool, and out of the receive ring.
//!
//! # Safety
//! The invariant of this file is that of its parent: a token is made only for a chunk whose entry
//! is released in the same step.
#![expect(
    unsafe_code,
    reason = "takes chunks out of the receive ring; the invariant stands above"
)]

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};

use super::RxHalf;
use super::metadata::MARK;
use crate::memory::geometry::Geometry;
use crate::memory::token::ChunkToken;
use crate::memory::umem::{Pool, Shared};
use crate::ring::{Entries, Producer};

impl RxHalf {
    /// Gives the kernel every free chunk that the fill ring has room for, and wakes it if it waits
    /// for them.
    #[inline(never)]
    pub(crate) fn top_up(&mut self) {
        self.pool.collect(&self.shared);
        let Some(fill) = &mut self.fill else { return };
        if !self.pool.is_empty() {
            let (geometry, region) = (self.shared.geometry(), self.shared.region());
            let mut writer = fill.writer(self.pool.len());
            while writer.room() > 0
                && let Some(mut token) = self.pool.pop()
            {
                if self.metadata.is_some() {
                    region.bytes_mut(&mut token, geometry.mark(), MARK).fill(0);
                }
                writer.push(geometry.base(token.into_ring()));
            }
            drop(writer);
            self.pool.publish_count();
        }
        self.wake();
    }

    /// Gives the kernel the chunks that came back meanwhile, and wakes it if it waits for them.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.pool.has_some() {
            self.top_up();
        } else {
            self.wake();
        }
    }

    /// Gives back the chunks of the next `count` entries: to the fill ring, or to their owner.
    #[inline(never)]
    pub(super) fn give_back(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let geometry = *self.shared.geometry();
        if self.assembly.is_some() {
            self.count_whole(count);
        }
        if self.metadata.is_some() {
            self.clear_marks(count);
        }
        let entries = self.rx.entries(count);
        let invalid = match &mut self.fill {
            // Two calls, so that the loop over aligned chunks has no branch per entry.
            Some(fill) if geometry.is_unaligned() => {
                Self::refill(fill, entries, &geometry, &mut self.pool)
            }
            Some(fill) => Self::refill(fill, entries, &geometry.aligned(), &mut self.pool),
            None => Self::return_to_owner(&self.shared, entries),
        };
        if self.assembly.is_none() {
            self.delivered += u64::from(count) - invalid;
            self.invalid += invalid;
        }
        self.rx.release(count);
    }

    /// As [`give_back`](Self::give_back), for entries that are all packets and whose chunks were
    /// written into the fill ring already.
    #[inline]
    pub(super) fn give_back_written(&mut self, count: u32) {
        if self.metadata.is_some() {
            self.clear_marks(count);
        }
        let Some(fill) = &mut self.fill else { return };
        fill.stage_run(count);
        fill.publish();
        self.rx.release(count);
        self.delivered += u64::from(count);
    }

    /// Moves the chunks of entries to the fill ring. Returns how many entries did not point into a
    /// chunk.
    #[inline]
    fn refill(
        fill: &mut Producer<u64>,
        entries: Entries<'_, xdp_desc>,
        geometry: &Geometry,
        pool: &mut Pool,
    ) -> u64 {
        let mut invalid = 0;
        let mut writer = fill.writer(entries.len() as u32);
        let (fitting, others) = entries.split(writer.room());
        let geometry = *geometry;
        writer.extend(fitting, |desc| {
            invalid += u64::from(!geometry.is_inside(&desc));
            // An address outside is not a chunk: it is given to nobody.
            geometry.base_of(desc.addr)
        });
        invalid + Self::to_pool(others, &geometry, pool)
    }

    /// Moves the chunks of entries to the pool, from which [`top_up`](Self::top_up) takes them.
    /// Returns how many entries did not point into a chunk.
    #[inline]
    fn to_pool(entries: Entries<'_, xdp_desc>, geometry: &Geometry, pool: &mut Pool) -> u64 {
        let mut invalid = 0;
        for desc in entries {
            invalid += u64::from(!geometry.is_inside(&desc));
            if let Some(chunk) = geometry.chunk_of(desc.addr) {
                // SAFETY: the chunk is one of the region's; it comes from an entry of the receive
                // ring that the caller releases; it went nowhere else.
                pool.push(unsafe { ChunkToken::from_ring(chunk) });
            }
        }
        invalid
    }

    /// Counts the packets in the next `count` entries, if a packet may have several.
    fn count_whole(&mut self, count: u32) {
        let (mut good, mut open) = (true, false);
        for desc in self.rx.entries(count) {
            good &= self.shared.geometry().received(&desc).is_some();
            open = desc.options & XDP_PKT_CONTD != 0;
            if !open {
                self.delivered += u64::from(good);
                self.invalid += u64::from(!good);
                good = true;
            }
        }
        self.invalid += u64::from(open);
    }

    #[cold]
    fn return_to_owner(shared: &Shared, entries: Entries<'_, xdp_desc>) -> u64 {
        let geometry = shared.geometry();
        let descs = entries.clone();
        shared.return_to_owner(entries.filter_map(|desc| {
            let chunk = geometry.chunk_of(desc.addr)?;
            // SAFETY: the chunk is one of the region's; it comes from an entry of the receive ring
            // that the caller releases; it goes nowhere else.
            Some(unsafe { ChunkToken::from_ring(chunk) })
        }));
        descs
            .filter(|desc| geometry.received(desc).is_none())
            .count() as u64
    }
}
