//! One queue of event batches, one publisher, many subscribers: what is known of an end, and of the
//! numbers of events.
//!
//! ```text
//! publisher ──► Arc<[T]>, first number ──► │ batch │ batch │ batch │ ──► each subscriber
//!                                            ▲ oldest, lost first where the queue is full
//! ```
//!
//! The queue is one of `async_broadcast` that overflows. That is a property of a whole queue, so a
//! kind of subscriber that loses nothing, and makes the publisher wait, gets a second one of these
//! that does not: the publisher numbers a batch once, puts it in both, and waits for the second
//! where it has subscribers.

use std::sync::Arc;

use async_broadcast::InactiveReceiver;
use tokio::task::yield_now;

use super::error::BroadcastRecvError;
use super::message::{Message, Shared};
use super::subscriber::Subscriber;

/// Events in a batch, at the most.
pub(crate) const BATCH: usize = 64;
/// Batches in a queue, at the most.
pub(crate) const MAX_CAPACITY: usize = 1 << 16;

/// The side that publishes. Dropping it without [`end`](Self::end) tells the subscribers that
/// something went wrong.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    queue: async_broadcast::Sender<Message<T>>,
    shared: Arc<Shared>,
}

/// The side that subscribers come from. It keeps the queue open while there are none.
#[derive(Debug)]
pub(crate) struct Subscriptions<T> {
    queue: InactiveReceiver<Message<T>>,
    shared: Arc<Shared>,
}

/// A queue of so many batches, 1 to [`MAX_CAPACITY`].
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
    /// Publishes what fills batches, and leaves the rest: fewer than [`BATCH`].
    ///
    /// Where the queue is full, subscribers on this thread get a turn before each batch: a burst
    /// that is larger than the queue is not lost on those who could take it. A subscriber that
    /// does not use its turn costs the publisher that turn, and no more.
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

    /// Publishes all there is.
    pub(crate) fn publish(&self, pending: &mut Vec<T>) {
        let mut events = pending.drain(..);
        while events.len() > 0 {
            self.send(events.by_ref().take(BATCH));
        }
    }

    /// Events published so far.
    pub(crate) fn published(&self) -> u64 {
        *self.shared.next()
    }

    /// Closes the queue: subscribers get what is in it, then the error, then the end.
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
        // It overflows, and it has receivers; the oldest batch comes back where it had to go.
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
