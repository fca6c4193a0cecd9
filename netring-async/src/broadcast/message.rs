//! The messages of a broadcast: each is a batch of items.

use std::collections::VecDeque;
use std::sync::Arc;

use async_broadcast::Receiver;
use netring_sys::{Packet, PacketBatch, PacketVec};

/// The maximum number of items in a batch.
pub(crate) const BATCH: usize = 64;

/// Items that were published together, in memory that all subscribers share.
#[derive(Debug)]
pub(crate) struct Message<C: ?Sized> {
    /// The number of the first item, counted from 0 over all items ever published.
    pub(crate) first: u64,
    pub(crate) contents: Arc<C>,
}

impl<C: ?Sized> Clone for Message<C> {
    fn clone(&self) -> Self {
        Self {
            first: self.first,
            contents: self.contents.clone(),
        }
    }
}

/// The end of a queue that a subscriber reads from.
pub(crate) type Queue<C> = Receiver<Message<C>>;

/// The items of a message.
pub(crate) trait Contents {
    fn count(&self) -> usize;
}

impl<T> Contents for [T] {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
}

impl Contents for PacketVec {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
}

/// Items that are not yet published.
pub(crate) trait Pending: Send + 'static {
    type Contents: Contents + ?Sized + Send + Sync + 'static;

    /// The number of items.
    fn count(&self) -> usize;

    /// Drops all items.
    fn clear(&mut self);

    /// Removes full batches, and also the rest if `all` is true. Batches that are not taken from
    /// the iterator are lost.
    fn batches(&mut self, all: bool) -> impl Iterator<Item = Arc<Self::Contents>> + Send;
}

/// Events in the order in which they happened.
impl<T: Send + Sync + 'static> Pending for Vec<T> {
    type Contents = [T];

    fn count(&self) -> usize {
        self.len()
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn batches(&mut self, all: bool) -> impl Iterator<Item = Arc<[T]>> + Send {
        let rest = if all { 0 } else { self.len() % BATCH };
        let mut events = self.drain(..self.len() - rest);
        // Each batch is one allocation of exactly its size.
        std::iter::from_fn(move || {
            (events.len() > 0).then(|| events.by_ref().take(BATCH).collect())
        })
    }
}

/// The memory in bytes, roughly, that is kept until all subscribers have dropped it.
const KEPT: usize = 4 << 20;

/// Packets in full batches, except the last.
///
/// The memory of a batch is reused once every subscriber has dropped it, so subscribers that keep
/// up cost neither an allocation nor the page faults that new memory for long packets would cause.
#[derive(Debug, Default)]
pub(crate) struct PendingPackets {
    /// Not shared with anyone.
    batches: Vec<Arc<PacketVec>>,
    /// Published, oldest first.
    published: VecDeque<Arc<PacketVec>>,
    /// The memory of the published batches; at most [`KEPT`] and one batch.
    kept: usize,
    /// Bytes of the last full batch: the size to allocate for a new one.
    bytes: usize,
}

impl PendingPackets {
    /// Appends a copy of the packets of a batch. Returns false if there were none.
    pub(crate) fn copy(&mut self, batch: &impl PacketBatch) -> bool {
        let mut packets = batch.packets().peekable();
        let copied = packets.peek().is_some();
        while packets.peek().is_some() {
            let full = |last: &Arc<PacketVec>| last.len() == BATCH;
            if self.batches.last().is_none_or(full) {
                let next = self.unused();
                self.batches.push(next);
            }
            let last = self.batches.last_mut().and_then(Arc::get_mut);
            // Not shared, so it is there.
            let Some(last) = last else { break };
            let room = BATCH - last.len();
            packets
                .by_ref()
                .take(room)
                .for_each(|packet| last.push(&packet));
            self.bytes = last.byte_len();
        }
        copied
    }

    /// An empty batch: the oldest published one, if nobody uses it any more.
    fn unused(&mut self) -> Arc<PacketVec> {
        if let Some(mut oldest) = self.published.pop_front() {
            self.kept -= memory(&oldest);
            if let Some(packets) = Arc::get_mut(&mut oldest) {
                packets.clear();
                return oldest;
            }
            self.kept += memory(&oldest);
            self.published.push_front(oldest);
        }
        Arc::new(PacketVec::with_capacity(BATCH, self.bytes))
    }
}

impl Pending for PendingPackets {
    type Contents = PacketVec;

    fn count(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }

    fn clear(&mut self) {
        self.batches.clear();
    }

    fn batches(&mut self, all: bool) -> impl Iterator<Item = Arc<PacketVec>> + Send {
        let is_open = self.batches.last().is_some_and(|last| last.len() < BATCH);
        let rest = usize::from(is_open && !all);
        let (published, kept) = (&mut self.published, &mut self.kept);
        let batches = self.batches.drain(..self.batches.len() - rest);
        batches.inspect(|batch| {
            while *kept > KEPT
                && let Some(oldest) = published.pop_front()
            {
                *kept -= memory(&oldest);
            }
            *kept += memory(batch);
            published.push_back(batch.clone());
        })
    }
}

/// The memory that the packets of a batch take.
const fn memory(packets: &PacketVec) -> usize {
    packets.byte_len() + packets.len() * size_of::<Packet<'_>>()
}

#[cfg(test)]
mod tests;
