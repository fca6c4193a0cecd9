//! Requests from the handle of a broadcast to its task.

use std::any::Any;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::produce::Produce;

/// A message to the task.
pub(crate) enum Command<R> {
    Ask(R),
    /// Ends the broadcast after everything that has arrived so far.
    Drain,
    Stop,
    /// Ends the broadcast, and returns the producer as it is.
    Release(oneshot::Sender<Box<dyn Any + Send>>),
}

/// The requests of the handle.
pub(crate) struct Control<R> {
    commands: mpsc::UnboundedReceiver<Command<R>>,
    /// The broadcast must end: on request, or because its handle is gone.
    pub(crate) stopped: bool,
    pub(crate) release: Option<oneshot::Sender<Box<dyn Any + Send>>>,
    /// Items that the task has published.
    pub(crate) published: u64,
}

impl<R> Control<R> {
    pub(crate) const fn new(commands: mpsc::UnboundedReceiver<Command<R>>) -> Self {
        Self {
            commands,
            stopped: false,
            release: None,
            published: 0,
        }
    }

    /// Answers pending requests. Returns true once the broadcast must end.
    pub(crate) fn poll<P>(&mut self, produce: &mut P, cx: &mut Context<'_>) -> bool
    where
        P: Produce<Request = R>,
    {
        while let Poll::Ready(command) = self.commands.poll_recv(cx) {
            match command {
                Some(Command::Ask(request)) => produce.answer(request, self.published),
                Some(Command::Release(reply)) => {
                    self.release = Some(reply);
                    self.stopped = true;
                }
                Some(Command::Drain) => {
                    produce.drain();
                    self.stopped = true;
                }
                Some(Command::Stop) => {
                    produce.stop();
                    self.stopped = true;
                }
                // The handle is gone. Unless the producer is to be returned, it ends too.
                None => {
                    if self.release.is_none() {
                        produce.stop();
                    }
                    self.stopped = true;
                    break;
                }
            }
        }
        self.stopped
    }

    /// Whether to return the producer. If nobody waits for it any more, it is stopped instead, so
    /// that it ends as at any other stop.
    pub(crate) fn is_released(&mut self, produce: &mut impl Produce) -> bool {
        if self
            .release
            .as_ref()
            .is_some_and(oneshot::Sender::is_closed)
        {
            self.release = None;
            produce.stop();
        }
        self.release.is_some()
    }
}
