//! The messages in the queue of a broadcast, and the state that its two ends share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_broadcast::Receiver;
use tokio::sync::Notify;

use super::error::BroadcastRecvError;

/// The end of the queue that a subscriber reads from.
pub(crate) type Queue<T> = Receiver<Message<T>>;

/// Events that were published together, in one allocation of exactly their size.
#[derive(Debug)]
pub(crate) struct Message<T> {
    /// The number of the first event, counted from 0 over all events ever published.
    pub(crate) first: u64,
    pub(crate) events: Arc<[T]>,
}

/// State that the queue itself does not carry.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The number of the next event. Locked while a batch enters the queue and while a subscriber
    /// joins, so that a subscriber knows the number of the first event it will see.
    next: Mutex<u64>,
    /// How the queue ended; set before it is closed. It is not a message, so it also reaches
    /// subscribers that lag and subscribers that join later.
    end: OnceLock<Option<BroadcastRecvError>>,
    /// Notified when a subscriber is polled for the first time.
    pub(crate) first_poll: Notify,
}

impl Shared {
    /// Locks the number of the next event.
    pub(crate) fn next(&self) -> MutexGuard<'_, u64> {
        // Only a panic in the drop of an event can poison it, and even then the number is right.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records how the queue ends. Only the first call has an effect.
    pub(crate) fn set_end(&self, end: Option<BroadcastRecvError>) {
        let _ = self.end.set(end);
    }

    /// The error that a closed queue ended with; `None` if it ended without one.
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
