//! A subscriber: events one by one or in batches, and exactly how many it lost.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, Range};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::task::coop;

use super::error::BroadcastRecvError;
use super::message::{Message, Queue, Shared};

/// Sees every event that was published since it subscribed, or is told how many it lost.
///
/// As a stream it yields events one by one, each with a handle that costs two atomic operations;
/// [`next_batch`](Self::next_batch) gives them in the batches they travelled in, at that cost for a
/// batch. After an error that [`is_terminal`](BroadcastRecvError::is_terminal), and at the end,
/// both give `None` for ever.
///
/// A subscriber that always finds events leaves its thread to others by the runtime's budget: after
/// 128 batches.
#[derive(Debug)]
pub struct Subscriber<T> {
    queue: Queue<T>,
    shared: Arc<Shared>,
    /// The number of the first event that is not yet taken from the queue.
    expected: u64,
    /// What is taken from the queue and not yet yielded.
    batch: Option<EventBatch<T>>,
    lost: u64,
    /// The batch in `batch` comes behind a gap of so many events, which was not yet told.
    gap: u64,
    was_polled: bool,
    done: bool,
}

/// An event that all subscribers share. A cheap handle: it keeps the batch that the event travelled
/// in.
pub struct SharedEvent<T> {
    events: Arc<[T]>,
    index: usize,
}

/// Events that travelled together, oldest first; a slice. All subscribers share them.
pub struct EventBatch<T> {
    first: u64,
    events: Arc<[T]>,
    range: Range<usize>,
}

impl<T> Subscriber<T> {
    pub(crate) const fn new(queue: Queue<T>, shared: Arc<Shared>, expected: u64) -> Self {
        Self {
            queue,
            shared,
            expected,
            batch: None,
            lost: 0,
            gap: 0,
            was_polled: false,
            done: false,
        }
    }

    /// The events that travelled together, or what is left of a batch of which events were taken
    /// one by one. Can be dropped at any moment: nothing is lost.
    ///
    /// # Errors
    /// As the stream's items.
    pub async fn next_batch(&mut self) -> Option<Result<EventBatch<T>, BroadcastRecvError>> {
        poll_fn(|cx| {
            let polled = ready!(self.poll_batch(cx));
            Poll::Ready(polled.map(|found| found.map(|()| self.batch.take()).transpose()))
        })
        .await
        .flatten()
    }

    /// Events lost to this subscriber so far: the sum of what was told by
    /// [`BroadcastRecvError::Lagged`].
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Batches that wait for this subscriber in the queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Ready with something in `batch`, or with what is to be told instead.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), BroadcastRecvError>>> {
        if self.batch.is_none() {
            if self.done {
                return Poll::Ready(None);
            }
            if !self.was_polled {
                self.was_polled = true;
                self.shared.first_poll.notify_one();
            }
            let budget = ready!(coop::poll_proceed(cx));
            let message = ready!(self.poll_message(cx));
            budget.made_progress();
            let Some(Message { first, events }) = message else {
                self.done = true;
                return Poll::Ready(self.shared.end().map(Err));
            };
            self.gap = first - self.expected;
            self.expected = first + events.len() as u64;
            self.batch = Some(EventBatch {
                first,
                range: 0..events.len(),
                events,
            });
        }
        match std::mem::take(&mut self.gap) {
            0 => Poll::Ready(Some(Ok(()))),
            lost => {
                self.lost += lost;
                Poll::Ready(Some(Err(BroadcastRecvError::Lagged(lost))))
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<T>>> {
        loop {
            match ready!(Pin::new(&mut self.queue).poll_recv(cx)) {
                // It counts batches; the number of the next event tells the events, exactly.
                Some(Err(_overflowed)) => {}
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Stream for Subscriber<T> {
    type Item = Result<SharedEvent<T>, BroadcastRecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.gap == 0
                && let Some(batch) = &mut this.batch
            {
                if let Some(index) = batch.range.next() {
                    let events = match batch.range.is_empty() {
                        // The last event takes the batch along.
                        true => this.batch.take().map(|batch| batch.events),
                        false => Some(batch.events.clone()),
                    };
                    return Poll::Ready(events.map(|events| Ok(SharedEvent { events, index })));
                }
                this.batch = None;
            }
            match ready!(this.poll_batch(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> FusedStream for Subscriber<T> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for Subscriber<T> {}

impl<T> EventBatch<T> {
    /// The number of the first event, counted from 0 over all that were published: the same for
    /// every subscriber.
    pub const fn first(&self) -> u64 {
        self.first + self.range.start as u64
    }
}

impl<T> Deref for EventBatch<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.events[self.range.clone()]
    }
}

impl<'a, T> IntoIterator for &'a EventBatch<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Deref for SharedEvent<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.events[self.index]
    }
}

impl<T> Clone for SharedEvent<T> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            index: self.index,
        }
    }
}

impl<T> Clone for EventBatch<T> {
    fn clone(&self) -> Self {
        Self {
            first: self.first,
            events: self.events.clone(),
            range: self.range.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedEvent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for EventBatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
