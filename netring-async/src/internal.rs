//! Not for users: the queue of a broadcast without a capture, for the bench. It changes without
//! notice.

use crate::Subscriber;
use crate::broadcast::{Sender, Subscriptions, channel};

/// A broadcast that is fed by hand.
#[derive(Debug)]
pub struct Broadcast<T> {
    sender: Sender<T>,
    subscriptions: Subscriptions<T>,
}

impl<T> Broadcast<T> {
    /// A queue of so many batches.
    pub fn new(capacity: usize) -> Self {
        let (sender, subscriptions) = channel(capacity);
        Self {
            sender,
            subscriptions,
        }
    }

    /// A new subscriber.
    pub fn subscribe(&self) -> Subscriber<T> {
        self.subscriptions.subscribe()
    }

    /// Publishes all that is pending, as a capture task does before it sleeps.
    pub fn publish(&self, pending: &mut Vec<T>) {
        self.sender.publish(pending);
    }

    /// Ends it: subscribers get what is queued, then the end.
    pub fn end(self) {
        self.sender.end(None);
    }
}
