//! The requests that the task of a flow broadcast answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use netring_flow::LiveFlow;
use netring_flow::extract::Extract;
use netring_sys::PacketSource;
use tokio::sync::oneshot;

use super::stats::{BroadcastStats, Figures};
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::produce::{Answer, GatherProducer};
use crate::flows::Flows;

/// Requests to the task, answered between two batches of packets.
pub(crate) enum FlowRequest<K> {
    Stats(oneshot::Sender<Figures>),
    /// The largest flows, up to this many.
    Flows(usize, oneshot::Sender<Vec<LiveFlow<K>>>),
}

/// Reads one source, and publishes the items that the visitor gathers.
pub(crate) type FlowProducer<S, E, V> = GatherProducer<S, E, V, FlowAnswers>;

/// Answers requests, and keeps the final figures.
pub(crate) struct FlowAnswers(pub(crate) Arc<OnceLock<Figures>>);

impl<S, E, V> Answer<S, E, V> for FlowAnswers
where
    S: PacketSource + Send + 'static,
    E: Extract,
{
    type Request = FlowRequest<E::Key>;

    fn answer(&self, flows: &mut Flows<S, E>, _: &V, request: FlowRequest<E::Key>, published: u64) {
        // A requester that no longer waits loses its answer.
        match request {
            FlowRequest::Stats(reply) => drop(reply.send(figures(flows, published))),
            FlowRequest::Flows(count, reply) => {
                drop(reply.send(flows.tracker.largest_flows(count)));
            }
        }
    }

    fn finish(&self, flows: &mut Flows<S, E>, _: &V, published: u64) {
        let _ = self.0.set(figures(flows, published));
    }
}

fn figures<S: PacketSource, E: Extract>(flows: &mut Flows<S, E>, published: u64) -> Figures {
    let capture = flows.source.stats();
    Ok(BroadcastStats {
        capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
        tracker: flows.tracker.stats(),
        active_flows: flows.tracker.active_flows(),
        events: published,
        // Known to the handle.
        waits: 0,
        waited: Duration::ZERO,
    })
}
