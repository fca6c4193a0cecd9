//! The state that a sender and its subscribers share in addition to the queues.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::error::BroadcastRecvError;
use super::stats::{Published, SubscriberStats};

#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Locked while a batch enters the queues and while a subscriber joins, so that a subscriber
    /// knows the number of the first item it will see.
    state: Mutex<State>,
    /// A copy of the number of the next item, for subscribers.
    published: AtomicU64,
    /// How the queues ended; set before they are closed. It is not a message, so it also reaches
    /// subscribers that lag and subscribers that join later.
    end: OnceLock<Option<BroadcastRecvError>>,
    /// A subscriber was polled, and whoever waits for that.
    polled: AtomicBool,
    first_poll: Notify,
    /// Notified when half of a full lossless queue is free again, and when a subscriber leaves.
    pub(crate) room: Notify,
    /// Tasks that wait for room.
    waiting: AtomicUsize,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The number of the next item.
    next: u64,
    /// Subscribers that the sender waits for.
    pub(crate) lossless: usize,
    subscribers: Vec<Arc<Progress>>,
    /// The number of subscribers so far, including those that left.
    joined: u64,
}

#[derive(Debug, Default)]
struct Waits {
    count: u64,
    /// The time of the waits that are over.
    time: Duration,
    /// When each wait that is not over began.
    since: Vec<Instant>,
}

/// The progress of a subscriber. Written by the subscriber, read for statistics. Relaxed
/// everywhere: each is a count that publishes no other memory.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) id: u64,
    pub(crate) lossless: bool,
    /// The number of the first item that was not yet taken from the queue.
    pub(crate) position: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) most_behind: AtomicU64,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Only a panic in the drop of an item can poison it, and even then its content is right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the numbers of the next items, and returns the first.
    pub(crate) fn advance(&self, state: &mut State, items: usize) -> u64 {
        let first = state.next;
        state.next += items as u64;
        // Relaxed: a count that publishes no other memory; partner: `published`.
        self.published.store(state.next, Ordering::Relaxed);
        first
    }

    /// The number of items published so far.
    pub(crate) fn published(&self) -> u64 {
        // Relaxed: see `advance`.
        self.published.load(Ordering::Relaxed)
    }

    /// Registers a subscriber, which will see the next item.
    pub(crate) fn join(&self, state: &mut State, lossless: bool) -> Arc<Progress> {
        let progress = Arc::new(Progress {
            id: state.joined,
            lossless,
            position: AtomicU64::new(state.next),
            received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            most_behind: AtomicU64::new(0),
        });
        state.joined += 1;
        state.lossless += usize::from(lossless);
        state.subscribers.push(progress.clone());
        progress
    }

    /// Forgets a subscriber that has left its queue.
    pub(crate) fn leave(&self, progress: &Progress) {
        let mut state = self.state();
        state.lossless -= usize::from(progress.lossless);
        state.subscribers.retain(|other| other.id != progress.id);
        drop(state);
        if progress.lossless {
            self.room.notify_waiters();
        }
    }

    /// A subscriber is polled for the first time.
    pub(crate) fn set_polled(&self) {
        // Release: for the order of the two; partner: `until_polled`.
        self.polled.store(true, Ordering::Release);
        self.first_poll.notify_waiters();
    }

    /// Waits until a subscriber was polled.
    pub(crate) async fn until_polled(&self) {
        // It is notified of everything from now on, so nothing is missed after the load.
        let first = self.first_poll.notified();
        // Acquire: partner: `set_polled`.
        if !self.polled.load(Ordering::Acquire) {
            first.await;
        }
    }

    /// Whether a task waits for room. The mutex of the full queue orders this behind the task's own
    /// look at the queue.
    pub(crate) fn is_awaited(&self) -> bool {
        // Relaxed: the queue's mutex orders it; partner: `Wait::new`.
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Records how the queues end. Only the first call has an effect.
    pub(crate) fn set_end(&self, end: Option<BroadcastRecvError>) {
        let _ = self.end.set(end);
    }

    /// The error that closed queues ended with; `None` if they ended without one.
    pub(crate) fn end(&self) -> Option<BroadcastRecvError> {
        self.end.get().cloned().flatten()
    }

    pub(crate) fn figures(&self) -> Published {
        let waits = self.waits();
        let current = waits.since.iter().map(Instant::elapsed).sum::<Duration>();
        Published {
            events: self.published(),
            waits: waits.count,
            waited: waits.time + current,
        }
    }

    pub(crate) fn subscribers(&self) -> Vec<SubscriberStats> {
        let state = self.state();
        let subscribers = state.subscribers.iter();
        subscribers.map(|other| other.stats(state.next)).collect()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) const fn subscribers(&self) -> usize {
        self.subscribers.len()
    }
}

impl Progress {
    /// Counts the wait for a batch that ended now, and the batch: `items` from number `first` on.
    pub(crate) fn take(&self, published: u64, first: u64, items: usize) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Stores instead of additions, as nobody else writes: no bus is locked.
        let behind = published.saturating_sub(of(&self.position));
        if behind > of(&self.most_behind) {
            self.most_behind.store(behind, Ordering::Relaxed);
        }
        let items = items as u64;
        self.position.store(first + items, Ordering::Relaxed);
        let received = of(&self.received) + items;
        self.received.store(received, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, published: u64) -> SubscriberStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let behind = published.saturating_sub(of(&self.position));
        SubscriberStats {
            id: self.id,
            lossless: self.lossless,
            received: of(&self.received),
            lost: of(&self.lost),
            behind,
            most_behind: of(&self.most_behind).max(behind),
        }
    }
}

/// A wait for room, counted from its creation until it is dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    shared: &'a Shared,
    since: Instant,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let since = Instant::now();
        let mut waits = shared.waits();
        waits.count += 1;
        waits.since.push(since);
        drop(waits);
        // Relaxed: a look at the full queue follows, whose mutex orders it; partner: `is_awaited`.
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self { shared, since }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // Relaxed: a subscriber that still sees it notifies nobody.
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut waits = self.shared.waits();
        let found = waits.since.iter().position(|since| *since == self.since);
        if let Some(index) = found {
            waits.since.swap_remove(index);
        }
        waits.time += self.since.elapsed();
    }
}
