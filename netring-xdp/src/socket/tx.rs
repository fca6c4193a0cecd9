//! The transmitting half of a socket: transmit ring, completion ring, and the chunks that go round
//! between them.
//!
//! # Safety
//! The invariant of this file: a token is made for a chunk of the completion ring only as its entry
//! is taken, and the entry is released in the same step; a token is given up only as its chunk goes
//! into the transmit ring.
#![expect(
    unsafe_code,
    reason = "takes chunks back from the kernel; the invariant stands above"
)]

mod in_flight;
mod request;
mod slot;
mod slow_path;

pub use in_flight::TransmitTimestamps;
pub(crate) use in_flight::{InFlight, TxFeatures};
pub use request::TimestampStats;
pub(crate) use request::{Offloads, Request, not_opened};
pub use slot::Slot;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::syscall::{Kick, kick_transmit, xdp_statistics_of};
use netring_sys::{Count, Error, SinkStats};

use crate::memory::geometry::ChunkIndex;
use crate::memory::region::{ChunkToken, Region};
use crate::memory::umem::{Pool, Shared};
use crate::ring::{Consumer, Entry, Producer};
use crate::socket::bound::BoundSocket;

/// The most chunks of one frame: its head, and the fragments that every kernel's buffers have room
/// for (`MAX_SKB_FRAGS`, 17 or more). Of a frame in more the kernel throws the front away; older
/// ones give none of its chunks back, and send the rest as a frame of its own.
pub(crate) const MAX_PIECES: u32 = 18;

/// No chunks of other halves.
pub(crate) const NONE_SENT_ON: Range<ChunkIndex> = Range {
    start: ChunkIndex::MAX,
    end: 0,
};

/// The transmitting half.
#[derive(Debug)]
pub(crate) struct TxHalf {
    pub(crate) socket: Arc<BoundSocket>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tx: Producer<xdp_desc>,
    /// None where another socket of the same queue has it.
    pub(crate) completion: Option<Consumer<u64>>,
    pub(crate) pool: Pool,
    /// The most chunks of one frame.
    pub(crate) max_pieces: u32,
    /// What the census knows of frames that are not yet published.
    pub(crate) staged: Arc<AtomicU32>,
    /// Descriptors that were published.
    pub(crate) published: u64,
    /// Descriptors that were staged whose frame goes on in another.
    pub(crate) continued: u64,
    /// Descriptors that are completed.
    pub(crate) completed: u64,
    /// Frames that the interface's queue threw away.
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    /// Completed chunks of other halves, on their way home; kept for its memory.
    pub(crate) foreign: Vec<ChunkToken>,
    /// How many completions [`flush`](Self::flush) may leave where they are: who sends on by
    /// [`RxBatch::forward`](crate::socket::rx::RxBatch::forward) takes so many back there, by a
    /// shorter way.
    pub(crate) keep: u32,
    /// From the first to the last of the chunks of other halves that ever went out by this one.
    pub(crate) sent_on: Range<ChunkIndex>,
    /// System calls made to wake the kernel.
    pub(crate) kicks: u64,
    pub(crate) features: TxFeatures,
}

impl TxHalf {
    /// How many frames of one chunk can be committed now.
    #[inline]
    pub(crate) fn room(&mut self) -> u32 {
        let room = self.pool.len().min(self.tx.room(1));
        if room > 0 {
            return room;
        }
        self.reclaim();
        self.pool.len().min(self.tx.room(1))
    }

    /// Whether a frame of one chunk can be committed now.
    #[inline]
    pub(crate) fn has_room_for_one(&mut self) -> bool {
        !self.pool.is_empty() && self.tx.has_room() || self.makes_room_for_one()
    }

    #[cold]
    fn makes_room_for_one(&mut self) -> bool {
        self.room() > 0
    }

    /// How many entries the transmit ring has room for, up to `wanted` or more.
    #[inline]
    pub(crate) fn ring_room(&mut self, wanted: u32) -> u32 {
        self.tx.room(wanted)
    }

    /// Stages a descriptor that the caller checked, and for which there is room.
    #[inline]
    pub(crate) fn stage(&mut self, desc: xdp_desc) {
        let staged = self.tx.stage(desc);
        debug_assert!(staged, "the caller looked for room");
        debug_assert!(
            self.shared.geometry().takes_transmit(&desc),
            "the caller checked"
        );
        self.continued += u64::from(desc.options & XDP_PKT_CONTD != 0);
    }

