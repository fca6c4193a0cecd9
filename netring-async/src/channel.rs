//! One queue of event batches, one publisher, many subscribers: what is known of an end, and of the numbers of events.
//!
//! ```text
//! publisher ──► Arc<[T]>, first number ──► │ batch │ batch │ batch │ ──► each subscriber at its own place
//!                                            ▲ oldest, lost first where the queue is full
//! ```
//!
//! The queue is one of `async_broadcast` that overflows. That is a property of a whole queue, so a kind of subscriber that loses
//! nothing, and makes the publisher wait, gets a second one of these that does not: the publisher numbers a batch once, puts it in both, and
//! waits for the second where it has subscribers.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_broadcast::{InactiveReceiver, Receiver, Sender};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::BroadcastRecvError;
use crate::subscriber::Subscriber;

/// Events in a batch, at the most.
pub(crate) const BATCH: usize = 64;
/// Batches in a queue, at the most.
pub(crate) const MAX_CAPACITY: usize = 1 << 16;

/// Events that were published at once. One allocation, exactly as large as they are.
#[derive(Debug)]
pub(crate) struct Message<T> {
    /// The number of the first event, counted from 0 over all that were ever published.
    pub(crate) first: u64,
    pub(crate) events: Arc<[T]>,
}

/// What the queue itself cannot tell.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The number of the next event. Held while a batch enters the queue, and while a subscriber does: a subscriber knows the
    /// number of the first event that it will see.
    next: Mutex<u64>,
    /// Set before the queue is closed: how it came to its end. It is no message, so it reaches those who lag, and those who come
    /// after.
    end: OnceLock<Option<BroadcastRecvError>>,
    /// A subscriber was polled.
    pub(crate) polled: Notify,
}

/// The side that publishes. Dropping it without [`end`](Self::end) tells the subscribers that something went wrong.
#[derive(Debug)]
pub(crate) struct Publisher<T> {
    sender: Sender<Message<T>>,
    shared: Arc<Shared>,
}

/// The side that subscribers come from. It keeps the queue open while there are none.
#[derive(Debug)]
pub(crate) struct Hub<T> {
    queue: InactiveReceiver<Message<T>>,
    shared: Arc<Shared>,
}

/// A queue of so many batches, 1 to [`MAX_CAPACITY`].
pub(crate) fn channel<T>(capacity: usize) -> (Publisher<T>, Hub<T>) {
    let (mut sender, receiver) = async_broadcast::broadcast(capacity.clamp(1, MAX_CAPACITY));
    sender.set_overflow(true);
    let shared = Arc::<Shared>::default();
    let hub = Hub {
        queue: receiver.deactivate(),
        shared: shared.clone(),
    };
    (Publisher { sender, shared }, hub)
}

impl<T> Publisher<T> {
    /// Publishes what fills batches, and leaves the rest: fewer than [`BATCH`].
    ///
    /// Where the queue is full, subscribers on this thread get a turn before each batch: a burst that is larger than the queue
    /// is not lost on those who could take it. A subscriber that does not use its turn costs the publisher that turn, and no more.
    pub(crate) async fn publish_full(&self, pending: &mut Vec<T>) {
        let full = pending.len() - pending.len() % BATCH;
        let mut events = pending.drain(..full);
        while events.len() > 0 {
            if self.sender.receiver_count() > 0 && self.sender.is_full() {
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
        // The first one counts.
        let _ = self.shared.end.set(error);
    }

    fn send(&self, events: impl ExactSizeIterator<Item = T>) {
        let count = events.len() as u64;
        let mut next = self.shared.next();
        let first = *next;
        *next += count;
        if self.sender.receiver_count() == 0 {
            return events.for_each(drop);
        }
        let events = events.collect();
        // It overflows, and it has receivers; the oldest batch comes back where it had to go.
        let oldest = self.sender.try_broadcast(Message { first, events });
        drop(next);
        drop(oldest);
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        let _ = self.shared.end.set(Some(BroadcastRecvError::Aborted));
    }
}

impl<T> Hub<T> {
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

impl Shared {
    fn next(&self) -> MutexGuard<'_, u64> {
        // Nobody panics while it is held but by a panic in the drop of an event, and the number is right then too.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a closed queue came to its end.
    pub(crate) fn end(&self) -> Option<BroadcastRecvError> {
        self.end.get().cloned().flatten()
    }
}

impl<T> Clone for Message<T> {
    fn clone(&self) -> Self {
        Self {
            first: self.first,
            events: self.events.clone(),
        }
    }
}

/// What a subscriber reads from.
pub(crate) type Queue<T> = Receiver<Message<T>>;

#[cfg(test)]
mod tests;
