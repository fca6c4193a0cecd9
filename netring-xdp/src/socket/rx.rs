//! The receiving half of a socket: receive ring, fill ring, and the chunks that go round between
//! them.
//!
//! # Safety
//! The invariant of this file: the next `count` entries of the receive ring are lent by one
//! [`RxBatch`], which borrows the half mutably, and are released only when it is dropped, or one by
//! one from the front as a chunk is taken out of it. Slices of packets borrow the [`RxBatch`]. A
//! chunk leaves an entry by one of three ways, each of which releases it: to the fill ring, to a
//! token, to a transmit ring.
//!
//! Most batches are looked at once, in order, and then given back whole. So who looks at an entry
//! also writes the chunk into the fill ring, not yet published ([`Frames`]); a batch that was
//! looked at to its end then has only to publish. What is written there counts for nothing until
//! then: a batch that was not looked at to its end, or had a packet taken out, is gone through once
//! more.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

mod assemble;
mod forward;
mod iter;
mod metadata;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::syscall::kick_receive;

use super::bound::BoundSocket;
use crate::memory::geometry::Geometry;
use crate::memory::region::ChunkToken;
use crate::memory::umem::{Pool, Shared};
use crate::ring::{Consumer, Entries, Producer};

pub use forward::Forwarded;
pub use iter::Frames;
pub use metadata::Described;

pub(crate) use assemble::Assembly;
use metadata::MARK;
pub(crate) use metadata::MetadataPlacement;

/// The most entries that are lent at once, of a large ring, and what a small one lends: the fill
/// ring is topped up, and its position published, once for so many.
const MAX_BATCH: u32 = 256;
const SMALL_BATCH: u32 = 64;

/// The receiving half.
#[derive(Debug)]
pub(crate) struct RxHalf {
    pub(crate) socket: Arc<BoundSocket>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rx: Consumer<xdp_desc>,
    /// None where another socket of the same queue has it.
    pub(crate) fill: Option<Producer<u64>>,
    pub(crate) pool: Pool,
    /// Packets that were lent.
    pub(crate) delivered: u64,
    /// Packets whose descriptor pointed out of its chunk, or out of the packet memory.
    pub(crate) invalid: u64,
    /// Puts packets together that lie in more than one chunk; None where the socket does not take
    /// such.
    pub(crate) assembly: Option<Assembly>,
    /// Before which packets metadata is read; None: before none.
    pub(crate) metadata: Option<MetadataPlacement>,
    /// System calls made to wake the kernel.
    pub(crate) kicks: u64,
}

/// Packets at the front of the receive ring.
#[derive(Debug)]
pub(crate) struct RxBatch<'a> {
    half: &'a mut RxHalf,
    /// Entries that are lent yet.
    count: u32,
    /// Packets of the assembly that are lent no more.
    gone: usize,
    /// The first entry is the rest of a packet, whose front was taken.
    open: bool,
    /// No packet has several entries, and entries, and room for their chunks in the fill ring, are
    /// in one run each.
    straight: bool,
    /// Packets are those of the assembly: some have several entries.
    assembled: bool,
    /// The chunks of all lent entries stand in the fill ring, not yet published: all entries were
    /// looked at, and were inside. Relaxed: it is read by who owns the batch, once nobody
    /// borrows it.
    written: AtomicBool,
}

/// A packet taken out of the ring: its chunk, and where in it the packet is.
#[derive(Debug)]
pub(crate) struct OwnedChunk {
    pub(crate) token: ChunkToken,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) continues: bool,
    /// Where in the chunk it started, where metadata may stand before that; else 0.
    pub(crate) described: u32,
}

