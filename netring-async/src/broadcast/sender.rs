//! One queue of event batches with one sender and many subscribers; beside the queue, the numbers
//! of events and the reason of the end.
//!
//! ```text
//! sender ──► Arc<[T]>, first number ──► │ batch │ batch │ batch │ ──► each subscriber
//!                                         ▲ oldest, lost first if the queue is full
//! ```
//!
//! The queue is an overflowing one of `async_broadcast`. Overflow is a property of a whole queue. A
//! lossless kind of subscriber, which makes the sender wait, would use a second queue that does not
//! overflow: the sender would number each batch once, put it in both, and wait for the second while
//! that has subscribers.

use std::sync::Arc;

use async_broadcast::InactiveReceiver;
use tokio::task::yield_now;

use super::error::BroadcastRecvError;
use super::message::{Message, Shared};
use super::subscriber::Subscriber;

/// The maximum number of events in a batch.
pub(crate) const BATCH: usize = 64;
/// The maximum number of batches in a queue.
pub(crate) const MAX_CAPACITY: usize = 1 << 16;

/// The sending side. Dropping it without [`end`](Self::end) reports an abort to the subscribers.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    queue: async_broadcast::Sender<Message<T>>,
    shared: Arc<Shared>,
}

/// The side that creates subscribers. It keeps the queue open while there are none.
#[derive(Debug)]
pub(crate) struct Subscriptions<T> {
    queue: InactiveReceiver<Message<T>>,
    shared: Arc<Shared>,
}

/// Creates a queue of `capacity` batches, clamped to 1 to [`MAX_CAPACITY`].
pub(crate) fn channel<T>(capacity: usize) -> (Sender<T>, Subscriptions<T>) {
    let (mut queue, receiver) = async_broadcast::broadcast(capacity.clamp(1, MAX_CAPACITY));
    queue.set_overflow(true);
    let shared = Arc::<Shared>::default();
    let subscriptions = Subscriptions {
        queue: receiver.deactivate(),
        shared: shared.clone(),
    };
    let sender = Sender { queue, shared };
    (sender, subscriptions)
}

impl<T> Sender<T> {
    /// Publishes full batches and keeps the rest, fewer than [`BATCH`] events.
    ///
    /// If the queue is full, subscribers on this thread get to run before each batch, so a burst
    /// larger than the queue is not lost to subscribers that keep up. A subscriber that does not
    /// use the chance costs the sender one yield and no more.
    pub(crate) async fn publish_full(&self, pending: &mut Vec<T>) {
        let full = pending.len() - pending.len() % BATCH;
        let mut events = pending.drain(..full);
        while events.len() > 0 {
            if self.queue.receiver_count() > 0 && self.queue.is_full() {
                yield_now().await;
            }
            self.send(events.by_ref().take(BATCH));
        }
    }

    /// Publishes all pending events.
    pub(crate) fn publish(&self, pending: &mut Vec<T>) {
        let mut events = pending.drain(..);
        while events.len() > 0 {
            self.send(events.by_ref().take(BATCH));
        }
    }

    /// The number of events published so far.
    pub(crate) fn published(&self) -> u64 {
        *self.shared.next()
    }

    /// Closes the queue: subscribers receive its contents, then the error, then the end.
    pub(crate) fn end(self, error: Option<BroadcastRecvError>) {
        self.shared.set_end(error);
    }

    fn send(&self, events: impl ExactSizeIterator<Item = T>) {
        let count = events.len() as u64;
        let mut next = self.shared.next();
        let first = *next;
        *next += count;
        if self.queue.receiver_count() == 0 {
            return events.for_each(drop);
        }
        let events = events.collect();
        // It overflows, and it has receivers; the oldest batch is returned if it had to make room.
        let oldest = self.queue.try_broadcast(Message { first, events });
        drop(next);
        drop(oldest);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.set_end(Some(BroadcastRecvError::Aborted));
    }
}

impl<T> Subscriptions<T> {
    pub(crate) fn subscribe(&self) -> Subscriber<T> {
        let next = self.shared.next();
        Subscriber::new(self.queue.activate_cloned(), self.shared.clone(), *next)
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.queue.receiver_count()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[cfg(test)]
mod tests;
