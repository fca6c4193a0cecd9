//! One capture, many subscribers.

mod error;
mod message;
mod sender;
mod subscriber;
mod task;

use std::sync::{Arc, OnceLock};

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, TrackerStats};
use netring_sys::{PacketSource, Stats};
use tokio::sync::{mpsc, oneshot};

use crate::flows::Flows;
use task::Task;

pub use error::BroadcastRecvError;
pub(crate) use sender::{Sender, Subscriptions, channel};
pub use subscriber::{EventBatch, SharedEvent, Subscriber};

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
    subscriptions: Subscriptions<FlowEvent<K>>,
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
        let (sender, subscriptions) = channel(capacity);
        let (requests, asked) = mpsc::unbounded_channel();
        let last = Arc::new(OnceLock::new());
        let task = Task {
            flows,
            pending,
            asked,
            last: last.clone(),
            sender,
        };
        tokio::spawn(task.run(subscriptions.shared().clone()));
        Self {
            subscriptions,
            requests,
            last,
        }
    }

    /// A new subscriber: it sees the events of the next batch that is published, and all after it.
    /// At the end of the broadcast it is told the error, where there was one, and the end.
    pub fn subscribe(&self) -> FlowSubscriber<K> {
        self.subscriptions.subscribe()
    }

    /// Subscribers that there are.
    pub fn receiver_count(&self) -> usize {
        self.subscriptions.receiver_count()
    }

    /// Batches that the queue holds, each of 1 to 64 events.
    pub fn capacity(&self) -> usize {
        self.subscriptions.capacity()
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