impl RxHalf {
    /// Whether there is a packet. When there is none the fill ring is topped up, and the kernel
    /// woken where it waits for that.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        if self.rx.available(1) > 0 && (self.assembly.is_none() || self.has_whole()) {
            return true;
        }
        self.settle();
        false
    }

    /// How many packets the kernel has room for, where none is there yet.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        let own = self.pool.range();
        self.rx.size().min(own.end - own.start)
    }

    /// Packets that came out of the ring.
    pub(crate) const fn seen(&self) -> u64 {
        self.delivered + self.invalid
    }

    /// The most entries that are lent at once: not more than an eighth of what the kernel has to
    /// write to, unless that is few.
    #[inline]
    fn most(&self) -> u32 {
        (self.capacity() / 8).clamp(SMALL_BATCH, MAX_BATCH)
    }

    /// Lends nothing, where there is nothing.
    #[inline]
    pub(crate) const fn lend_none(&mut self) -> RxBatch<'_> {
        self.lent(0, true, false)
    }

    /// Lends packets, whole ones, in up to [`most`](Self::most) entries.
    #[inline(always)]
    pub(crate) fn lend(&mut self) -> RxBatch<'_> {
        let (count, straight) = self.straight();
        if self.assembly.is_none() || self.are_single(count) {
            return self.lent(count, straight, false);
        }
        let count = self.whole();
        self.assemble(count);
        self.lent(count, false, true)
    }

    #[inline]
    const fn lent(&mut self, count: u32, straight: bool, assembled: bool) -> RxBatch<'_> {
        RxBatch {
            half: self,
            count,
            gone: 0,
            open: false,
            straight,
            assembled,
            written: AtomicBool::new(false),
        }
    }

    /// How many entries there are, up to [`most`](Self::most), and whether they are
    /// [straight](RxBatch::straight): it ends where one of the rings begins anew, unless that is
    /// soon.
    #[inline]
    fn straight(&mut self) -> (u32, bool) {
        const SOON: u32 = 16;
        let count = self.rx.available(1).min(self.most());
        let Some(fill) = &mut self.fill else {
            return (count, false);
        };
        let free = fill.room(count);
        let (run, room) = (self.rx.to_end(), fill.to_end());
        // Where both begin anew at once, as they do mostly, there is only one such end in a round.
        let short = if run == room || run.min(room) >= SOON {
            count.min(run).min(room)
        } else {
            count
        };
        (short, short > 0 && short <= free.min(run).min(room))
    }

    /// Gives the kernel what chunks it can have, and wakes it where it waits for them.
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

    /// Wakes the kernel where it waits for chunks, and drives it where that is the application's
    /// work.
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
        // What the kernel says of the interface, the notifications about it say better; everything
        // else goes again next time.
        let _ = kick_receive(self.socket.fd());
    }

    /// Whether the next `count` entries are a packet each. Most batches are so, also of a socket
    /// that takes others.
    #[inline]
    fn are_single(&self, count: u32) -> bool {
        // No branch for each: one that goes on is rare.
        let options = self
            .rx
            .entries(count)
            .fold(0, |all, desc| all | desc.options);
        options & XDP_PKT_CONTD == 0
    }

    /// Whether there is a whole packet, where there is an entry.
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
        // A ring that is full of one packet will never have its end: it is given up, and counted as
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
            let span = region.geometry().received(&desc);
            // SAFETY: the entry is not released before the slice is gone, which is in this round of
            // the loop; the span is of this region's geometry; nobody else has the
            // chunk.
            let bytes = span.map(|span| (span, unsafe { region.received(&span) }));
            assembly.add(bytes, desc.options & XDP_PKT_CONTD != 0);
        }
        assembly.end();
    }

    /// Gives the chunks of the next `count` entries back: to the fill ring, or home.
    #[inline(never)]
    fn give_back(&mut self, count: u32) {
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
            // Said twice, so that there is a loop without the question in it.
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

    /// Moves the chunks of entries to the fill ring; how many entries did not point into one.
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
            // An address outside is no chunk: it is not given to anybody.
            geometry.base_of(desc.addr)
        });
        invalid + Self::to_pool(others, &geometry, pool)
    }

    /// Moves the chunks of entries to the pool, from where [`top_up`](Self::top_up) takes them; how
    /// many entries did not point into one.
    #[inline]
    fn to_pool(entries: Entries<'_, xdp_desc>, geometry: &Geometry, pool: &mut Pool) -> u64 {
        let mut invalid = 0;
        for desc in entries {
            invalid += u64::from(!geometry.is_inside(&desc));
            if let Some(chunk) = geometry.chunk_of(desc.addr) {
                // SAFETY: the chunk is out of an entry of the receive ring that the caller
                // releases, and went nowhere else.
                pool.push(unsafe { ChunkToken::from_ring(chunk) });
            }
        }
        invalid
    }

    /// As [`give_back`](Self::give_back), of entries whose chunks are written already, and that are
    /// all packets.
    #[inline]
    fn give_back_written(&mut self, count: u32) {
        if self.metadata.is_some() {
            self.clear_marks(count);
        }
        let Some(fill) = &mut self.fill else { return };
        fill.stage_run(count);
        fill.publish();
        self.rx.release(count);
        self.delivered += u64::from(count);
    }

    /// Gives the kernel what came home meanwhile, and wakes it where it waits for chunks.
    #[inline]
    fn settle(&mut self) {
        if self.pool.has_some() {
            self.top_up();
        } else {
            self.wake();
        }
    }

    /// Counts the packets in the next `count` entries, where a packet may have several.
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
            // SAFETY: the chunk is out of an entry of the receive ring that the caller releases,
            // and goes nowhere else.
            Some(unsafe { ChunkToken::from_ring(chunk) })
        }));
        descs
            .filter(|desc| geometry.received(desc).is_none())
            .count() as u64
    }
}

