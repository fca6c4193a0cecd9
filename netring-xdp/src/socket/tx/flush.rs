//! Makes the kernel send committed frames, and counts their fate.
#![deny(unsafe_code)]

use netring_sys::syscall::{Kick, kick_transmit, xdp_statistics_of};
use netring_sys::{Count, Error, SinkStats};

use super::TxHalf;
use super::in_flight::InFlight;

impl TxHalf {
    /// Publishes staged descriptors, and makes the kernel send them if it waits for a call. Returns
    /// how many entries are left in the ring.
    ///
    /// In copy mode the kernel sends within the call, as many frames at a time as its budget
    /// allows: it is called until the ring is empty, or it takes no more.
    pub(crate) fn flush(&mut self) -> Result<u32, Error> {
        if self.tx.staged() > 0 {
            self.published = self.descriptors();
            self.tx.publish();
            self.publish_count();
        }
        // Foreign chunks return to their owner even while this half has enough of its own; and
        // sockets that complete into this half's ring stop once it is full.
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
            // Each round sends something, drops something or makes room for completions, so the
            // loop ends.
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

    /// Frames in the ring or in flight.
    pub(crate) fn pending(&mut self) -> u64 {
        self.reclaim();
        if self.completions_are_elsewhere() {
            return u64::from(self.tx.outstanding());
        }
        // Counted in chunks, without those whose frame continues in another one.
        let inner = self.features.in_flight.as_ref().map_or(0, InFlight::inner);
        self.descriptors()
            .saturating_sub(self.completed + inner)
            .min(self.committed())
    }

    /// Sockets of one queue have one completion ring: frames are completed to its owner, whichever
    /// socket sent them.
    fn completions_are_elsewhere(&self) -> bool {
        self.completion.is_none() || self.socket.is_queue_shared()
    }
}
