//! The producer that the task of a broadcast reads.

mod gathered;

use std::task::{Context, Poll};

use netring_sys::Error;

use super::message::Pending;
pub(crate) use gathered::{Answer, GatherProducer};

/// The producer of a task's items.
pub(crate) trait Produce: Send + Sized + 'static {
    type Pending: Pending;
    type Request: Send + 'static;

    /// Appends at least one item. An error comes last.
    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Self::Pending,
    ) -> Poll<Option<Result<(), Error>>>;

    /// Whether waiting for a reader loses nothing.
    fn can_wait(&self) -> bool;

    /// Answers a request; `published` is the number of items that this task published.
    fn answer(&mut self, request: Self::Request, published: u64);

    /// Takes nothing more, and produces only what is left.
    fn stop(&mut self);

    /// Takes what has arrived so far, and then nothing more.
    fn drain(&mut self) {
        self.stop();
    }

    /// Keeps its final figures: everything is published, and the end is not yet visible.
    fn finish(&mut self, published: u64);

    fn close(self) -> impl Future<Output = ()> + Send;
}

/// How a producer's items are stored in the queue.
pub(crate) type ContentsOf<P> = <<P as Produce>::Pending as Pending>::Contents;
