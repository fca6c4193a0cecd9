//! The task's part of a broadcast of flows: reads a source and tracks its flows.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use netring_flow::LiveFlow;
use netring_flow::extract::Extract;
use netring_sys::{Error, PacketSource};
use tokio::sync::oneshot;

use super::stats::{BroadcastStats, Figures};
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::produce::Produce;
use crate::flows::{Flows, Gather};

/// What the task is asked for between two batches of packets.
pub(crate) enum FlowRequest<K> {
    Stats(oneshot::Sender<Figures>),
    /// The largest flows, this many.
    Flows(usize, oneshot::Sender<Vec<LiveFlow<K>>>),
}

/// Reads one source, and publishes what the visitor gathers.
pub(crate) struct FlowProducer<S, E: Extract, V> {
    flows: Flows<S, E>,
    visitor: V,
    last: Arc<OnceLock<Figures>>,
}

impl<S, E, V> FlowProducer<S, E, V>
where
    S: PacketSource + Send + 'static,
    E: Extract,
{
    pub(crate) const fn new(flows: Flows<S, E>, visitor: V, last: Arc<OnceLock<Figures>>) -> Self {
        Self {
            flows,
            visitor,
            last,
        }
    }

    pub(crate) fn into_parts(self) -> (Flows<S, E>, V) {
        (self.flows, self.visitor)
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

impl<S, E, V> Produce for FlowProducer<S, E, V>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    V: Gather<E::Key> + Send + 'static,
    V::Item: Send + Sync + 'static,
{
    type Pending = Vec<V::Item>;
    type Request = FlowRequest<E::Key>;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Vec<V::Item>,
    ) -> Poll<Option<Result<(), Error>>> {
        self.flows.poll_into(cx, &mut self.visitor, pending)
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
