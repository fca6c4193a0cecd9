//! The messages of sessions for many subscribers.

use std::task::{Context, Poll};

use netring_flow::extract::Extract;
use netring_flow::session::{Parser, SessionEvent};
use netring_sys::{Error, PacketSource};

use super::messages::{Broadcast, Never};
use super::produce::Produce;
use crate::flows::Flows;
use crate::session_stream::{SessionStream, Streams};

/// Reads a source, and reports its sessions.
struct SessionProducer<S, E: Extract, P: Parser> {
    flows: Flows<S, E>,
    streams: Streams<E::Key, P>,
}

impl<S, E, P> SessionStream<S, E, P>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    E::Key: Send + Sync + 'static,
    P: Parser + Send + 'static,
    P::Message: Send + Sync + 'static,
{
    /// Shares the events among any number of subscribers. A task reads the source from now on; it
    /// starts when a subscriber is polled for the first time.
    ///
    /// Events that are queued are published first, and all flows and sessions go on. When the
    /// broadcast is stopped, the sessions end and their ends are published, as with
    /// [`stop`](Self::stop). Dropping the broadcast stops it too. `capacity` is that of
    /// [`Broadcast::new`].
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn broadcast(self, capacity: usize) -> Broadcast<SessionEvent<E::Key, P::Message>> {
        let (flows, streams, queue) = self.into_flows();
        Broadcast::spawn(SessionProducer { flows, streams }, queue, capacity)
    }
}

impl<K, M> Broadcast<SessionEvent<K, M>>
where
    K: Clone + Send + Sync + 'static,
    M: Send + Sync + 'static,
{
    /// Ends the broadcast without ending its sessions, and returns them as a stream: the opposite
    /// of [`SessionStream::broadcast`]. `S`, `E` and `P` are the source, the extractor and the
    /// parser that it was made of.
    ///
    /// No event is lost or repeated: subscribers receive those before, and then the end; the stream
    /// yields those after. If this future is dropped, the broadcast stops.
    ///
    /// # Errors
    /// Returns the broadcast, which goes on, if it was made of something else; or if its task has
    /// ended, with what is left of it.
    pub async fn into_session_stream<S, E, P>(self) -> Result<SessionStream<S, E, P>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
        P: Parser<Message = M> + Send + 'static,
    {
        if !self.handle.is_of::<SessionProducer<S, E, P>>() {
            return Err(self);
        }
        match self.handle.release::<SessionProducer<S, E, P>>().await {
            Some(producer) => Ok(SessionStream::from_flows(producer.flows, producer.streams)),
            None => Err(self),
        }
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
    type Request = Never;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Self::Pending,
    ) -> Poll<Option<Result<(), Error>>> {
        // The events are collected where they are published from.
        std::mem::swap(pending, &mut self.streams.visitor_mut().events);
        let polled = self.flows.poll_events(cx, &mut self.streams);
        std::mem::swap(pending, &mut self.streams.visitor_mut().events);
        polled
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.flows.source.get_ref().is_live()
    }

    fn answer(&mut self, request: Never, _: u64) {
        match request {}
    }

    fn stop(&mut self) {
        self.flows.stop();
    }

    fn drain(&mut self) {
        self.flows.drain();
    }

    fn finish(&mut self, _: u64) {}

    async fn close(self) {
        self.flows.source.close().await;
    }
}
