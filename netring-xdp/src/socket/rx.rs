//! The receiving half of a socket: receive ring, fill ring, and the chunks that circulate between
//! them.
//!
//! # Safety
//! The invariant of this module: the first `count` entries of the receive ring are lent by one
//! [`RxBatch`], which borrows the half mutably. They are released when it is dropped, or one by one
//! from the front as a chunk is taken out. Slices of packets borrow the [`RxBatch`]. A chunk leaves
//! an entry in one of three ways, each of which releases the entry: to the fill ring, to a token,
//! to a transmit ring.
//!
//! Most batches are read once, in order, and then given back whole. So the iterator that reads an
//! entry also writes its chunk into the fill ring, unpublished ([`Frames`]), and giving back a
//! batch that was read to its end only publishes. Until then the written entries mean nothing: if a
//! batch was not read to its end, or a packet was taken out of it, its entries are processed again.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

mod assemble;
mod batch;
mod forward;
mod iter;
mod metadata;
mod recycle;

use std::sync::Arc;

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::syscall::kick_receive;

use super::bound::BoundSocket;
use crate::memory::umem::{Pool, Shared};
use crate::ring::{Consumer, Memory, Producer};

pub use forward::Forwarded;
pub use iter::Frames;
pub use metadata::Described;

use assemble::Assembly;
pub(crate) use batch::{OwnedChunk, RxBatch};
pub(crate) use metadata::MetadataPlacement;

/// The most entries that a large ring lends at once, and what a small one lends: the fill ring is
/// refilled, and its position published, once per batch.
const MAX_BATCH: u32 = 256;
const SMALL_BATCH: u32 = 64;

/// The receiving half.
#[derive(Debug)]
pub(crate) struct RxHalf {
    socket: Arc<BoundSocket>,
    shared: Arc<Shared>,
    rx: Consumer<xdp_desc>,
    /// `None` if another socket of the same queue has it.
    fill: Option<Producer<u64>>,
    pool: Pool,
    /// Packets that were lent.
    delivered: u64,
    /// Packets whose descriptor pointed outside its chunk, or outside the packet memory.
    invalid: u64,
    /// Assembles packets that span several chunks; `None` if the socket does not take them.
    assembly: Option<Assembly>,
    /// The packets before which metadata is read; `None`: none.
    metadata: Option<MetadataPlacement>,
    /// System calls made to wake the kernel.
    kicks: u64,
}

/// The parts of a receiving half.
pub(crate) struct RxParts {
    pub(crate) socket: Arc<BoundSocket>,
    pub(crate) receive: Memory,
    /// `None` if another socket of the same queue has it.
    pub(crate) fill: Option<Memory>,
    /// The chunks to receive in.
    pub(crate) pool: Pool,
    /// Whether packets may span several chunks.
    pub(crate) multi_buffer: bool,
    pub(crate) metadata: Option<MetadataPlacement>,
}

impl RxHalf {
    /// Makes the half and fills its fill ring.
    pub(crate) fn new(parts: RxParts) -> Self {
        let mut half = Self {
            shared: parts.socket.shared.clone(),
            socket: parts.socket,
            rx: Consumer::new(parts.receive),
            fill: parts.fill.map(Producer::new),
            pool: parts.pool,
            delivered: 0,
            invalid: 0,
            assembly: parts.multi_buffer.then(Assembly::default),
            metadata: parts.metadata,
            kicks: 0,
        };
        half.top_up();
        half
    }

