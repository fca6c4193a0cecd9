//! The task behind a broadcast.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use netring_flow::FlowEvent;
use netring_flow::extract::Extract;
use netring_sys::PacketSource;
use tokio::sync::{mpsc, oneshot};

use super::error::BroadcastRecvError;
use super::message::Shared;
use super::sender::Sender;
use super::{BroadcastStats, Figures};
use crate::flows::Flows;

/// Reads the source and publishes its flow events.
pub(super) struct Task<S, E: Extract> {
    pub(super) flows: Flows<S, E>,
    /// Events that are not yet published.
    pub(super) pending: Vec<FlowEvent<E::Key>>,
    pub(super) requests: mpsc::UnboundedReceiver<oneshot::Sender<Figures>>,
    pub(super) last: Arc<OnceLock<Figures>>,
    pub(super) sender: Sender<FlowEvent<E::Key>>,
}

impl<S: PacketSource + Send + 'static, E: Extract> Task<S, E> {
    /// Reads the source to its end. A replay starts when a subscriber is polled for the first time.
    pub(super) async fn run(mut self, shared: Arc<Shared>) {
        if !self.flows.source.get_ref().is_live() {
            self.answer_until(shared.first_poll.notified()).await;
        }
        let error = loop {
            match self.step().await {
                Some(Ok(())) => self.sender.publish_full(&mut self.pending).await,
                Some(Err(error)) => break Some(BroadcastRecvError::Source(Arc::new(error))),
                None => break None,
            }
        };
        self.sender.publish(&mut self.pending);
        let figures = self.figures();
        // Before the end is published, so that a subscriber that sees the end gets the final
        // figures.
        let _ = self.last.set(figures);
        // The source is closed by the time that subscribers see the end.
        self.flows.source.close().await;
        self.sender.end(error);
    }

    /// Waits for more events, and answers requests. Pending events are published before the task
    /// sleeps or its time slice ends.
    async fn step(&mut self) -> Option<Result<(), netring_sys::Error>> {
        poll_fn(|cx| {
            while let Poll::Ready(request) = self.requests.poll_recv(cx) {
                match request {
                    Some(reply) => self.reply(reply),
                    None => {
                        self.flows.stop();
                        break;
                    }
                }
            }
            let polled = self.flows.poll_events(cx, &mut self.pending);
            if polled.is_pending() {
                self.sender.publish(&mut self.pending);
            }
            polled
        })
        .await
    }

    /// Answers requests until `start` is ready or the handle is gone.
    async fn answer_until(&mut self, start: impl Future<Output = ()>) {
        let mut start = std::pin::pin!(start);
        poll_fn(|cx| {
            while let Poll::Ready(request) = self.requests.poll_recv(cx) {
                match request {
                    Some(reply) => self.reply(reply),
                    None => return Poll::Ready(()),
                }
            }
            start.as_mut().poll(cx)
        })
        .await;
    }

    fn reply(&mut self, reply: oneshot::Sender<Figures>) {
        // The requester may be gone.
        let _ = reply.send(self.figures());
    }

    fn figures(&mut self) -> Figures {
        let capture = self.flows.source.stats();
        Ok(BroadcastStats {
            capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
            tracker: self.flows.tracker.stats(),
            active_flows: self.flows.tracker.active_flows(),
            events: self.sender.published(),
        })
    }
}
