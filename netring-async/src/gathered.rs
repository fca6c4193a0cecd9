//! A stream of gathered items: the common part of session and record streams.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use netring_flow::FlowTracker;
use netring_flow::extract::Extract;
use netring_sys::{Error, PacketSource};

use crate::AsyncSource;
use crate::flows::{Flows, Gather};

/// A source with its flows, the visitor that looks at them, and the items it found.
pub(crate) struct Gathered<S, E: Extract, V: Gather<E::Key>> {
    pub(crate) flows: Flows<S, E>,
    pub(crate) visitor: V,
    /// Items to yield, newest first, so that the oldest is popped off the end.
    queue: Vec<V::Item>,
}

impl<S: PacketSource, E: Extract, V: Gather<E::Key>> Gathered<S, E, V> {
    /// Items that the visitor has gathered already are yielded first.
    pub(crate) fn new(source: AsyncSource<S>, tracker: FlowTracker<E>, mut visitor: V) -> Self {
        let mut queue = std::mem::take(visitor.gathered());
        queue.reverse();
        Self {
            flows: Flows::new(source, tracker),
            visitor,
            queue,
        }
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<V::Item, Error>>> {
        loop {
            if let Some(item) = self.queue.pop() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(self.flows.poll_events(cx, &mut self.visitor)) {
                Some(Ok(())) => {
                    std::mem::swap(&mut self.queue, self.visitor.gathered());
                    self.queue.reverse();
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<S, E: Extract, V: Gather<E::Key>> Gathered<S, E, V> {
    /// With nothing queued.
    pub(crate) const fn from_flows(flows: Flows<S, E>, visitor: V) -> Self {
        Self {
            flows,
            visitor,
            queue: Vec::new(),
        }
    }

    /// Items that are found and not yet yielded.
    pub(crate) const fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) const fn is_terminated(&self) -> bool {
        self.flows.is_done() && self.queue.is_empty()
    }

    /// The items are those that are not yet yielded, oldest first.
    pub(crate) fn into_parts(mut self) -> (Flows<S, E>, V, Vec<V::Item>) {
        self.queue.reverse();
        (self.flows, self.visitor, self.queue)
    }
}

impl<S, E, V> Gathered<S, E, V>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    V: Gather<E::Key>,
{
    /// Drains and closes the source, and returns all remaining items.
    pub(crate) async fn shutdown(mut self) -> Vec<Result<V::Item, Error>> {
        self.flows.drain();
        let mut items = Vec::new();
        while let Some(item) = poll_fn(|cx| self.poll_next(cx)).await {
            items.push(item);
        }
        self.flows.source.close().await;
        items
    }
}
