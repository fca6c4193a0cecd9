//! Two queues of batches with one numbering and many subscribers.
//!
//! ```text
//! sender ──► first number, Arc<batch> ─┬► │ batch │ batch │ batch │ ──► each lossy subscriber
//!                                      │    ▲ oldest, lost first if the queue is full
//!                                      └► │ batch │ batch │ batch │ ──► each lossless subscriber
//!                                           if full, the sender waits
//! ```
//!
//! Overflow is a property of a whole queue of `async_broadcast`, so there are two. A batch gets its
//! number once and enters both under one lock; a queue without readers is skipped.

use std::sync::Arc;

use async_broadcast::InactiveReceiver;

use super::error::BroadcastRecvError;
use super::feed::Feed;
use super::message::{Contents, Message};
use super::shared::Shared;

/// The maximum number of batches in a queue.
pub(crate) const MAX_CAPACITY: usize = 1 << 16;

/// The sending side. Dropping it without [`end`](Self::end) reports an abort to the subscribers.
#[derive(Debug)]
pub(crate) struct Sender<C: ?Sized> {
    lossy: async_broadcast::Sender<Message<C>>,
    lossless: async_broadcast::Sender<Message<C>>,
    shared: Arc<Shared>,
}

/// The side that creates subscribers. It keeps the queues open while there are none.
#[derive(Debug)]
pub(crate) struct Subscriptions<C: ?Sized> {
    lossy: InactiveReceiver<Message<C>>,
    lossless: InactiveReceiver<Message<C>>,
    shared: Arc<Shared>,
}

/// Creates queues of `capacity` batches each, clamped to 1 to [`MAX_CAPACITY`].
pub(crate) fn channel<C: Contents + ?Sized>(capacity: usize) -> (Sender<C>, Subscriptions<C>) {
    let capacity = capacity.clamp(1, MAX_CAPACITY);
    let (mut lossy, lossy_receiver) = async_broadcast::broadcast(capacity);
    lossy.set_overflow(true);
    let (lossless, lossless_receiver) = async_broadcast::broadcast(capacity);
    let shared = Arc::<Shared>::default();
    let subscriptions = Subscriptions {
        lossy: lossy_receiver.deactivate(),
        lossless: lossless_receiver.deactivate(),
        shared: shared.clone(),
    };
    let sender = Sender {
        lossy,
        lossless,
        shared,
    };
    (sender, subscriptions)
}

impl<C: Contents + ?Sized> Sender<C> {
    /// Publishes a batch. Returns false, and does nothing, if the lossless queue is full; with
    /// `beyond_capacity` that queue grows instead.
    pub(crate) fn try_send(&self, contents: &Arc<C>, beyond_capacity: bool) -> bool {
        let mut state = self.shared.state();
        let waits = state.lossless > 0;
        if waits && self.lossless.is_full() {
            if !beyond_capacity {
                return false;
            }
            let mut queue = self.lossless.clone();
            queue.set_capacity(queue.capacity() + 1);
        }
        let message = Message {
            first: self.shared.advance(&mut state, contents.count()),
            contents: contents.clone(),
        };
        // Neither queue is full now: only senders fill a queue, and they hold the lock. A queue
        // that loses its last subscriber at this moment accepts nothing.
        if waits {
            let _ = self.lossless.try_broadcast(message.clone());
        }
        // The oldest batch is returned if it had to make room.
        let oldest = self.lossy.try_broadcast(message);
        drop(state);
        drop(oldest);
        true
    }

    /// Counts items as published if nobody would receive them. Returns false, and does nothing, if
    /// there are subscribers.
    pub(crate) fn skip(&self, items: usize) -> bool {
        let mut state = self.shared.state();
        let is_alone = state.subscribers() == 0;
        if is_alone {
            self.shared.advance(&mut state, items);
        }
        is_alone
    }

    /// Whether the next batch would be lost to a lossy subscriber that has not yet read the oldest.
    pub(crate) fn would_overflow(&self) -> bool {
        self.lossy.receiver_count() > 0 && self.lossy.is_full()
    }

    /// Whether a batch has to wait for a lossless subscriber.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.state().lossless > 0 && self.lossless.is_full()
    }
}

impl<C: ?Sized> Sender<C> {
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Closes the queues: subscribers receive their contents, then the error, then the end.
    pub(crate) fn end(self, error: Option<BroadcastRecvError>) {
        self.shared.set_end(error);
    }
}

impl<C: ?Sized> Drop for Sender<C> {
    fn drop(&mut self) {
        self.shared.set_end(Some(BroadcastRecvError::Aborted));
    }
}

impl<C: Contents + ?Sized> Subscriptions<C> {
    pub(crate) fn subscribe(&self, lossless: bool) -> Feed<C> {
        let queue = if lossless {
            &self.lossless
        } else {
            &self.lossy
        };
        let mut state = self.shared.state();
        let progress = self.shared.join(&mut state, lossless);
        Feed::new(queue.activate_cloned(), self.shared.clone(), progress)
    }
}

impl<C: ?Sized> Subscriptions<C> {
    pub(crate) fn receiver_count(&self) -> usize {
        self.shared.state().subscribers()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.lossy.capacity()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[cfg(test)]
mod tests;
