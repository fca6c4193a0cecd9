//! The flows of several sources, as events or as records, each source with its own task and
//! tracker, for many subscribers.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{Extract, FiveTupleKey};
use netring_flow::{FlowEvent, FlowVisitor};
use netring_sys::PacketSource;

use super::error::BroadcastRecvError;
use super::flows::{BroadcastStats, Figures, FlowAnswers, FlowProducer, FlowRequest};
use super::handle::{Handle, handle_methods};
use super::subscriber::Subscriber;
use crate::flows::{Collect, Flows, Gather};
use crate::{FlowStream, RecordStream};

/// Tracks the flows of several sources in parallel, and shares all events among any number of
/// subscribers: for the workers of a fanout group, or the queues of an AF_XDP interface.
///
/// Each source has its own task and tracker, so on a multi-thread runtime they run in parallel.
/// Each flow must arrive at a single source, complete and in both directions: fanout by hash
/// ensures that, and so do the queues of a card with a symmetric hash. (For sources that see parts
/// of the same flows, make one source of them with [`Merge`](netring_sys::wait::Merge).)
///
/// The events of one source are in order. Events of several sources are in the order of
/// publication, not of time.
///
/// Lagging and lossless subscribers work as in [`FlowBroadcast`](crate::FlowBroadcast): a lossless
/// one makes all workers wait. The broadcast closes when all sources have ended. If one fails, or
/// its task is aborted, the others stop, because their flows are no longer the complete set: all
/// flows end, and subscribers receive the error after the last event.
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
pub type FlowWorkers<K> = Workers<WorkerEvent<K>, K>;

/// Makes the records of the flows of several sources in parallel, and shares all records among any
/// number of subscribers: the counterpart of [`FlowWorkers`] for records.
///
/// [`FlowRecord::worker`] names the source of a record.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_afpacket::{Capture, Fanout, FanoutGroup};
/// use netring_async::{AsyncSource, RecordWorkers};
/// use netring_flow::export::ConnLog;
/// use netring_flow::extract::FiveTuple;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
///
/// let settings = Capture::builder().interface("eth0");
/// let group = FanoutGroup::open(settings, Fanout::default().workers(4))?;
/// let mut streams = Vec::new();
/// for worker in group.into_workers() {
///     streams.push(AsyncSource::new(worker)?.record_stream(FiveTuple::bidirectional()));
/// }
/// let workers = RecordWorkers::spawn(streams, 64);
/// let (log, mut text) = (ConnLog::new(), Vec::new());
/// let mut records = workers.subscribe_lossless();
/// while let Some(record) = records.next().await {
///     log.json(&*record?, &mut text);
/// }
/// # Ok(())
/// # }
/// ```
pub type RecordWorkers = Workers<FlowRecord, FiveTupleKey>;

/// Several sources, each with a task and a tracker, and one queue for all results: see
/// [`FlowWorkers`] and [`RecordWorkers`].
#[derive(Debug)]
pub struct Workers<T, K> {
    handle: Handle<[T], FlowRequest<K>>,
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

impl<K: Send + Sync + 'static> Workers<WorkerEvent<K>, K> {
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
        let streams = streams.into_iter().enumerate();
        let parts = streams.map(|(worker, stream)| {
            let (flows, queue) = stream.into_flows();
            let mut visitor = Labelled::new(worker);
            queue.into_iter().for_each(|event| visitor.event(event));
            let queue = std::mem::take(&mut visitor.events);
            (flows, visitor, queue)
        });
        Self::of(parts, capacity)
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
        let released = self.release::<S, E, Labelled<K>>().await?.into_iter();
        let stream = |(flows, _)| FlowStream::from_flows(flows);
        Ok(released.map(|it| it.map(stream)).collect())
    }
}

