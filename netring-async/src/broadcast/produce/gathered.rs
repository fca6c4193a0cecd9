//! A source with a visitor that gathers the items to publish.

use std::task::{Context, Poll};

use netring_flow::extract::Extract;
use netring_sys::{Error, PacketSource};

use super::Produce;
use crate::flows::{Flows, Gather};

/// Reads a source, and publishes the items that a visitor gathers.
pub(crate) struct GatherProducer<S, E: Extract, V, A> {
    flows: Flows<S, E>,
    visitor: V,
    answers: A,
}

impl<S, E: Extract, V, A> GatherProducer<S, E, V, A> {
    pub(crate) const fn new(flows: Flows<S, E>, visitor: V, answers: A) -> Self {
        Self {
            flows,
            visitor,
            answers,
        }
    }

    pub(crate) fn into_parts(self) -> (Flows<S, E>, V) {
        (self.flows, self.visitor)
    }
}

/// The requests that a broadcast answers between two batches of packets.
pub(crate) trait Answer<S, E: Extract, V>: Send + 'static {
    type Request: Send + 'static;

    /// Answers a request; `published` is the number of items that the task published.
    fn answer(&self, flows: &mut Flows<S, E>, visitor: &V, request: Self::Request, published: u64);

    /// Keeps the final figures.
    fn finish(&self, flows: &mut Flows<S, E>, visitor: &V, published: u64);
}

impl<S, E, V, A> Produce for GatherProducer<S, E, V, A>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    V: Gather<E::Key> + Send + 'static,
    V::Item: Send + Sync + 'static,
    A: Answer<S, E, V>,
{
    type Pending = Vec<V::Item>;
    type Request = A::Request;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Self::Pending,
    ) -> Poll<Option<Result<(), Error>>> {
        self.flows.poll_into(cx, &mut self.visitor, pending)
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.flows.source.get_ref().is_live()
    }

    fn answer(&mut self, request: A::Request, published: u64) {
        let (flows, visitor) = (&mut self.flows, &self.visitor);
        self.answers.answer(flows, visitor, request, published);
    }

    fn stop(&mut self) {
        self.flows.stop();
    }

    fn drain(&mut self) {
        self.flows.drain();
    }

    fn finish(&mut self, published: u64) {
        let (flows, visitor) = (&mut self.flows, &self.visitor);
        self.answers.finish(flows, visitor, published);
    }

    async fn close(self) {
        self.flows.source.close().await;
    }
}
