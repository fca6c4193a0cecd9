//! The sending half of a socket: transmit ring, completion ring, and the chunks that circulate
//! between them.

mod features;
mod flush;
mod foreign;
mod in_flight;
mod reclaim;
mod request;
mod sink;
mod slot;
mod slow_path;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::Error;
use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};

use super::bound::BoundSocket;
use crate::memory::token::ChunkToken;
use crate::memory::umem::{Pool, Shared};
use crate::ring::{Consumer, Memory, Producer};

use features::TxFeatures;
use foreign::ForeignChunks;

pub(crate) use request::{Offloads, Request, not_opened};
pub(crate) use sink::sending_half;
pub use slot::Slot;

/// The most chunks of one frame: its head, and the fragments that every kernel's buffers have room
/// for (`MAX_SKB_FRAGS`, at least 17). If a frame has more, the kernel drops its front; older
/// kernels never complete its chunks, and send the rest as a frame of its own.
pub(crate) const MAX_PIECES: u32 = 18;

/// The sending half.
#[derive(Debug)]
pub(crate) struct TxHalf {
    socket: Arc<BoundSocket>,
    shared: Arc<Shared>,
    tx: Producer<xdp_desc>,
    /// `None` if another socket of the same queue has it.
    completion: Option<Consumer<u64>>,
    pool: Pool,
    /// The most chunks of one frame.
    max_pieces: u32,
    /// Frames that are committed and not yet published, for the census.
    staged: Arc<AtomicU32>,
    /// Descriptors that were published.
    published: u64,
    /// Staged descriptors whose frame continues in another one.
    continued: u64,
    /// Descriptors that are completed.
    completed: u64,
    /// Frames that the interface's queue dropped.
    dropped: u64,
    /// Slots and frames of an impossible length.
    refused: u64,
    foreign: ForeignChunks,
    /// System calls made to wake the kernel.
    kicks: u64,
    features: TxFeatures,
}

/// The parts of a sending half.
pub(crate) struct TxParts {
    pub(crate) socket: Arc<BoundSocket>,
    pub(crate) transmit: Memory,
    /// `None` if another socket of the same queue has it.
    pub(crate) completion: Option<Memory>,
    /// The chunks to send from.
    pub(crate) pool: Pool,
    /// The most chunks of one frame.
    pub(crate) max_pieces: u32,
    pub(crate) offloads: Offloads,
}

impl TxHalf {
    pub(crate) fn new(parts: TxParts) -> Self {
        let shared = parts.socket.shared.clone();
        let tx = Producer::new(parts.transmit);
        Self {
            features: TxFeatures::new(
                shared.geometry(),
                parts.max_pieces.min(parts.pool.len()),
                parts.completion.is_some(),
                parts.socket.zero_copy,
                parts.offloads,
            ),
            foreign: ForeignChunks::new(tx.size()),
            staged: parts.socket.rings.staged.clone(),
            completion: parts.completion.map(Consumer::new),
            max_pieces: parts.max_pieces,
            pool: parts.pool,
            socket: parts.socket,
            shared,
            tx,
            published: 0,
            continued: 0,
            completed: 0,
            dropped: 0,
            refused: 0,
            kicks: 0,
        }
    }

    pub(crate) fn socket(&self) -> &BoundSocket {
        &self.socket
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// System calls made to wake the kernel.
    pub(crate) const fn kicks(&self) -> u64 {
        self.kicks
    }

    #[cfg(test)]
    pub(crate) const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// The most chunks of one frame.
    pub(crate) const fn max_pieces(&self) -> u32 {
        self.max_pieces
    }

    pub(crate) const fn offloads(&self) -> &Offloads {
        &self.features.offloads
    }

    /// Counts a frame of an impossible length. Returns the error.
    pub(crate) fn refuse_len(&mut self, len: usize) -> Error {
        self.refused += 1;
        Error::FrameLength {
            len,
            max: self.shared.geometry().transmit_room() as usize,
        }
    }

    /// Takes a free chunk, `None` if none is free.
    pub(crate) fn take(&mut self) -> Option<ChunkToken> {
        if self.pool.is_empty() {
            self.reclaim();
        }
        let token = self.pool.pop()?;
        self.publish_count();
        Some(token)
    }

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
    fn has_room_for_one(&mut self) -> bool {
        !self.pool.is_empty() && self.tx.has_room() || self.makes_room_for_one()
    }

    #[cold]
    fn makes_room_for_one(&mut self) -> bool {
        self.room() > 0
    }

    /// How many entries the transmit ring has room for; the figure is exact up to `wanted`.
    #[inline]
    pub(crate) fn ring_room(&mut self, wanted: u32) -> u32 {
        self.tx.room(wanted)
    }

    /// The transmit ring, to write entries of it that are then [staged](Self::stage_run).
    #[inline]
    pub(super) const fn ring(&self) -> &Producer<xdp_desc> {
        &self.tx
    }

    /// Stages a descriptor that the caller checked, and for which there is room.
    #[inline]
    pub(super) fn stage(&mut self, desc: xdp_desc) {
        let staged = self.tx.stage(desc);
        debug_assert!(staged, "the caller checked for room");
        debug_assert!(
            self.shared.geometry().takes_transmit(&desc),
            "the caller checked"
        );
        self.continued += u64::from(desc.options & XDP_PKT_CONTD != 0);
    }

    /// Stages the first `len` bytes of the pool's next chunk, for which there is room.
    #[inline]
    fn stage_next(&mut self, len: u32) {
        if let Some(addr) = self.pool.pop_into_ring() {
            let options = 0;
            self.tx.put(xdp_desc { addr, len, options });
        }
    }

    /// Stages the next `count` entries of the ring, which are written; each is a frame that was
    /// checked.
    #[inline]
    pub(super) fn stage_run(&mut self, count: u32) {
        self.tx.stage_run(count);
    }

    /// Descriptors that were ever staged.
    const fn descriptors(&self) -> u64 {
        self.published + self.tx.staged() as u64
    }

    /// Frames that were committed; a frame in several chunks is one.
    pub(crate) const fn committed(&self) -> u64 {
        self.descriptors() - self.continued
    }

    /// Publishes for the census how many chunks are free, and how many are committed and not yet in
    /// the ring: both together, so that the total is right. (Frames committed since still count as
    /// free.)
    #[inline]
    pub(crate) fn publish_count(&self) {
        self.pool.publish_count();
        // Relaxed, with no partner: a count.
        self.staged.store(self.tx.staged(), Ordering::Relaxed);
    }
}

impl Drop for TxHalf {
    fn drop(&mut self) {
        // Frames that were committed and not flushed are gone with the ring, and not free.
        self.publish_count();
    }
}