    /// Stages the first `len` bytes, up to the whole, of the pool's next chunk, for which there is
    /// room.
    #[inline]
    pub(crate) fn stage_next(&mut self, len: u32) {
        if let Some(addr) = self.pool.pop_into_ring() {
            let options = 0;
            self.tx.put(xdp_desc { addr, len, options });
        }
    }

    /// Stages the next `count` entries of the ring, which are written, each a frame that was
    /// checked.
    #[inline]
    pub(crate) fn stage_run(&mut self, count: u32) {
        self.tx.stage_run(count);
    }

    /// Descriptors that were staged ever.
    const fn descriptors(&self) -> u64 {
        self.published + self.tx.staged() as u64
    }

    /// Frames that were committed; a frame in several chunks is one.
    pub(crate) const fn committed(&self) -> u64 {
        self.descriptors() - self.continued
    }

    /// Tells the census how many chunks are free, and how many committed and not yet published:
    /// both at once, so that it adds up. (Frames that were committed since are still published_len
    /// free.)
    #[inline]
    pub(crate) fn publish_count(&self) {
        self.pool.publish_count();
        // Relaxed: a count.
        self.staged.store(self.tx.staged(), Ordering::Relaxed);
    }

    /// Shows a free chunk to `write` for each frame, up to `most`, and stages those that are as
    /// long as it says. How many were staged, and the length that ended it where that cannot
    /// be.
    #[inline]
    pub(crate) fn write_each(
        &mut self,
        most: u32,
        mut write: impl FnMut(&mut [u8]) -> usize,
    ) -> (u32, Option<usize>) {
        if self.features.short == 0 {
            return self.write_each_slowly(most, write);
        }
        let mut wanted = most.min(self.pool.len().min(self.tx.room(1)));
        if wanted < most {
            self.reclaim();
            wanted = most.min(self.pool.len().min(self.tx.room(most)));
        }
        let (mut count, mut bad) = (0, None);
        // Twice where the ring begins anew in between.
        while count < wanted && bad.is_none() {
            let view = self.shared.region().view();
            let size = self.shared.geometry().chunk_size() as usize;
            let entries = self.tx.run(wanted - count);
            let room = entries.len();
            let mut written = 0;
            for (token, entry) in self.pool.free_mut().top_mut(room).iter_mut().zip(entries) {
                let (addr, bytes) = view.chunk(token);
                let len = write(bytes);
                if len == 0 || len > size {
                    bad = Some(len);
                    break;
                }
                let desc = xdp_desc {
                    addr,
                    len: len as u32,
                    options: 0,
                };
                desc.store(entry);
                written += 1;
            }
            self.pool.free_mut().give_up(room, written);
            self.stage_run(written as u32);
            count += written as u32;
        }
        self.publish_count();
        (count, bad)
    }

    /// Chunks of another half are about to go out, some of these: whether there never were any but
    /// these. Only then may completions be left where they are: a half with few chunks could
    /// have all of them there, and be sent nothing any more.
    #[inline]
    pub(crate) fn sends_on(&mut self, chunks: &Range<ChunkIndex>) -> bool {
        self.sent_on.start = self.sent_on.start.min(chunks.start);
        self.sent_on.end = self.sent_on.end.max(chunks.end);
        self.sent_on == *chunks
    }

