//! Takes back the chunks of completed frames.
//!
//! # Safety
//! The invariant of this file: a token is made for a chunk of the completion ring only as its entry
//! is taken, and the entry is released in the same step.
#![expect(
    unsafe_code,
    reason = "takes chunks back from the kernel; the invariant stands above"
)]

use std::ops::Range;

use super::TxHalf;
use super::in_flight::InFlight;
use crate::memory::geometry::ChunkIndex;
use crate::memory::region::Region;
use crate::memory::token::ChunkToken;
use crate::memory::umem::Pool;
use crate::ring::{Entry, Producer};

impl TxHalf {
    /// Takes back the chunks of frames that are done. Returns how many came.
    pub(crate) fn reclaim(&mut self) -> u32 {
        let mut count = self.pool.collect(&self.shared);
        if count > 0 {
            self.publish_count();
        }
        let Some(completion) = &mut self.completion else {
            return count;
        };
        let mut left = completion.available(u32::MAX);
        while left > 0 {
            let run = completion.run(left);
            let geometry = *self.shared.geometry();
            let own = self.pool.window();
            let own = |addr: &_| geometry.chunk_in(own, u64::load(addr));
            // SAFETY: each chunk is one of the region's; it comes from an entry of the completion
            // ring that is released below; no other token is made of that entry.
            let done = unsafe { self.pool.free_mut().push_from_ring(run, own) } as u32;
            let other = run.get(done as usize).map(u64::load);
            if let Some(in_flight) = &mut self.features.in_flight {
                let came = done as usize + usize::from(other.is_some());
                note_completed(
                    in_flight,
                    self.shared.region(),
                    run.get(..came).unwrap_or(run),
                );
            }
            let taken = done + u32::from(other.is_some());
            completion.release(taken);
            self.completed += u64::from(taken);
            count += taken;
            // A chunk of another half, or an unaligned one. An address outside is not a chunk, and
            // goes to nobody.
            if let Some(chunk) = other.and_then(|addr| geometry.completed(addr)) {
                // SAFETY: the chunk is one of the region's; its entry was released above; no other
                // token is made of that entry.
                let token = unsafe { ChunkToken::from_ring(chunk) };
                if self.pool.range().contains(&chunk) {
                    self.pool.push(token);
                } else {
                    self.foreign.completed.push(token);
                }
            }
            left -= taken;
        }
        if !self.foreign.completed.is_empty() {
            self.shared
                .return_to_owner(self.foreign.completed.drain(..));
        }
        self.publish_count();
        count
    }

    /// Takes chunks of frames that are done straight to the fill ring of the half that received in
    /// them. Returns how many.
    #[inline]
    pub(in crate::socket) fn reclaim_into(&mut self, pool: &Pool, fill: &mut Producer<u64>) -> u32 {
        let Some(completion) = &mut self.completion else {
            return 0;
        };
        let own = pool.window();
        let left = completion.available(u32::MAX);
        fill.room(left);
        let mut count = 0;
        while count < left {
            let run = completion.run(left - count);
            let mut done = 0;
            for (entry, room) in run.iter().zip(fill.run(run.len() as u32)) {
                let addr = u64::load(entry);
                if !own.has(addr) {
                    break;
                }
                // Any address inside an aligned chunk will do: the kernel goes back to its start.
                addr.store(room);
                done += 1;
            }
            if done == 0 {
                break;
            }
            if let Some(in_flight) = &mut self.features.in_flight {
                let came = run.get(..done as usize).unwrap_or(run);
                note_completed(in_flight, self.shared.region(), came);
            }
            fill.stage_run(done);
            completion.release(done);
            count += done;
        }
        if count > 0 {
            fill.publish();
        }
        self.completed += u64::from(count);
        // Anything else takes the slow path.
        if count < left {
            self.reclaim();
        }
        count
    }

    /// As [`reclaim`](Self::reclaim), if there are more completions than may be left in the ring.
    #[inline]
    pub(super) fn reclaim_most(&mut self) -> u32 {
        // Other sockets complete into a shared ring too, and wait for room in it.
        let keep = if self.socket.is_queue_shared() {
            0
        } else {
            self.foreign.keep
        };
        if let Some(completion) = &mut self.completion
            && keep > 0
            && completion.available(keep + 1) <= keep
        {
            return 0;
        }
        self.reclaim()
    }

    /// Some of these chunks, of another half, are about to be sent; see
    /// [`ForeignChunks::sends`](super::foreign::ForeignChunks::sends).
    #[inline]
    pub(in crate::socket) fn sends_foreign(&mut self, chunks: &Range<ChunkIndex>) -> bool {
        self.foreign.sends(chunks)
    }

    /// How many completions a flush may leave in their ring from now on.
    #[inline]
    pub(in crate::socket) const fn keep_completions(&mut self, keep: u32) {
        self.foreign.keep = keep;
    }
}

/// Reads the notes about chunks in unreleased entries of the completion ring, before they are
/// reused.
#[cold]
fn note_completed(in_flight: &mut InFlight, region: &Region, run: &[<u64 as Entry>::Words]) {
    for addr in run.iter().map(u64::load) {
        let Some(chunk) = region.geometry().completed(addr) else {
            continue;
        };
        // SAFETY: the chunk is in an entry of the completion ring that is not released, so the
        // kernel is done with it; its next owner has not looked at the entry yet; the range is that
        // of the words before the frame, which was inside the chunk when this half sent it.
        in_flight.completed(chunk, |words| unsafe { region.received(words) });
    }
}
