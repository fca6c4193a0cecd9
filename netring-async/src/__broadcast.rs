//! Not for users: the queue of a broadcast without a capture, for the bench. It changes without
//! notice.

use crate::Subscriber;
use crate::channel::{Hub, Publisher, channel};

/// A broadcast that is fed by hand.
#[derive(Debug)]
pub struct Broadcast<T> {
    publisher: Publisher<T>,
    hub: Hub<T>,
}

impl<T> Broadcast<T> {
    /// A queue of so many batches.
    pub fn new(capacity: usize) -> Self {
        let (publisher, hub) = channel(capacity);
        Self { publisher, hub }
    }

    /// A new subscriber.
    pub fn subscribe(&self) -> Subscriber<T> {
        self.hub.subscribe()
    }

    /// Publishes all that is pending, as a capture task does before it sleeps.
    pub fn publish(&self, pending: &mut Vec<T>) {
        self.publisher.publish(pending);
    }

    /// Ends it: subscribers get what is queued, then the end.
    pub fn end(self) {
        self.publisher.end(None);
    }
}
