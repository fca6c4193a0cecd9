//! The items of any stream for many subscribers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use netring_sys::Error;
use tokio::task::coop;

use super::handle::{Handle, handle_methods};
use super::message::BATCH;
use super::produce::Produce;
use super::subscriber::Subscriber;

/// Shares the items of any stream among any number of subscribers: messages of sessions, records, a
/// program's own events.
///
/// Lagging, lossless subscribers and closing work as in [`FlowBroadcast`](crate::FlowBroadcast), in
/// items of the stream. Items travel in batches of up to 64: a batch is published when it is full
/// or when the stream has nothing more for the moment.
///
/// ```
/// use futures::{StreamExt, stream};
/// use netring_async::Broadcast;
/// use netring_sys::Error;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broadcast = Broadcast::new(stream::iter(1..=3).map(Ok::<u32, Error>), 16);
/// let (mut a, mut b) = (broadcast.subscribe(), broadcast.subscribe_lossless());
/// let mut sum = 0;
/// while let Some(number) = a.next().await {
///     sum += *number?;
/// }
/// assert_eq!(sum, 6);
/// assert_eq!(b.next().await.transpose()?.as_deref(), Some(&1));
/// # Ok(())
/// # }
/// ```
pub struct Broadcast<T> {
    handle: Handle<[T], Never>,
}

/// There are no requests.
enum Never {}

/// Reads a stream.
struct StreamProducer<S> {
    stream: Option<Pin<Box<S>>>,
}

impl<T: Send + Sync + 'static> Broadcast<T> {
    /// Spawns a task that reads the stream.
    ///
    /// Each queue holds `capacity` **batches**, 1 to 65 536 (other values are clamped). The task
    /// starts when a subscriber is polled for the first time, so those that subscribed before miss
    /// nothing. An error ends the broadcast: subscribers receive it after the last item.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn new(
        stream: impl Stream<Item = Result<T, Error>> + Send + 'static,
        capacity: usize,
    ) -> Self {
        let stream = Some(Box::pin(stream));
        let producer = StreamProducer { stream };
        Self {
            handle: Handle::spawn(vec![(producer, Vec::new())], capacity),
        }
    }

    handle_methods!(Subscriber<T>, "items");

    /// Stops the broadcast and waits until its task has ended: everything is published, and the
    /// stream is dropped. Subscribers need not have read to the end; they still can.
    pub async fn shutdown(&self) {
        self.handle.shutdown().await;
    }
}

impl<S, T> Produce for StreamProducer<S>
where
    S: Stream<Item = Result<T, Error>> + Send + 'static,
    T: Send + Sync + 'static,
{
    type Pending = Vec<T>;
    type Request = Never;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Vec<T>,
    ) -> Poll<Option<Result<(), Error>>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        // Also for streams that know no budget.
        let budget = ready!(coop::poll_proceed(cx));
        let before = pending.len();
        let found = loop {
            match stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => pending.push(item),
                Poll::Ready(Some(Err(error))) => break Some(Err(error)),
                Poll::Ready(None) => break None,
                Poll::Pending if pending.len() == before => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(Ok(()))),
            }
            budget.made_progress();
            if pending.len() - before >= BATCH {
                return Poll::Ready(Some(Ok(())));
            }
        };
        self.stop();
        Poll::Ready(found)
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn answer(&mut self, request: Never, _: u64) {
        match request {}
    }

    /// The stream may hold a source, so it is dropped before subscribers see the end.
    fn stop(&mut self) {
        self.stream = None;
    }

    fn finish(&mut self, _: u64) {}

    async fn close(self) {}
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

#[cfg(test)]
mod tests;
