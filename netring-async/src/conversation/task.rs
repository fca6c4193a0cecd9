//! The task that reads the source of conversations.

use std::any::Any;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use netring_flow::extract::Extract;
use netring_flow::reassembly::Reassembler;
use netring_sys::{Error, PacketSource};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use super::ConversationStats;
use super::accept::{Accept, lost_task};
use super::visitor::Feed;
use crate::BroadcastRecvError;
use crate::flows::Flows;

/// Requests of the stream.
pub(super) enum Request {
    Stats(oneshot::Sender<Last>),
    Stop,
    /// Stop after the packets that have arrived so far.
    Drain,
    /// Return the source and the tracker, with its flows still open.
    Release(oneshot::Sender<Box<dyn Any + Send>>),
}

/// The figures, or why they cannot be read.
pub(super) type Last = Result<ConversationStats, BroadcastRecvError>;

pub(super) struct Task<S, E: Extract> {
    flows: Flows<S, E>,
    streams: Reassembler<E::Key, Feed<E::Key>>,
    requests: mpsc::UnboundedReceiver<Request>,
    last: Arc<OnceLock<Last>>,
    is_stopping: bool,
    release: Option<oneshot::Sender<Box<dyn Any + Send>>>,
    waits: u64,
    is_waiting: bool,
    end: End<E::Key>,
}

/// Ends the stream with an error if the task does not end itself.
struct End<K>(Arc<Accept<K>>);

impl<K> Drop for End<K> {
    fn drop(&mut self) {
        self.0.end(Some(lost_task()));
    }
}

impl<S, E> Task<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract,
{
    pub(super) fn new(
        flows: Flows<S, E>,
        streams: Reassembler<E::Key, Feed<E::Key>>,
        requests: mpsc::UnboundedReceiver<Request>,
        last: Arc<OnceLock<Last>>,
    ) -> Self {
        let end = End(streams.visitor().accept.clone());
        Self {
            flows,
            streams,
            requests,
            last,
            is_stopping: false,
            release: None,
            waits: 0,
            is_waiting: false,
            end,
        }
    }

    pub(super) async fn run(mut self) {
        let error = poll_fn(|cx| self.poll(cx)).await.err();
        if self.release.is_some()
            && let Some(now) = self.flows.tracker.latest()
        {
            self.streams.end_all(now);
        }
        // In this order, the final figures are available to anyone who sees the end.
        let figures = self.figures();
        let _ = self.last.set(figures);
        self.end.0.end(error);
        let Flows {
            source, tracker, ..
        } = self.flows;
        match self.release {
            // If nobody waits for them any more, they are dropped.
            Some(reply) => drop(reply.send(Box::new((source, tracker)))),
            None => source.close().await,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.answer(cx);
            if self.release.is_some() {
                return Poll::Ready(Ok(()));
            }
            if !self.is_stopping {
                ready!(self.poll_room(cx));
            }
            match ready!(self.flows.poll_events(cx, &mut self.streams)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
            let is_pressed = std::mem::take(&mut self.streams.visitor_mut().is_pressed);
            if is_pressed || !self.flows.source.get_ref().is_live() {
                // Readers that were woken run first, and on one thread also the future that the
                // runtime blocks on, which it does not poll before a task that wakes itself.
                ready!(pin!(yield_now()).poll(cx));
            }
        }
    }

    /// Waits for readers, if the source may wait.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        let room = self.streams.visitor().room.poll(cx);
        if room.is_pending() && !self.is_waiting {
            self.waits += 1;
        }
        self.is_waiting = room.is_pending();
        room
    }

    fn answer(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(request)) = self.requests.poll_recv(cx) {
            match request {
                // A requester that no longer waits loses its answer.
                Request::Stats(reply) => drop(reply.send(self.figures())),
                // A task that is about to end is not released.
                Request::Release(reply) if !self.flows.is_running() => drop(reply),
                Request::Release(reply) => self.release = Some(reply),
                Request::Drain => {
                    self.is_stopping = true;
                    self.flows.drain();
                }
                Request::Stop => {
                    self.is_stopping = true;
                    self.flows.stop();
                }
            }
        }
    }

    fn figures(&mut self) -> Last {
        let capture = self.flows.source.stats();
        let feed = self.streams.visitor();
        Ok(ConversationStats {
            capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
            tracker: self.flows.tracker.stats(),
            reassembly: self.streams.stats(),
            begun: feed.begun,
            refused: feed.refused,
            overrun: feed.overrun,
            waits: self.waits,
        })
    }
}
