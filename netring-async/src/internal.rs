//! Not for users: the queue of a broadcast without a capture, for the bench. It changes without
//! notice.

use crate::Subscriber;
use crate::broadcast::sender::{Sender, Subscriptions, channel};

/// A broadcast that is fed by hand.
#[derive(Debug)]
pub struct Broadcast<T> {
    sender: Sender<T>,
    subscriptions: Subscriptions<T>,
}

impl<T> Broadcast<T> {
    /// Creates a queue of `capacity` batches.
    pub fn new(capacity: usize) -> Self {
        let (sender, subscriptions) = channel(capacity);
        Self {
            sender,
            subscriptions,
        }
    }

    /// Creates a subscriber.
    pub fn subscribe(&self) -> Subscriber<T> {
        self.subscriptions.subscribe()
    }

    /// Publishes all pending events, as a capture task does before it sleeps.
    pub fn publish(&self, pending: &mut Vec<T>) {
        self.sender.publish(pending);
    }

    /// Ends it: subscribers receive what is queued, then the end.
    pub fn end(self) {
        self.sender.end(None);
    }
}
