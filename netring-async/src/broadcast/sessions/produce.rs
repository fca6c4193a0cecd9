//! The task's part of a broadcast of sessions: reads a source and parses.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use netring_flow::extract::Extract;
use netring_flow::session::{Parser, SessionEvent};
use netring_sys::{Error, PacketSource};
use tokio::sync::oneshot;

use super::{Figures, SessionBroadcastStats};
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::produce::Produce;
use crate::flows::Flows;
use crate::session_stream::{SessionStream, Streams};

/// Asks for the figures.
pub(super) struct SessionRequest(pub(super) oneshot::Sender<Figures>);

/// Reads a source, and reports its sessions.
pub(super) struct SessionProducer<S, E: Extract, P: Parser> {
    flows: Flows<S, E>,
    streams: Streams<E::Key, P>,
    last: Arc<OnceLock<Figures>>,
}

impl<S, E, P> SessionProducer<S, E, P>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    P: Parser,
{
    /// Takes over a stream, with the events that it has queued.
    #[expect(clippy::type_complexity, reason = "a producer and its items")]
    pub(super) fn new(
        stream: SessionStream<S, E, P>,
        last: &Arc<OnceLock<Figures>>,
    ) -> (Self, Vec<SessionEvent<E::Key, P::Message>>) {
        let (flows, streams, queue) = stream.into_flows();
        let last = last.clone();
        let producer = Self {
            flows,
            streams,
            last,
        };
        (producer, queue)
    }

    pub(super) fn into_stream(self) -> SessionStream<S, E, P> {
        SessionStream::from_flows(self.flows, self.streams)
    }

    fn figures(&mut self, published: u64) -> Figures {
        let capture = self.flows.source.stats();
        Ok(SessionBroadcastStats {
            capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
            tracker: self.flows.tracker.stats(),
            reassembly: self.streams.stats(),
            sessions: self.streams.visitor().stats(),
            events: published,
            // Known to the handle.
            waits: 0,
            waited: Duration::ZERO,
        })
    }
}

impl<S, E, P> Produce for SessionProducer<S, E, P>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    E::Key: Send + Sync + 'static,
    P: Parser + Send + 'static,
    P::Message: Send + Sync + 'static,
{
    type Pending = Vec<SessionEvent<E::Key, P::Message>>;
    type Request = SessionRequest;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Self::Pending,
    ) -> Poll<Option<Result<(), Error>>> {
        self.flows.poll_into(cx, &mut self.streams, pending)
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.flows.source.get_ref().is_live()
    }

    fn answer(&mut self, SessionRequest(reply): SessionRequest, published: u64) {
        // A requester that no longer waits loses its answer.
        let _ = reply.send(self.figures(published));
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