impl RxBatch<'_> {
    /// Gives back what is before the packet behind the first `packets`; the rest stays in the ring,
    /// and is lent again.
    pub(crate) fn leave_after(mut self, packets: u64) {
        *self.written.get_mut() = false;
        for _ in 0..packets {
            while self.count > 0 {
                let (fragments, whole) = self.first_packet();
                self.count -= fragments;
                self.half.give_back(fragments);
                if whole {
                    break;
                }
            }
        }
        self.count = 0;
    }

    /// Takes the first packet out; where it lies in several chunks, the next of them.
    pub(crate) fn take(&mut self) -> Option<OwnedChunk> {
        *self.written.get_mut() = false;
        while self.count > 0 {
            if !self.open {
                let (fragments, whole) = self.first_packet();
                if !whole {
                    self.count -= fragments;
                    self.half.give_back(fragments);
                    continue;
                }
                self.gone += 1;
            }
            let desc = self.half.rx.entries(self.count).peek()?;
            let geometry = self.half.shared.geometry();
            let span = geometry.received(&desc)?;
            let offset = span.start - geometry.base(span.chunk);
            let first = !self.open;
            self.count -= 1;
            self.half.rx.release(1);
            self.open = desc.options & XDP_PKT_CONTD != 0;
            self.half.delivered += u64::from(!self.open);
            return Some(OwnedChunk {
                // SAFETY: the chunk is out of the entry that was released above, and went nowhere
                // else.
                token: unsafe { ChunkToken::from_ring(span.chunk) },
                offset: offset as u32,
                len: span.len,
                continues: self.open,
                described: if first {
                    self.half.described_start(&span)
                } else {
                    0
                },
            });
        }
        None
    }

    /// How many entries the first packet has, and whether all of them are inside.
    fn first_packet(&self) -> (u32, bool) {
        let (mut fragments, mut whole) = (0, true);
        for desc in self.half.rx.entries(self.count) {
            fragments += 1;
            whole &= self.half.shared.geometry().received(&desc).is_some();
            if desc.options & XDP_PKT_CONTD == 0 {
                return (fragments, whole);
            }
        }
        (fragments, false)
    }
}

impl Drop for RxBatch<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 && *self.written.get_mut() {
            self.half.give_back_written(self.count);
        } else if self.count > 0 {
            self.half.give_back(self.count);
        }
        // Also where all of them were taken or sent on: what came home since goes to the kernel.
        self.half.settle();
    }
}
