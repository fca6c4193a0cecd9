//! A subscriber: events one by one or in batches, and the exact number it lost.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::batch::{EventBatch, SharedEvent};
use super::error::BroadcastRecvError;
use super::feed::{Feed, Run};
use super::stats::SubscriberStats;

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
/// [`queued`](Self::queued) shows how far the subscriber is behind. A lossless subscriber
/// (`subscribe_lossless`) never lags: the capture waits for it instead.
///
/// # Filters
///
/// [`filtered`](Self::filtered) restricts a subscriber to the events that a predicate accepts. The
/// predicate runs here, on the batch that all subscribers share: once per event that was not lost,
/// without a copy, and not in the capture's task, which it can neither slow down nor stop. Lost
/// events are counted before the filter, because their contents are gone.
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
pub struct Subscriber<T> {
    feed: Feed<[T]>,
}

impl<T> Subscriber<T> {
    pub(crate) const fn new(feed: Feed<[T]>) -> Self {
        Self { feed }
    }

    /// Restricts this subscriber to the events for which `wanted` returns true; after a second
    /// call, both must.
    ///
    /// [`next_batch`](Self::next_batch) then returns wanted events in a row: a batch ends at the
    /// first event that is not wanted.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use netring_async::{BroadcastRecvError, FlowBroadcast};
    /// use netring_flow::FlowEvent;
    /// use netring_flow::extract::FiveTupleKey;
    ///
    /// async fn print(flows: &FlowBroadcast<FiveTupleKey>) -> Result<(), BroadcastRecvError> {
    ///     let is_dns = |key: &FiveTupleKey| key.a().port() == 53 || key.b().port() == 53;
    ///     let mut dns = flows
    ///         .subscribe()
    ///         .filtered(move |event| event.key().is_some_and(is_dns));
    ///     while let Some(event) = dns.next().await {
    ///         println!("{:?}", event?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn filtered(mut self, mut wanted: impl FnMut(&T) -> bool + Send + Sync + 'static) -> Self
    where
        T: 'static,
    {
        let keep = move |events: &[T], index: usize| wanted(&events[index]);
        self.feed.set_keep(Box::new(keep));
        self
    }

    /// Returns the next batch, or the rest of a batch from which events were taken one by one. Can
    /// be cancelled at any moment without losing an event.
    ///
    /// # Errors
    /// The errors of the stream's items.
    pub async fn next_batch(&mut self) -> Option<Result<EventBatch<T>, BroadcastRecvError>> {
        let found = self.feed.next_run().await?;
        Some(found.map(EventBatch::from))
    }

    /// The number of events lost to this subscriber so far: the sum of all
    /// [`BroadcastRecvError::Lagged`].
    pub const fn lost(&self) -> u64 {
        self.feed.lost()
    }

    /// The number of batches that wait for this subscriber in the queue.
    pub fn queued(&self) -> usize {
        self.feed.queued()
    }

    /// The figures of this subscriber.
    pub fn stats(&self) -> SubscriberStats {
        self.feed.stats()
    }
}

impl<T> Stream for Subscriber<T> {
    type Item = Result<SharedEvent<T>, BroadcastRecvError>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(this.feed.poll_item(cx));
        Poll::Ready(item.map(|item| item.map(|(events, index)| SharedEvent { events, index })))
    }
}

impl<T> FusedStream for Subscriber<T> {
    fn is_terminated(&self) -> bool {
        self.feed.is_done()
    }
}

impl<T> From<Run<[T]>> for EventBatch<T> {
    fn from(run: Run<[T]>) -> Self {
        Self {
            first: run.first,
            events: run.contents,
            range: run.range,
        }
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.feed.fmt(f)
    }
}

// No field is ever pinned.
impl<T> Unpin for Subscriber<T> {}
