//! The task behind a broadcast.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use netring_flow::FlowEvent;
use netring_flow::extract::Extract;
use netring_sys::{__event, PacketSource};
use tokio::sync::mpsc;

use super::error::BroadcastRecvError;
use super::message::Shared;
use super::sender::Sender;
use super::{BroadcastStats, Figures, Request};
use crate::flows::Flows;

/// Reads the source and publishes its flow events.
pub(super) struct Task<S, E: Extract> {
    pub(super) flows: Flows<S, E>,
    /// Events that are not yet published.
    pub(super) pending: Vec<FlowEvent<E::Key>>,
    pub(super) requests: mpsc::UnboundedReceiver<Request<E::Key>>,
    pub(super) last: Arc<OnceLock<Figures>>,
    pub(super) sender: Sender<FlowEvent<E::Key>>,
}

fn log_ended(error: Option<&BroadcastRecvError>, events: u64) {
    match error {
        None => __event!("broadcast", INFO, events, "the broadcast has ended"),
        Some(error) => {
            __event!("broadcast", WARN, events, why = %error, "the broadcast has failed");
        }
    }
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
        log_ended(error.as_ref(), self.sender.published());
        // The source is closed by the time that subscribers see the end.
        self.flows.source.close().await;
        self.sender.end(error);
    }

    /// Waits for more events, and answers requests. Pending events are published before the task
    /// sleeps or its time slice ends.
    async fn step(&mut self) -> Option<Result<(), netring_sys::Error>> {
        poll_fn(|cx| {
            self.answer(cx);
            let polled = self.flows.poll_events(cx, &mut self.pending);
            if polled.is_pending() {
                self.sender.publish(&mut self.pending);
            }
            polled
        })
        .await
    }

    /// Answers requests until `start` is ready or the broadcast is to stop.
    async fn answer_until(&mut self, start: impl Future<Output = ()>) {
        let mut start = std::pin::pin!(start);
        poll_fn(|cx| {
            if self.answer(cx) {
                return Poll::Ready(());
            }
            start.as_mut().poll(cx)
        })
        .await;
    }

    /// Answers pending requests. Returns true once the broadcast is to stop: on request, or because
    /// the handle is gone.
    fn answer(&mut self, cx: &mut Context<'_>) -> bool {
        // A requester that no longer waits loses its answer.
        while let Poll::Ready(request) = self.requests.poll_recv(cx) {
            match request {
                Some(Request::Stats(reply)) => drop(reply.send(self.figures())),
                Some(Request::Flows(count, reply)) => {
                    drop(reply.send(self.flows.tracker.largest_flows(count)));
                }
                Some(Request::Stop) => self.flows.stop(),
                None => {
                    self.flows.stop();
                    break;
                }
            }
        }
        self.flows.is_stopped()
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
