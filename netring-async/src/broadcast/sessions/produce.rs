//! The requests that the task of a session broadcast answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use netring_flow::extract::Extract;
use netring_flow::session::Parser;
use netring_sys::PacketSource;
use tokio::sync::oneshot;

use super::{Figures, SessionBroadcastStats};
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::produce::{Answer, GatherProducer};
use crate::flows::Flows;
use crate::session_stream::Streams;

/// Asks for the figures.
pub(super) struct SessionRequest(pub(super) oneshot::Sender<Figures>);

/// Reads a source, and publishes its sessions.
pub(super) type SessionProducer<S, E, P> =
    GatherProducer<S, E, Streams<<E as Extract>::Key, P>, SessionAnswers>;

/// Answers requests, and keeps the final figures.
pub(super) struct SessionAnswers(pub(super) Arc<OnceLock<Figures>>);

impl<S, E, P> Answer<S, E, Streams<E::Key, P>> for SessionAnswers
where
    S: PacketSource + Send + 'static,
    E: Extract,
    P: Parser,
{
    type Request = SessionRequest;

    fn answer(
        &self,
        flows: &mut Flows<S, E>,
        streams: &Streams<E::Key, P>,
        SessionRequest(reply): SessionRequest,
        published: u64,
    ) {
        // A requester that no longer waits loses its answer.
        let _ = reply.send(figures(flows, streams, published));
    }

    fn finish(&self, flows: &mut Flows<S, E>, streams: &Streams<E::Key, P>, published: u64) {
        let _ = self.0.set(figures(flows, streams, published));
    }
}

fn figures<S: PacketSource, E: Extract, P: Parser>(
    flows: &mut Flows<S, E>,
    streams: &Streams<E::Key, P>,
    published: u64,
) -> Figures {
    let capture = flows.source.stats();
    Ok(SessionBroadcastStats {
        capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
        tracker: flows.tracker.stats(),
        reassembly: streams.stats(),
        sessions: streams.visitor().stats(),
        events: published,
        // Known to the handle.
        waits: 0,
        waited: Duration::ZERO,
    })
}
