//! The task's part of a broadcast of flows: reads a source and tracks its flows.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, FlowVisitor, LiveFlow};
use netring_sys::{Error, PacketSource};
use tokio::sync::oneshot;

use super::stats::{BroadcastStats, Figures};
use crate::FlowStream;
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::produce::Produce;
use crate::flows::{Collect, Flows};

/// What is published for a flow event.
pub(crate) trait FlowItem<K>: Send + Sync + 'static {
    fn new(worker: usize, event: FlowEvent<K>) -> Self;
}

impl<K: Send + Sync + 'static> FlowItem<K> for FlowEvent<K> {
    #[inline]
    fn new(_: usize, event: Self) -> Self {
        event
    }
}

/// What the task is asked for between two batches of packets.
pub(crate) enum FlowRequest<K> {
    Stats(oneshot::Sender<Figures>),
    /// The largest flows, this many.
    Flows(usize, oneshot::Sender<Vec<LiveFlow<K>>>),
}

/// Reads one source. `T` is what is published for each event.
pub(crate) struct FlowProducer<S, E: Extract, T> {
    flows: Flows<S, E>,
    worker: usize,
    last: Arc<OnceLock<Figures>>,
    items: PhantomData<fn() -> T>,
}

/// Events on their way to the queue.
struct Collector<'a, T> {
    worker: usize,
    items: &'a mut Vec<T>,
}

impl<S, E, T> FlowProducer<S, E, T>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    T: FlowItem<E::Key>,
{
    /// Takes over a stream, with the events that it has queued.
    pub(crate) fn new(
        stream: FlowStream<S, E>,
        worker: usize,
        last: &Arc<OnceLock<Figures>>,
    ) -> (Self, Vec<T>) {
        let (flows, queue) = stream.into_flows();
        let items = queue.into_iter().map(|event| T::new(worker, event));
        let producer = Self {
            flows,
            worker,
            last: last.clone(),
            items: PhantomData,
        };
        (producer, items.collect())
    }

    pub(crate) fn into_stream(self) -> FlowStream<S, E> {
        FlowStream::from_flows(self.flows)
    }

    fn figures(&mut self, published: u64) -> Figures {
        let capture = self.flows.source.stats();
        Ok(BroadcastStats {
            capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
            tracker: self.flows.tracker.stats(),
            active_flows: self.flows.tracker.active_flows(),
            events: published,
            // Known to the handle.
            waits: 0,
            waited: Duration::ZERO,
        })
    }
}

impl<S, E, T> Produce for FlowProducer<S, E, T>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    E::Key: Send + Sync + 'static,
    T: FlowItem<E::Key>,
{
    type Pending = Vec<T>;
    type Request = FlowRequest<E::Key>;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Vec<T>,
    ) -> Poll<Option<Result<(), Error>>> {
        let worker = self.worker;
        let mut collector = Collector {
            worker,
            items: pending,
        };
        self.flows.poll_events(cx, &mut collector)
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.flows.source.get_ref().is_live()
    }

    fn answer(&mut self, request: FlowRequest<E::Key>, published: u64) {
        // A requester that no longer waits loses its answer.
        match request {
            FlowRequest::Stats(reply) => drop(reply.send(self.figures(published))),
            FlowRequest::Flows(count, reply) => {
                drop(reply.send(self.flows.tracker.largest_flows(count)));
            }
        }
    }

    fn stop(&mut self) {
        self.flows.stop();
    }

    fn drain(&mut self) {
        self.flows.drain();
    }

    fn finish(&mut self, published: u64) {
        let figures = self.figures(published);
        let _ = self.last.set(figures);
    }

    async fn close(self) {
        self.flows.source.close().await;
    }
}

impl<T: FlowItem<K>, K> FlowVisitor<K> for Collector<'_, T> {
    const SEGMENTS: bool = false;

    #[inline]
    fn event(&mut self, event: FlowEvent<K>) {
        self.items.push(T::new(self.worker, event));
    }
}

impl<T: FlowItem<K>, K> Collect<K> for Collector<'_, T> {
    #[inline]
    fn collected(&self) -> usize {
        self.items.len()
    }
}
