//! The flow events of one capture for many subscribers.

mod ask;
mod produce;
mod stats;

use std::sync::{Arc, OnceLock};

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, LiveFlow};
use netring_sys::PacketSource;

use super::error::BroadcastRecvError;
use super::handle::{Handle, handle_methods};
use super::subscriber::Subscriber;
use crate::FlowStream;
pub(super) use produce::{FlowAnswers, FlowProducer, FlowRequest};
pub use stats::BroadcastStats;
pub(super) use stats::Figures;

/// A subscriber to the events of a [`FlowBroadcast`]. [`Subscriber`] describes
/// [lagging](Subscriber#lagging) and [closing](Subscriber#closing).
pub type FlowSubscriber<K> = Subscriber<FlowEvent<K>>;

/// Shares the flow events of one capture among any number of subscribers; created by
/// [`FlowStream::broadcast`](crate::FlowStream::broadcast).
///
/// A task reads the source and tracks its flows. Subscribers make it wait only if they ask for it.
///
/// # Lagging
///
/// Events wait for subscribers in a bounded queue of [`capacity`](Self::capacity) batches. When it
/// is full, the next batch replaces the oldest, whether or not every subscriber has received that.
/// A subscriber that misses events this way receives [`BroadcastRecvError::Lagged`] with their
/// exact number, and continues with the oldest batch in the queue. The other subscribers and the
/// capture do not notice.
///
/// Subscribers that must lose nothing use [`subscribe_lossless`](Self::subscribe_lossless): the
/// capture waits for them, which affects all subscribers.
///
/// # Closing
///
/// The broadcast closes when the source ends or fails, when it is [stopped](Self::stop) or
/// [shut down](Self::shutdown), or when this handle is dropped. The remaining flows end first, with
/// an event each. Every subscriber then receives what is queued,
/// the error if there was one, and `None`. Subscribers that lag or subscribe later also receive the
/// error.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::{AsyncSource, BroadcastRecvError};
/// use netring_flow::extract::FiveTuple;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Box<dyn std::error::Error>> {
///
/// let source = AsyncSource::new(capture)?;
/// let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
/// let mut events = broadcast.subscribe();
/// while let Some(event) = events.next().await {
///     match event {
///         Ok(event) => println!("{event:?}"),
///         Err(BroadcastRecvError::Lagged(lost)) => println!("{lost} events lost"),
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlowBroadcast<K> {
    handle: Handle<[FlowEvent<K>], FlowRequest<K>>,
    /// The final figures of the task, once it has ended.
    last: Arc<OnceLock<Figures>>,
}

/// The task's part.
type Events<S, E> = FlowProducer<S, E, Vec<FlowEvent<<E as Extract>::Key>>>;

impl<S, E> FlowStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract,
{
    /// Shares the events among any number of subscribers: a new task reads the packets and tracks
    /// the flows.
    ///
    /// Events travel in batches of 1 to 64, oldest first. A batch is published when it is full,
    /// when the source has nothing more for the moment, or when the task's time slice of one
    /// millisecond ends: no event waits longer than that.
    ///
    /// The queue holds `capacity` **batches**, 1 to 65 536 (other values are clamped, see
    /// [`FlowBroadcast::capacity`]). A subscriber that falls further behind loses the oldest, and
    /// receives the number of lost events ([`BroadcastRecvError::Lagged`]). A subscriber fewer than
    /// `capacity` events behind loses nothing. The queue holds at most 64 × `capacity` events, of
    /// up to 128 bytes with the built-in key. Only subscribers from
    /// [`subscribe_lossless`](FlowBroadcast::subscribe_lossless) make the capture wait.
    ///
    /// A live source is read from now on, with or without subscribers. A replay starts when a
    /// subscriber is polled for the first time, so those that subscribed before miss nothing.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn broadcast(self, capacity: usize) -> FlowBroadcast<E::Key> {
        FlowBroadcast::spawn(self, capacity)
    }
}

impl<K: Send + Sync + 'static> FlowBroadcast<K> {
    /// Spawns the task of a stream.
    pub(crate) fn spawn<S, E>(stream: FlowStream<S, E>, capacity: usize) -> Self
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
    {
        let (flows, queue) = stream.into_flows();
        let last = Arc::default();
        let answers = FlowAnswers(Arc::clone(&last));
        let producer: Events<S, E> = FlowProducer::new(flows, Vec::new(), answers);
        Self {
            handle: Handle::spawn(vec![(producer, queue)], capacity),
            last,
        }
    }

    handle_methods!(FlowSubscriber<K>, "events");

    /// The current figures of the capture and its flows, or the final ones after the end. The task
    /// answers between two batches of packets, and while it waits for a lossless subscriber.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads the source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        let ask = FlowRequest::Stats;
        self.handle.figures(0, ask, &self.last).await
    }

    /// A snapshot of the flows that have not ended: the `count` largest by bytes on the wire, the
    /// largest first; `usize::MAX` for all. After the end there are none.
    ///
    /// The task answers between two batches of packets, and reads none meanwhile. It looks at every
    /// flow and copies `count`: with a million flows, the ten largest take about 30 ms and all of
    /// them 0.4 s, while packets wait in the ring.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Aborted`].
    pub async fn flows(&self, count: usize) -> Result<Vec<LiveFlow<K>>, BroadcastRecvError> {
        self.handle.live_flows(count, &self.last).await
    }

    /// Ends the broadcast and waits until its task has ended: the packets that were in the source's
    /// ring are tracked, every flow has its [`FlowEvent::Ended`], every event is published, and the
    /// source is closed. Returns the final figures. Subscribers need not have read to the end; they
    /// still can. [`stop`](Self::stop) leaves the packets in the ring, and so does dropping this
    /// future.
    ///
    /// Packets that arrive meanwhile may not be tracked:
    /// [`Stats::pending`](netring_sys::Stats::pending) counts them. If a live source announces
    /// packets but does not lend them, the wait for them ends after one second.
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If the source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        self.handle.shutdown().await;
        self.handle.last_figures(&self.last)
    }

    /// Ends the broadcast without ending its flows, and returns them as a stream: the opposite of
    /// [`FlowStream::broadcast`]. `S` and `E` are the types of its source and extractor.
    ///
    /// No event is lost or repeated: subscribers receive those before, and then the end; the stream
    /// yields those after. Flows continue in the stream, also if they started before. If this
    /// future is dropped, the broadcast stops.
    ///
    /// ```no_run
    /// use netring_afpacket::Capture;
    /// use netring_async::{FlowBroadcast, FlowStream};
    /// use netring_flow::extract::{FiveTuple, FiveTupleKey};
    ///
    /// type Flows = FlowStream<Capture, FiveTuple>;
    ///
    /// async fn alone(broadcast: FlowBroadcast<FiveTupleKey>) -> Option<Flows> {
    ///     broadcast.into_flow_stream().await.ok()
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the broadcast, which continues, if its source or extractor has another type; or if
    /// its task has ended, with its remaining contents.
    pub async fn into_flow_stream<S, E>(self) -> Result<FlowStream<S, E>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
    {
        if !self.handle.is_of::<Events<S, E>>() {
            return Err(self);
        }
        let released = self.handle.release::<Events<S, E>>();
        match released.await {
            Some(producer) => Ok(FlowStream::from_flows(producer.into_parts().0)),
            None => Err(self),
        }
    }
}
