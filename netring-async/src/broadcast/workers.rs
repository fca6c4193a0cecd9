//! The flows of several sources, each with a task and a tracker of its own, for many subscribers.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use netring_flow::FlowEvent;
use netring_flow::extract::Extract;
use netring_sys::PacketSource;

use super::error::BroadcastRecvError;
use super::flows::{BroadcastStats, Figures, FlowItem, FlowProducer, FlowRequest};
use super::handle::{Handle, handle_methods};
use super::subscriber::Subscriber;
use crate::FlowStream;

/// Tracks the flows of several sources in parallel, and shares all events among any number of
/// subscribers: for the workers of a fanout group, or the queues of an AF_XDP interface.
///
/// Each source has a task and a tracker of its own, so on a multi-thread runtime they run at the
/// same time. Every flow has to be at one source, as a whole and in both directions: fanout by hash
/// does that, and so do the queues of a card with a symmetric hash. (For sources that see parts of
/// the same flows, make one source of them with [`Merge`](netring_sys::wait::Merge).)
///
/// The events of one source are in order. Those of several are in the order in which they were
/// published, which is not that of their times.
///
/// Lagging and lossless subscribers are those of [`FlowBroadcast`](crate::FlowBroadcast): a
/// lossless one makes all workers wait. The broadcast closes when all sources have ended. If one
/// fails, or its task is aborted, the others stop, because what they track is no longer the whole:
/// all flows end, and subscribers receive the error after the last event.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_afpacket::{Capture, Fanout, FanoutGroup};
/// use netring_async::{AsyncSource, FlowWorkers};
/// use netring_flow::extract::FiveTuple;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
///
/// let settings = Capture::builder().interface("eth0");
/// let group = FanoutGroup::open(settings, Fanout::default().workers(4))?;
/// let mut streams = Vec::new();
/// for worker in group.into_workers() {
///     streams.push(AsyncSource::new(worker)?.flow_stream(FiveTuple::bidirectional()));
/// }
/// let flows = FlowWorkers::spawn(streams, 1024);
/// let mut events = flows.subscribe_lossless();
/// while let Some(event) = events.next().await {
///     let event = event?;
///     println!("worker {}: {:?}", event.worker, event.event);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlowWorkers<K> {
    handle: Handle<[WorkerEvent<K>], FlowRequest<K>>,
    /// The final figures of each task, once it has ended.
    last: Vec<Arc<OnceLock<Figures>>>,
}

/// An event of one of several workers; it dereferences to the event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct WorkerEvent<K> {
    /// The number of the worker, counted from 0 in the order of the streams. A
    /// [`FlowId`](netring_flow::FlowId) identifies a flow of one worker only.
    pub worker: usize,
    /// What happened.
    pub event: FlowEvent<K>,
}

impl<K: Send + Sync + 'static> FlowWorkers<K> {
    /// Spawns a task for each stream, which continues with its flows and its queued events. Each
    /// queue of the broadcast holds `capacity` batches, as in [`FlowStream::broadcast`].
    ///
    /// Live sources are read from now on. Replays start when a subscriber is polled for the first
    /// time.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn spawn<S, E>(streams: impl IntoIterator<Item = FlowStream<S, E>>, capacity: usize) -> Self
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
    {
        let (mut producers, mut last) = (Vec::new(), Vec::new());
        for (worker, stream) in streams.into_iter().enumerate() {
            let figures = Arc::default();
            let producer = FlowProducer::<S, E, WorkerEvent<K>>::new(stream, worker, &figures);
            producers.push(producer);
            last.push(figures);
        }
        Self {
            handle: Handle::spawn(producers, capacity),
            last,
        }
    }

    handle_methods!(Subscriber<WorkerEvent<K>>, "events");

    /// The current figures of each worker, or its final ones after its end. Waits are those of all
    /// workers together.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads a source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<Vec<BroadcastStats>, BroadcastRecvError> {
        let mut all = Vec::with_capacity(self.last.len());
        for worker in 0..self.last.len() {
            all.push(match self.handle.ask(worker, FlowRequest::Stats).await {
                Some(figures) => figures?.with_waits(self.published()),
                None => self.last(worker)?,
            });
        }
        Ok(all)
    }

    /// Ends all workers and waits until they have ended: the packets that were in their rings are
    /// tracked, every flow has its [`FlowEvent::Ended`], every event is published, and the sources
    /// are closed. Returns the final figures of each.
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If a source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<Vec<BroadcastStats>, BroadcastRecvError> {
        self.handle.shutdown().await;
        (0..self.last.len())
            .map(|worker| self.last(worker))
            .collect()
    }

    /// Ends the broadcast without ending its flows, and returns them as the streams that they were
    /// made of, in the order of the workers; `None` for a worker that has ended. `S` and `E` are
    /// the source and the extractor.
    ///
    /// No event is lost or repeated: subscribers receive those before, and then the end; the
    /// streams yield those after. If this future is dropped, the workers stop.
    ///
    /// # Errors
    /// Returns the workers, which go on, if they have another source or extractor.
    pub async fn into_flow_streams<S, E>(self) -> Result<Vec<Option<FlowStream<S, E>>>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
    {
        if !self.handle.is_of::<FlowProducer<S, E, WorkerEvent<K>>>() {
            return Err(self);
        }
        let released = self
            .handle
            .release_all::<FlowProducer<S, E, WorkerEvent<K>>>();
        let streams = released.await.into_iter();
        Ok(streams
            .map(|producer| Some(producer?.into_stream()))
            .collect())
    }

    /// The final figures of a worker: its task stored them before it stopped answering.
    fn last(&self, worker: usize) -> Figures {
        let last = self.last[worker].get().cloned();
        let last = last.unwrap_or(Err(BroadcastRecvError::Aborted));
        last.map(|figures| figures.with_waits(self.published()))
    }
}

impl<K: Send + Sync + 'static> FlowItem<K> for WorkerEvent<K> {
    #[inline]
    fn new(worker: usize, event: FlowEvent<K>) -> Self {
        Self { worker, event }
    }
}

impl<K> Deref for WorkerEvent<K> {
    type Target = FlowEvent<K>;

    fn deref(&self) -> &FlowEvent<K> {
        &self.event
    }
}