    #[inline]
    pub(crate) fn socket(&self) -> &BoundSocket {
        &self.socket
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Packets that were lent or taken.
    pub(crate) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Packets whose descriptor pointed outside its chunk, or outside the packet memory.
    pub(crate) const fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Entries in the receive ring.
    pub(crate) fn pending(&mut self) -> u32 {
        self.rx.available(u32::MAX)
    }

    /// System calls made to wake the kernel.
    pub(crate) const fn kicks(&self) -> u64 {
        self.kicks
    }

    /// Whether packets may span several chunks.
    pub(crate) const fn takes_several(&self) -> bool {
        self.assembly.is_some()
    }

    pub(crate) const fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Whether there is a packet. If not, the fill ring is refilled, and the kernel woken if it
    /// waits for that.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        if self.rx.available(1) > 0 && (self.assembly.is_none() || self.has_whole()) {
            return true;
        }
        self.settle();
        false
    }

    /// How many packets the kernel has room for while none is waiting.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        let own = self.pool.range();
        self.rx.size().min(own.end - own.start)
    }

    /// Packets that came out of the ring.
    pub(crate) const fn seen(&self) -> u64 {
        self.delivered + self.invalid
    }

    /// The most entries that are lent at once: an eighth of what the kernel can write to, so that
    /// it keeps the rest.
    #[inline]
    fn most(&self) -> u32 {
        (self.capacity() / 8).clamp(SMALL_BATCH, MAX_BATCH)
    }

    /// An empty batch.
    #[inline]
    pub(crate) const fn lend_none(&mut self) -> RxBatch<'_> {
        RxBatch::new(self, 0, true, false)
    }

    /// Lends whole packets in up to [`most`](Self::most) entries.
    #[inline(always)]
    pub(crate) fn lend(&mut self) -> RxBatch<'_> {
        let (count, contiguous) = self.contiguous();
        if self.assembly.is_none() || self.are_single(count) {
            return RxBatch::new(self, count, contiguous, false);
        }
        let count = self.whole();
        self.assemble(count);
        RxBatch::new(self, count, false, true)
    }

    /// How many entries there are, up to [`most`](Self::most), and whether they are
    /// [contiguous](RxBatch): the batch ends where one of the rings wraps, unless that is close.
    #[inline]
    fn contiguous(&mut self) -> (u32, bool) {
        const CLOSE: u32 = 16;
        let count = self.rx.available(1).min(self.most());
        let Some(fill) = &mut self.fill else {
            return (count, false);
        };
        let free = fill.room(count);
        let (run, room) = (self.rx.to_end(), fill.to_end());
        // If both wrap at once, as they mostly do, there is only one such end in a round.
        let cut = if run == room || run.min(room) >= CLOSE {
            count.min(run).min(room)
        } else {
            count
        };
        (cut, cut > 0 && cut <= free.min(run).min(room))
    }

    /// Wakes the kernel if it waits for chunks, and drives it if busy polling makes that the
    /// application's work.
    #[inline]
    fn wake(&mut self) {
        let Some(fill) = &self.fill else { return };
        if fill.needs_wakeup() || self.socket.busy_polls {
            self.kick();
        }
    }

    #[cold]
    fn kick(&mut self) {
        self.kicks += 1;
        // Notifications report the state of the interface better than this call does; any other
        // failure is retried next time.
        let _ = kick_receive(self.socket.fd());
    }

    /// Whether each of the next `count` entries is a packet of its own. Most batches are like that,
    /// also with multi-buffer.
    #[inline]
    fn are_single(&self, count: u32) -> bool {
        // No branch per entry: continued ones are rare.
        let options = self
            .rx
            .entries(count)
            .fold(0, |all, desc| all | desc.options);
        options & XDP_PKT_CONTD == 0
    }

    /// Whether there is a whole packet, if there is an entry.
    #[inline]
    fn has_whole(&mut self) -> bool {
        self.are_single(1) || self.whole() > 0
    }

    /// How many entries are whole packets, up to [`most`](Self::most) or the end of the first
    /// packet.
    #[inline(never)]
    fn whole(&mut self) -> u32 {
        let most = self.most();
        let available = self.rx.available(most);
        let (mut whole, mut seen) = (0, 0);
        for desc in self.rx.entries(available) {
            seen += 1;
            if desc.options & XDP_PKT_CONTD == 0 {
                whole = seen;
            }
            if seen >= most && whole > 0 {
                break;
            }
        }
        // A packet that fills the whole ring will never end: it is given up, and counted as
        // invalid.
        if whole == 0 && available == self.rx.size() {
            return available;
        }
        whole
    }

    fn assemble(&mut self, count: u32) {
        let Some(assembly) = &mut self.assembly else {
            return;
        };
        let region = self.shared.region();
        assembly.clear();
        for desc in self.rx.entries(count) {
            let range = region.geometry().received(&desc);
            // SAFETY: the entry is not released before the slice is gone, which is within this
            // iteration; the range is of this region's geometry; nobody else has the chunk.
            let bytes = range.map(|range| (range, unsafe { region.received(&range) }));
            assembly.add(bytes, desc.options & XDP_PKT_CONTD != 0);
        }
        assembly.end();
    }
}
