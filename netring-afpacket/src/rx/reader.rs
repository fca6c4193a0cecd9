//! Reads the ring block by block, keeps the place in the current block, and counts what was lent.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use netring_sys::kernel::packet::TP_STATUS_LOSING;
use netring_sys::{Count, Packet, Stats, SyscallError};

use super::counters::{Counters, KernelCounts};
use super::geometry::RingGeometry;
use super::pace::{Change, Pace};
use super::parse::{Context, Counts, Packets, Position, sequence};
use super::prepare::prepare;
use super::ring::Ring;
use crate::fanout::Published;

/// The reading end of a ring.
#[derive(Debug)]
pub(crate) struct Reader {
    ring: Ring,
    context: Context,
    geometry: RingGeometry,
    /// Boxed because a capture is moved about and this is rarely looked at.
    pace: Box<Pace>,
    counters: Counters,
    /// The counts that another thread reads, if the capture is in a fanout group.
    published: Option<Arc<Published>>,
    /// The next packet of the current block, once the block was looked at.
    at: Option<Position>,
}

impl Reader {
    pub(crate) fn new(ring: Ring, geometry: RingGeometry, context: Context, pace: Pace) -> Self {
        Self {
            ring,
            context,
            geometry,
            pace: Box::new(pace),
            counters: Counters::default(),
            published: None,
            at: None,
        }
    }

    /// Publishes the counts of lent packets from now on.
    pub(crate) fn publish(&mut self, published: Arc<Published>) {
        self.published = Some(published);
    }

    pub(crate) const fn geometry(&self) -> RingGeometry {
        self.geometry
    }

    /// Whether the current block has a packet to lend. Blocks that have none are given back.
    ///
    /// `kernel_counters` reads the kernel's counters, which resets them. Its argument is what was
    /// dropped before.
    #[inline]
    pub(crate) fn look(
        &mut self,
        mut kernel_counters: impl FnMut(u64) -> Result<KernelCounts, SyscallError>,
    ) -> Result<bool, SyscallError> {
        while self.at.is_none() {
            let Some(status) = self.ring.status() else {
                return Ok(false);
            };
            // While packets are lost, blocks carry this flag until the counters are read, which
            // cannot wrap within one block.
            if status & TP_STATUS_LOSING != 0 || self.counters.is_due() {
                self.read_kernel(&mut kernel_counters)?;
            }
            if self.geometry.slot_size.is_some() {
                self.ring.convert_header();
                self.at = Some(Position::in_a_slot());
            } else {
                self.at = self.ring.block().map(Position::first);
            }
            if self.context.vlan_in_bytes || self.context.offload {
                self.prepare();
            }
            self.release_if_done();
        }
        Ok(true)
    }

    /// The packets that are left of the current block; none before [`look`](Self::look) found one.
    #[inline]
    pub(crate) fn packets<'a>(&'a self, counts: &'a Cell<Option<Counts>>) -> Packets<'a> {
        let at = self.at.unwrap_or_default();
        let block = self.block().unwrap_or_default();
        Packets::new(block, &self.context, at, counts)
    }

    /// Calls `f` with the packets of the current block, and stays behind the one that it breaks at.
    pub(crate) fn each<B>(
        &mut self,
        f: &mut impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        let block = self.ring.block()?;
        let mut broke = None;
        // The place and the count are written before each call, so they are right even if it
        // panics.
        while let Some(packet) = self.at.as_mut()?.step(block, &self.context) {
            self.counters.add(Counts {
                delivered: 1,
                invalid: 0,
            });
            if let ControlFlow::Break(value) = f(packet) {
                broke = Some(value);
                break;
            }
        }
        self.publish_taken();
        self.release_if_done();
        broke
    }

    /// Gives the current block back. `walked` is what an iteration over all its packets found; if
    /// there was none, all packets that are left count as delivered.
    #[inline]
    pub(crate) fn release(&mut self, walked: Option<Counts>) {
        if let Some(at) = self.at
            && let Some(block) = self.ring.block()
        {
            self.release_counted(match walked {
                Some(rest) => rest,
                None => at.counts(block, &self.context),
            });
        }
    }

    /// The number of the current block or slot, from 1; 0 if there is none to lend.
    pub(crate) fn sequence(&self) -> u64 {
        match self.geometry.slot_size {
            Some(_) => self.block().map_or(0, |_| self.counters.read() + 1),
            None => self.block().map_or(0, sequence),
        }
    }

    /// The ring is empty: decides whether the next block wakes the reader, or the clock, if that is
    /// to change.
    pub(crate) fn idle(&mut self, ticked: bool) -> Option<Change> {
        self.pace.idle(ticked, Instant::now)
    }

    /// No clock is available: blocks wake the reader for good.
    pub(crate) fn give_up_pace(&mut self) {
        self.pace.give_up();
    }

    /// Packets that the kernel dropped, as far as its counters were read.
    pub(crate) const fn dropped(&self) -> u64 {
        self.counters.dropped()
    }

    pub(crate) fn add_kernel(&mut self, delta: KernelCounts) {
        self.counters.add_kernel(delta);
    }

    pub(crate) const fn stats(&self, link_downs: Count) -> Stats {
        let mut stats = self.counters.stats(link_downs);
        if self.geometry.slot_size.is_some() {
            // The kernel counts it for blocks only.
            stats.freezes = Count::Unavailable;
        }
        stats
    }

    /// The current block, if it has a packet to lend.
    #[inline]
    fn block(&self) -> Option<&[u8]> {
        self.at.and_then(|_| self.ring.block())
    }

    /// Once for each block, before any of its packets is lent.
    #[inline(never)]
    fn prepare(&mut self) {
        if let (Some(at), Some(block)) = (self.at, self.ring.block_mut()) {
            self.at = Some(prepare(block, at, &self.context));
        }
    }

    #[inline]
    fn publish_taken(&self) {
        if let Some(published) = &self.published {
            published.set(self.counters.taken());
        }
    }

    #[cold]
    fn read_kernel(
        &mut self,
        kernel_counters: &mut impl FnMut(u64) -> Result<KernelCounts, SyscallError>,
    ) -> Result<(), SyscallError> {
        let dropped = self.counters.dropped();
        self.counters.add_kernel(kernel_counters(dropped)?);
        Ok(())
    }

    /// Gives the current block back if none of its packets is left that can be read.
    fn release_if_done(&mut self) {
        if let (Some(at), Some(block)) = (self.at, self.ring.block())
            && !at.is_readable(block, &self.context)
        {
            self.release_counted(at.counts(block, &self.context));
        }
    }

    fn release_counted(&mut self, rest: Counts) {
        self.counters.add(rest);
        self.publish_taken();
        self.at = None;
        self.ring.release();
        self.pace.block();
    }
}

#[cfg(test)]
impl Reader {
    pub(crate) const fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }
}
