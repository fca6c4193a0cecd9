//! One capture, many subscribers.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, TrackerStats};
use netring_sys::{PacketSource, Stats};
use tokio::sync::{mpsc, oneshot};

use crate::channel::{Hub, Publisher, channel};
use crate::flows::Flows;
use crate::{BroadcastRecvError, Subscriber};

/// A subscriber to the events of a [`FlowBroadcast`].
pub type FlowSubscriber<K> = Subscriber<FlowEvent<K>>;

/// One capture whose flow events go to any number of subscribers, from
/// [`FlowStream::broadcast`](crate::FlowStream::broadcast).
///
/// A task reads the source and tracks its flows. Dropping this handle stops it as the end of the
/// source does: the flows that are left end, each subscriber gets what is queued, and then the end.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::{AsyncSource, BroadcastRecvError};
/// use netring_flow::extract::FiveTuple;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Box<dyn std::error::Error>> {
///
/// let source = AsyncSource::new(capture)?;
/// let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
/// let mut events = broadcast.subscribe();
/// while let Some(event) = events.next().await {
///     match event {
///         Ok(event) => println!("{event:?}"),
///         Err(BroadcastRecvError::Lagged(lost)) => println!("{lost} events lost"),
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlowBroadcast<K> {
    hub: Hub<FlowEvent<K>>,
    /// Asks the task for its figures. Closed with this handle, which stops the task.
    requests: mpsc::UnboundedSender<oneshot::Sender<Figures>>,
    /// The task's last figures, once it is over.
    last: Arc<OnceLock<Figures>>,
}

/// The figures of a broadcast at one moment, from [`FlowBroadcast::stats`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BroadcastStats {
    /// What became of every packet.
    pub capture: Stats,
    /// What became of every flow.
    pub tracker: TrackerStats,
    /// Flows that have begun and not ended.
    pub active_flows: usize,
    /// Events published, with or without subscribers. Of those since it subscribed, a subscriber
    /// got all but those that it lost.
    pub events: u64,
}

type Figures = Result<BroadcastStats, BroadcastRecvError>;

impl<K> FlowBroadcast<K> {
    /// Spawns the task; `pending` are events that happened before.
    pub(crate) fn spawn<S, E>(
        flows: Flows<S, E>,
        pending: Vec<FlowEvent<K>>,
        capacity: usize,
    ) -> Self
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
        K: Send + Sync + 'static,
    {
        let (publisher, hub) = channel(capacity);
        let (requests, asked) = mpsc::unbounded_channel();
        let last = Arc::new(OnceLock::new());
        let task = Task {
            flows,
            pending,
            asked,
            last: last.clone(),
            publisher,
        };
        let shared = hub.shared().clone();
        tokio::spawn(async move {
            let mut task = task;
            if !task.flows.source.get_ref().is_live() {
                task.answer_until(shared.polled.notified()).await;
            }
            task.run().await;
        });
        Self {
            hub,
            requests,
            last,
        }
    }

    /// A new subscriber: it sees the events of the next batch that is published, and all after it.
    /// At the end of the broadcast it is told the error, where there was one, and the end.
    pub fn subscribe(&self) -> FlowSubscriber<K> {
        self.hub.subscribe()
    }

    /// Subscribers that there are.
    pub fn receiver_count(&self) -> usize {
        self.hub.receiver_count()
    }

    /// Batches that the queue holds, each of 1 to 64 events.
    pub fn capacity(&self) -> usize {
        self.hub.capacity()
    }

    /// The figures of the capture and its flows, now; at the end those of the end. The task answers
    /// between two batches of packets.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`]: the call by which the source asks its kernel failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(reply).is_ok()
            && let Ok(figures) = answer.await
        {
            return figures;
        }
        // The task is over. It left its figures before it stopped to listen.
        self.last
            .get()
            .cloned()
            .unwrap_or(Err(BroadcastRecvError::Aborted))
    }
}

/// Reads the source, and publishes.
struct Task<S, E: Extract> {
    flows: Flows<S, E>,
    /// Events that were not yet published.
    pending: Vec<FlowEvent<E::Key>>,
    asked: mpsc::UnboundedReceiver<oneshot::Sender<Figures>>,
    last: Arc<OnceLock<Figures>>,
    publisher: Publisher<FlowEvent<E::Key>>,
}

impl<S: PacketSource + Send + 'static, E: Extract> Task<S, E> {
    async fn run(mut self) {
        let error = loop {
            match self.step().await {
                Some(Ok(())) => self.publisher.publish_full(&mut self.pending).await,
                Some(Err(error)) => break Some(BroadcastRecvError::Source(Arc::new(error))),
                None => break None,
            }
        };
        self.publisher.publish(&mut self.pending);
        let figures = self.figures();
        // Before the end is told: who heard of it asks for the last figures, and gets them.
        let _ = self.last.set(figures);
        // Who hears of the end finds the source closed, and no other task waited for that.
        self.flows.source.close().await;
        self.publisher.end(error);
    }

    /// Waits for more events, and answers who asks. Whatever is pending goes out before the task
    /// sleeps or ends its turn.
    async fn step(&mut self) -> Option<Result<(), netring_sys::Error>> {
        poll_fn(|cx| {
            while let Poll::Ready(request) = self.asked.poll_recv(cx) {
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
                self.publisher.publish(&mut self.pending);
            }
            polled
        })
        .await
    }

    /// Answers who asks, until `start` is ready or the handle is gone.
    async fn answer_until(&mut self, start: impl Future<Output = ()>) {
        let mut start = std::pin::pin!(start);
        poll_fn(|cx| {
            while let Poll::Ready(request) = self.asked.poll_recv(cx) {
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
        // Who asked may have gone.
        let _ = reply.send(self.figures());
    }

    fn figures(&mut self) -> Figures {
        let capture = self.flows.source.stats();
        Ok(BroadcastStats {
            capture: capture.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))?,
            tracker: self.flows.tracker.stats(),
            active_flows: self.flows.tracker.active_flows(),
            events: self.publisher.published(),
        })
    }
}
