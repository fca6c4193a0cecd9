//! The transmitting half of a socket: transmit ring, completion ring, and the chunks that go round between them.
//!
//! # Safety
//! The invariant of this file: a token is made for a chunk of the completion ring only as its entry is taken, and the entry is released in
//! the same step; a token is given up only as its chunk goes into the transmit ring.
#![expect(
    unsafe_code,
    reason = "takes chunks back from the kernel; the invariant stands above"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::syscall::{Kick, kick_transmit, xdp_statistics_of};
use netring_sys::{Count, Error, SinkStats};

use crate::geometry::{Geometry, Span};
use crate::region::Token;
use crate::ring::{Consumer, Producer};
use crate::setup::Bound;
use crate::umem::{Pool, Shared};

/// The most chunks of one frame: its head, and the fragments that every kernel's buffers have room for (`MAX_SKB_FRAGS`, 17 or more). Of a
/// frame in more the kernel throws the front away; older ones give none of its chunks back, and send the rest as a frame of its own.
pub(crate) const MAX_PIECES: u32 = 18;

/// The transmitting half.
#[derive(Debug)]
pub(crate) struct TxHalf {
    pub(crate) socket: Arc<Bound>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tx: Producer<xdp_desc>,
    /// None where another socket of the same queue has it.
    pub(crate) completion: Option<Consumer<u64>>,
    pub(crate) pool: Pool,
    /// The most chunks of one frame.
    pub(crate) max_pieces: u32,
    /// What the census knows of frames that are not yet published.
    pub(crate) staged: Arc<AtomicU32>,
    /// Frames that were committed; a frame in several chunks is one.
    pub(crate) committed: u64,
    /// Descriptors that were committed, and those that are completed.
    pub(crate) descs: u64,
    pub(crate) completed: u64,
    /// Frames that the interface's queue threw away.
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    /// Completed chunks of other halves, on their way home; kept for its memory.
    pub(crate) foreign: Vec<Token>,
    /// System calls made to wake the kernel.
    pub(crate) kicks: u64,
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

    /// How many entries the transmit ring has room for, up to `wanted` or more.
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
        self.descs += 1;
        self.committed += u64::from(desc.options & XDP_PKT_CONTD == 0);
    }

    /// Stages the first `len` bytes, up to the whole, of the pool's next chunk, for which there is room.
    #[inline]
    pub(crate) fn stage_next(&mut self, len: u32) {
        if let Some(token) = self.pool.pop() {
            let addr = self.shared.geometry().base(token.into_ring());
            self.stage(xdp_desc {
                addr,
                len,
                options: 0,
            });
        }
    }

    /// Stages `len` bytes from `offset` on of a chunk. Gives the token back where the kernel would not take it, or the ring is full.
    pub(crate) fn stage_token(
        &mut self,
        token: Token,
        offset: u32,
        len: u32,
        options: u32,
    ) -> Result<(), Token> {
        let geometry = self.shared.geometry();
        let span = Span {
            chunk: token.chunk(),
            start: geometry.base(token.chunk()) + u64::from(offset),
            len,
        };
        let desc = xdp_desc {
            addr: geometry.transmit_addr(&span),
            len,
            options,
        };
        let inside = offset <= geometry.chunk_size() && len <= geometry.chunk_size() - offset;
        if !inside || !geometry.takes_transmit(&desc) || self.tx.room(1) == 0 {
            return Err(token);
        }
        token.into_ring();
        self.stage(desc);
        self.tell();
        Ok(())
    }

    /// Tells the census how many chunks are free, and how many committed and not yet published: both at once, so that it adds up.
    /// (Frames that were committed since are still told free.)
    #[inline]
    pub(crate) fn tell(&self) {
        self.pool.tell();
        // Relaxed: a count.
        self.staged.store(self.tx.staged(), Ordering::Relaxed);
    }

    /// Takes back the chunks of frames that are done; how many came.
    pub(crate) fn reclaim(&mut self) -> u32 {
        let mut count = self.pool.collect(&self.shared);
        if count > 0 {
            self.tell();
        }
        let Some(completion) = &mut self.completion else {
            return count;
        };
        let done = completion.available(u32::MAX);
        if done == 0 {
            return count;
        }
        count += done;
        let geometry = *self.shared.geometry();
        let (pool, foreign) = (&mut self.pool, &mut self.foreign);
        let mut take = |addr, geometry: &Geometry| {
            // An address outside is no chunk: nobody gets it.
            let Some(chunk) = geometry.completed(addr) else {
                return;
            };
            // SAFETY: the chunk is one of the region's, out of an entry of the completion ring that is released below.
            let token = unsafe { Token::from_ring(chunk) };
            if pool.is_home_of(chunk) {
                pool.push(token);
            } else {
                foreign.push(token);
            }
        };
        let entries = completion.entries(done);
        if geometry.is_unaligned() {
            entries.for_each(|addr| take(addr, &geometry));
        } else {
            // Said twice, so that there is a loop without the question in it.
            let geometry = geometry.aligned();
            entries.for_each(|addr| take(addr, &geometry));
        }
        completion.release(done);
        self.completed += u64::from(done);
        if !self.foreign.is_empty() {
            self.shared.send_home(self.foreign.drain(..));
        }
        self.tell();
        count
    }

    /// Publishes what was staged, and has the kernel send it where it waits to be told; how many entries are left in the ring.
    ///
    /// In copy mode the kernel sends within the call, so many at a time as its budget has: it is told again until the ring is empty,
    /// or it takes no more.
    pub(crate) fn flush(&mut self) -> Result<u32, Error> {
        if self.tx.staged() > 0 {
            self.tx.publish();
            self.tell();
        }
        // Chunks of other halves go home, also while this one has enough of its own; and sockets that complete into this half's ring get
        // no further once it is full.
        self.reclaim();
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
            // Each round sends something, throws something away or makes room for completions: there are no endless ones.
            let progress = self.reclaim() > 0 || now < left || kick == Kick::Dropped;
            left = now;
            if !progress || self.socket.zero_copy {
                break;
            }
        }
        Ok(left)
    }

    pub(crate) fn stats(&mut self) -> Result<SinkStats, Error> {
        let (kernel, _) = xdp_statistics_of(self.socket.fd())?;
        let mut stats = SinkStats::counted(self.committed, 0);
        stats.dropped = Count::Exact(self.dropped);
        // Every descriptor is checked before it is published: this is 0.
        stats.rejected = Count::Exact(kernel.tx_invalid_descs);
        stats.refused = self.refused;
        stats.pending = self.pending();
        stats.sent = if self.completions_are_elsewhere() {
            Count::Unavailable
        } else {
            let gone = stats.pending + self.dropped;
            Count::Exact(self.committed.saturating_sub(gone))
        };
        Ok(stats)
    }

    /// Frames in the ring or on their way.
    pub(crate) fn pending(&mut self) -> u64 {
        self.reclaim();
        if self.completions_are_elsewhere() {
            return u64::from(self.tx.outstanding());
        }
        // In chunks, where frames have several.
        self.descs
            .saturating_sub(self.completed)
            .min(self.committed)
    }

    /// Sockets of one queue have one completion ring: frames are completed to who has it, whoever sent them.
    fn completions_are_elsewhere(&self) -> bool {
        self.completion.is_none() || self.socket.is_queue_shared()
    }
}

impl Drop for TxHalf {
    fn drop(&mut self) {
        // Frames that were committed and not flushed are gone with the ring, and not free.
        self.tell();
    }
}
