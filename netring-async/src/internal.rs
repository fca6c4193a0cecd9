//! Not for users: the queues of a broadcast without a task, for the bench. It changes without
//! notice.

use crate::Subscriber;
use crate::broadcast::channel::{Sender, Subscriptions, channel};
use crate::broadcast::message::Pending;

/// A broadcast that is fed by hand.
#[derive(Debug)]
pub struct Broadcast<T> {
    sender: Sender<[T]>,
    subscriptions: Subscriptions<[T]>,
}

impl<T: Send + Sync + 'static> Broadcast<T> {
    /// Creates queues of `capacity` batches.
    pub fn new(capacity: usize) -> Self {
        let (sender, subscriptions) = channel(capacity);
        Self {
            sender,
            subscriptions,
        }
    }

    /// Creates a subscriber.
    pub fn subscribe(&self) -> Subscriber<T> {
        Subscriber::new(self.subscriptions.subscribe(false))
    }

    /// Creates a lossless subscriber.
    pub fn subscribe_lossless(&self) -> Subscriber<T> {
        Subscriber::new(self.subscriptions.subscribe(true))
    }

    /// Publishes all pending events, as a capture task does before it sleeps. Lossless subscribers
    /// must have room.
    pub fn publish(&self, pending: &mut Vec<T>) {
        if self.sender.skip(pending.len()) {
            return pending.clear();
        }
        for batch in pending.batches(true) {
            assert!(self.sender.try_send(&batch, false), "there is no room");
        }
    }

    /// Ends it: subscribers receive what is queued, then the end.
    pub fn end(self) {
        self.sender.end(None);
    }
}
