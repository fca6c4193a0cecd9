//! A subscriber: events one by one or in batches, and the exact number it lost.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_sys::__event;
use tokio::task::coop;

use super::batch::{EventBatch, SharedEvent};
use super::error::BroadcastRecvError;
use super::message::{Message, Queue, Shared};

/// Receives every event published since it subscribed, or the number of those it lost.
///
/// As a stream it yields events one by one, each as a handle that costs two atomic operations;
/// [`next_batch`](Self::next_batch) returns whole batches at that cost per batch.
///
/// # Lagging
///
/// A subscriber that is too slow for the queue loses the oldest events. The next item is then
/// [`BroadcastRecvError::Lagged`] with their exact number; the items after it continue with the
/// oldest event still in the queue. [`lost`](Self::lost) adds these numbers up. For each
/// subscriber, received and lost events add up to those published since it subscribed.
///
/// To keep up, take whole batches, use a larger queue, or move slow work to another task.
/// [`queued`](Self::queued) shows how far the subscriber is behind.
///
/// # Closing
///
/// When the broadcast ends, a subscriber still receives everything that is queued for it. If the
/// source failed, [`BroadcastRecvError::Source`] follows; if the capture task was aborted,
/// [`BroadcastRecvError::Aborted`]. After that, and after an end without an error, every call
/// returns `None`. A subscriber may be dropped at any time, which affects no other.
///
/// # Fairness
///
/// A subscriber that always finds events yields to other tasks by the runtime's budget: after 128
/// batches.
///
/// ```
/// use futures::StreamExt;
/// use netring_async::{BroadcastRecvError, FlowSubscriber};
/// use netring_flow::extract::FiveTupleKey;
///
/// async fn count(mut events: FlowSubscriber<FiveTupleKey>) -> Result<u64, BroadcastRecvError> {
///     let mut received = 0;
///     while let Some(event) = events.next().await {
///         match event {
///             Ok(_) => received += 1,
///             Err(BroadcastRecvError::Lagged(lost)) => eprintln!("too slow for {lost} events"),
///             Err(ended) => return Err(ended),
///         }
///     }
///     Ok(received)
/// }
/// ```
#[derive(Debug)]
pub struct Subscriber<T> {
    queue: Queue<T>,
    shared: Arc<Shared>,
    /// The number of the first event that was not yet taken from the queue.
    expected: u64,
    /// Events that were taken from the queue and not yet yielded.
    batch: Option<EventBatch<T>>,
    lost: u64,
    /// The gap of events before `batch`, which was not yet reported.
    gap: u64,
    was_polled: bool,
    done: bool,
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

    /// Returns the next batch, or the rest of a batch from which events were taken one by one. Can
    /// be cancelled at any moment without losing an event.
    ///
    /// # Errors
    /// The errors of the stream's items.
    pub async fn next_batch(&mut self) -> Option<Result<EventBatch<T>, BroadcastRecvError>> {
        poll_fn(|cx| {
            let polled = ready!(self.poll_batch(cx));
            Poll::Ready(polled.map(|found| found.map(|()| self.batch.take()).transpose()))
        })
        .await
        .flatten()
    }

    /// The number of events lost to this subscriber so far: the sum of all
    /// [`BroadcastRecvError::Lagged`].
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The number of batches that wait for this subscriber in the queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The next event of the current batch, unless a gap before it is to be reported first.
    #[inline]
    fn next_in_batch(&mut self) -> Option<SharedEvent<T>> {
        if self.gap > 0 {
            return None;
        }
        let batch = self.batch.as_mut()?;
        let Some(index) = batch.range.next() else {
            self.batch = None;
            return None;
        };
        let events = match batch.range.is_empty() {
            // The last event takes over the reference to the batch.
            true => self.batch.take()?.events,
            false => batch.events.clone(),
        };
        Some(SharedEvent { events, index })
    }

    /// Ready with something in `batch`, or with an error or the end.
    // Not inlined: it would make the path of an event in a batch too long to be inlined itself,
    // which doubles the time of an event.
    #[inline(never)]
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
                __event!(
                    "broadcast",
                    WARN,
                    lost,
                    lost_so_far = self.lost,
                    "a subscriber is too slow: events are lost"
                );
                Poll::Ready(Some(Err(BroadcastRecvError::Lagged(lost))))
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<T>>> {
        loop {
            match ready!(Pin::new(&mut self.queue).poll_recv(cx)) {
                // Its count is of batches; the number of the next event gives the exact count of
                // events.
                Some(Err(_overflowed)) => {}
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Stream for Subscriber<T> {
    type Item = Result<SharedEvent<T>, BroadcastRecvError>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.next_in_batch() {
                return Poll::Ready(Some(Ok(event)));
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

// No field is ever pinned.
impl<T> Unpin for Subscriber<T> {}
