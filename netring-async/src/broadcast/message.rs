//! What travels through a broadcast: items in batches, each batch one message.

use std::sync::Arc;

use async_broadcast::Receiver;
use netring_sys::PacketVec;

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

/// Packets in full batches, except the last.
#[derive(Debug, Default)]
pub(crate) struct PendingPackets(pub(crate) Vec<PacketVec>);

impl Pending for PendingPackets {
    type Contents = PacketVec;

    fn count(&self) -> usize {
        self.0.iter().map(PacketVec::len).sum()
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn batches(&mut self, all: bool) -> impl Iterator<Item = Arc<PacketVec>> + Send {
        let is_open = self.0.last().is_some_and(|last| last.len() < BATCH);
        let rest = usize::from(is_open && !all);
        self.0.drain(..self.0.len() - rest).map(Arc::new)
    }
}