impl Workers<FlowRecord, FiveTupleKey> {
    /// Spawns a task for each stream, which continues with its flows and its queued records, and
    /// sets [`FlowRecord::worker`] to the number of the stream, counted from 0. Each queue of the
    /// broadcast holds `capacity` batches, as in [`FlowStream::broadcast`].
    ///
    /// Live sources are read from now on. Replays start when a subscriber is polled for the first
    /// time.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn spawn<S, E>(
        streams: impl IntoIterator<Item = RecordStream<S, E>>,
        capacity: usize,
    ) -> Self
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = FiveTupleKey>,
    {
        let parts = streams.into_iter().zip(0..).map(|(stream, worker)| {
            let (flows, recorder, mut queue) = stream.into_flows();
            for record in &mut queue {
                record.worker = Some(worker);
            }
            (flows, recorder.worker(worker), queue)
        });
        Self::of(parts, capacity)
    }

    /// Ends the broadcast without ending its flows, and returns them as the streams that they were
    /// made of, as [`into_flow_streams`](FlowWorkers::into_flow_streams) of [`FlowWorkers`] does.
    /// Their records still name their worker.
    ///
    /// # Errors
    /// Returns the workers, which go on, if they have another source or extractor.
    pub async fn into_record_streams<S, E>(self) -> Result<Vec<Option<RecordStream<S, E>>>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = FiveTupleKey>,
    {
        let released = self.release::<S, E, FlowRecorder>().await?.into_iter();
        let stream = |(flows, recorder)| RecordStream::from_flows(flows, recorder);
        Ok(released.map(|it| it.map(stream)).collect())
    }
}

impl<T: Send + Sync + 'static, K: Send + Sync + 'static> Workers<T, K> {
    /// Spawns a task for each source, with its visitor and the items gathered so far.
    fn of<S, E, V>(parts: impl Iterator<Item = (Flows<S, E>, V, Vec<T>)>, capacity: usize) -> Self
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
        V: Gather<K, Item = T> + Send + 'static,
    {
        let (mut producers, mut last) = (Vec::new(), Vec::new());
        for (flows, visitor, queue) in parts {
            let figures = Arc::default();
            let answers = FlowAnswers(Arc::clone(&figures));
            let producer = FlowProducer::new(flows, visitor, answers);
            producers.push((producer, queue));
            last.push(figures);
        }
        Self {
            handle: Handle::spawn(producers, capacity),
            last,
        }
    }

    handle_methods!(Subscriber<T>, "items");

    /// The current figures of each worker, or its final ones after its end. Waits are those of all
    /// workers together.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads a source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<Vec<BroadcastStats>, BroadcastRecvError> {
        let mut all = Vec::with_capacity(self.last.len());
        for (worker, last) in self.last.iter().enumerate() {
            let figures = self.handle.figures(worker, FlowRequest::Stats, last);
            all.push(figures.await?);
        }
        Ok(all)
    }

    /// Ends all workers and waits until they have ended: the packets that were in their rings are
    /// tracked, every flow has its [`FlowEvent::Ended`] or its record, everything is published, and
    /// the sources are closed. Returns the final figures of each.
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If a source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<Vec<BroadcastStats>, BroadcastRecvError> {
        self.handle.shutdown().await;
        let last = self.last.iter();
        last.map(|last| self.handle.last_figures(last)).collect()
    }

    /// Ends the broadcast without ending its flows, and returns them, and their visitor, by worker.
    #[allow(clippy::type_complexity, reason = "each part has its own type")]
    async fn release<S, E, V>(self) -> Result<Vec<Option<(Flows<S, E>, V)>>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
        V: Gather<K, Item = T> + Send + 'static,
    {
        if !self.handle.is_of::<FlowProducer<S, E, V>>() {
            return Err(self);
        }
        let released = self.handle.release_all::<FlowProducer<S, E, V>>().await;
        let parts = released.into_iter();
        Ok(parts.map(|it| it.map(FlowProducer::into_parts)).collect())
    }
}

/// Collects events with the number of their worker.
struct Labelled<K> {
    worker: usize,
    events: Vec<WorkerEvent<K>>,
}

impl<K> Labelled<K> {
    const fn new(worker: usize) -> Self {
        Self {
            worker,
            events: Vec::new(),
        }
    }
}

impl<K> FlowVisitor<K> for Labelled<K> {
    const SEGMENTS: bool = false;

    #[inline]
    fn event(&mut self, event: FlowEvent<K>) {
        let worker = self.worker;
        self.events.push(WorkerEvent { worker, event });
    }
}

impl<K> Collect<K> for Labelled<K> {
    #[inline]
    fn collected(&self) -> usize {
        self.events.len()
    }
}

impl<K> Gather<K> for Labelled<K> {
    type Item = WorkerEvent<K>;

    #[inline]
    fn gathered(&mut self) -> &mut Vec<WorkerEvent<K>> {
        &mut self.events
    }
}

impl<K> Deref for WorkerEvent<K> {
    type Target = FlowEvent<K>;

    fn deref(&self) -> &FlowEvent<K> {
        &self.event
    }
}