    /// Takes back the chunks of frames that are done; how many came.
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
            // SAFETY: each chunk is one of the region's, out of an entry of the completion ring
            // that is released below.
            let done = unsafe { self.pool.free_mut().push_from_ring(run, own) } as u32;
            let strange = run.get(done as usize).map(u64::load);
            if let Some(in_flight) = &mut self.features.in_flight {
                let came = done as usize + usize::from(strange.is_some());
                note_completed(
                    in_flight,
                    self.shared.region(),
                    run.get(..came).unwrap_or(run),
                );
            }
            completion.release(done + u32::from(strange.is_some()));
            self.completed += u64::from(done + u32::from(strange.is_some()));
            count += done + u32::from(strange.is_some());
            // One of another half's, or not aligned; an address outside is no chunk, and nobody
            // gets it.
            if let Some(chunk) = strange.and_then(|addr| geometry.completed(addr)) {
                // SAFETY: as above.
                let token = unsafe { ChunkToken::from_ring(chunk) };
                if self.pool.range().contains(&chunk) {
                    self.pool.push(token);
                } else {
                    self.foreign.push(token);
                }
            }
            left -= done + u32::from(strange.is_some());
        }
        if !self.foreign.is_empty() {
            self.shared.return_to_owner(self.foreign.drain(..));
        }
        self.publish_count();
        count
    }

    /// Takes chunks of frames that are done straight to the fill ring of the half whose packets
    /// they were; how many.
    #[inline]
    pub(crate) fn reclaim_into(&mut self, pool: &Pool, fill: &mut Producer<u64>) -> u32 {
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
                // Of an aligned chunk any address will do: the kernel goes back to its start.
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
        // Anything strange is left to the longer way.
        if count < left {
            self.reclaim();
        }
        count
    }

    /// As [`reclaim`](Self::reclaim), where there are more than those that may be left where they
    /// are.
    #[inline]
    fn reclaim_most(&mut self) -> u32 {
        // Others complete into this ring too, and wait for room in it.
        let keep = if self.socket.is_queue_shared() {
            0
        } else {
            self.keep
        };
        if let Some(completion) = &mut self.completion
            && keep > 0
            && completion.available(keep + 1) <= keep
        {
            return 0;
        }
        self.reclaim()
    }

    /// Publishes what was staged, and has the kernel send it where it waits to be published_len;
    /// how many entries are left in the ring.
    ///
    /// In copy mode the kernel sends within the call, so many at a time as its budget has: it is
    /// published_len again until the ring is empty, or it takes no more.
    pub(crate) fn flush(&mut self) -> Result<u32, Error> {
        if self.tx.staged() > 0 {
            self.published = self.descriptors();
            self.tx.publish();
            self.publish_count();
        }
        // Chunks of other halves go home, also while this one has enough of its own; and sockets
        // that complete into this half's ring get no further once it is full.
        self.reclaim_most();
        let mut left = self.tx.outstanding();
        while left > 0 {
            if !self.tx.needs_wakeup() && !self.socket.busy_polls {
                return Ok(left);
            }
            self.kicks += 1;
            let kick =
                kick_transmit(self.socket.fd()).map_err(|error| self.socket.failed(error))?;
            self.dropped += u64::from(kick == Kick::Dropped);
            let now = self.tx.outstanding();
            // Each round sends something, throws something away or makes room for completions:
            // there are no endless ones.
            let progress = self.reclaim_most() > 0
                || now < left
                || kick == Kick::Dropped
                || self.reclaim() > 0;
            left = now;
            if !progress || self.socket.zero_copy {
                break;
            }
        }
        Ok(left)
    }

    pub(crate) fn stats(&mut self) -> Result<SinkStats, Error> {
        let (kernel, _) = xdp_statistics_of(self.socket.fd())?;
        let mut stats = SinkStats::counted(self.committed(), 0);
        stats.dropped = Count::Exact(self.dropped);
        // Every descriptor is checked before it is published: this is 0.
        stats.rejected = Count::Exact(kernel.tx_invalid_descs);
        stats.refused = self.refused;
        stats.pending = self.pending();
        stats.sent = if self.completions_are_elsewhere() {
            Count::Unavailable
        } else {
            let gone = stats.pending + self.dropped;
            Count::Exact(self.committed().saturating_sub(gone))
        };
        Ok(stats)
    }

    /// Frames in the ring or on their way.
    pub(crate) fn pending(&mut self) -> u64 {
        self.reclaim();
        if self.completions_are_elsewhere() {
            return u64::from(self.tx.outstanding());
        }
        // In chunks, of which those are left out whose frame goes on in another.
        let inner = self.features.in_flight.as_ref().map_or(0, InFlight::inner);
        self.descriptors()
            .saturating_sub(self.completed + inner)
            .min(self.committed())
    }

    /// Sockets of one queue have one completion ring: frames are completed to who has it, whoever
    /// sent them.
    fn completions_are_elsewhere(&self) -> bool {
        self.completion.is_none() || self.socket.is_queue_shared()
    }
}

impl Drop for TxHalf {
    fn drop(&mut self) {
        // Frames that were committed and not flushed are gone with the ring, and not free.
        self.publish_count();
    }
}

/// Looks what is known of the chunks in entries of the completion ring that are not yet released,
/// before they are used anew.
#[cold]
fn note_completed(in_flight: &mut InFlight, region: &Region, run: &[<u64 as Entry>::Words]) {
    for addr in run.iter().map(u64::load) {
        let Some(chunk) = region.geometry().completed(addr) else {
            continue;
        };
        // SAFETY: the chunk was sent by this half, or nothing would be known of it, and is in an
        // entry of the completion ring that is not released: the kernel has done with it,
        // and who is to have it next has not looked at it yet; the span is that of the words
        // before the frame, and was inside of the chunk as it was sent.
        in_flight.completed(chunk, |words| unsafe { region.received(words) });
    }
}
