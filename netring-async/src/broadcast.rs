//! One capture, many subscribers.

mod batch;
mod error;
mod message;
pub(crate) mod sender;
mod subscriber;
mod task;

use std::fmt;
use std::sync::{Arc, OnceLock};

use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, LiveFlow, TrackerStats};
use netring_sys::{Count, PacketSource, Stats};
use tokio::sync::{mpsc, oneshot};

use crate::flows::Flows;
use sender::{Subscriptions, channel};
use task::Task;

pub use batch::{EventBatch, SharedEvent};
pub use error::BroadcastRecvError;
pub use subscriber::Subscriber;

/// A subscriber to the events of a [`FlowBroadcast`]. [`Subscriber`] describes
/// [lagging](Subscriber#lagging) and [closing](Subscriber#closing).
pub type FlowSubscriber<K> = Subscriber<FlowEvent<K>>;

/// Shares the flow events of one capture among any number of subscribers; created by
/// [`FlowStream::broadcast`](crate::FlowStream::broadcast).
///
/// A task reads the source and tracks its flows. Subscribers never make it wait.
///
/// # Lagging
///
/// Events wait for subscribers in a bounded queue of [`capacity`](Self::capacity) batches. When it
/// is full, the next batch replaces the oldest, whether or not every subscriber has received that.
/// A subscriber that misses events this way receives [`BroadcastRecvError::Lagged`] with their
/// exact number, and continues with the oldest batch in the queue. The other subscribers and the
/// capture do not notice.
///
/// # Closing
///
/// The broadcast closes when the source ends or fails, when it is [stopped](Self::stop) or
/// [shut down](Self::shutdown), or when this handle is dropped. The remaining flows end first, with
/// an event each. Every subscriber then receives what is queued,
/// the error if there was one, and `None`. Subscribers that lag or subscribe later also receive the
/// error.
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
    /// Requests to the task. It closes with this handle, which stops the task.
    requests: mpsc::UnboundedSender<Request<K>>,
    /// The final figures of the task, once it has ended.
    last: Arc<OnceLock<Figures>>,
}

/// A snapshot of the figures of a broadcast, from [`FlowBroadcast::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BroadcastStats {
    /// The fate of every packet.
    pub capture: Stats,
    /// The fate of every flow.
    pub tracker: TrackerStats,
    /// Flows that have started and not ended.
    pub active_flows: usize,
    /// Events published, with or without subscribers. A subscriber has received all that were
    /// published since it subscribed, except those it lost.
    pub events: u64,
}

/// One line: the capture, the tracker, the broadcast.
impl fmt::Display for BroadcastStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [active, events] = [self.active_flows as u64, self.events].map(Count::Exact);
        write!(
            f,
            "{}; {}; {active:#} flows active, {events:#} events published",
            self.capture, self.tracker
        )
    }
}

/// What the task is asked for between two batches of packets.
enum Request<K> {
    Stats(oneshot::Sender<Figures>),
    /// The largest flows, this many.
    Flows(usize, oneshot::Sender<Vec<LiveFlow<K>>>),
    Stop,
}

type Figures = Result<BroadcastStats, BroadcastRecvError>;

impl<K> FlowBroadcast<K> {
    /// Spawns the task; `pending` are earlier events that were not delivered.
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
        let (requests, received) = mpsc::unbounded_channel();
        let last = Arc::new(OnceLock::new());
        let task = Task {
            flows,
            pending,
            requests: received,
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

    /// Creates a subscriber. It receives the events of the next batch that is published and all
    /// later ones. After the end of the broadcast it receives the error, if there was one, and then
    /// the end.
    pub fn subscribe(&self) -> FlowSubscriber<K> {
        self.subscriptions.subscribe()
    }

    /// The number of subscribers.
    pub fn receiver_count(&self) -> usize {
        self.subscriptions.receiver_count()
    }

    /// The capacity of the queue in batches of 1 to 64 events.
    pub fn capacity(&self) -> usize {
        self.subscriptions.capacity()
    }

    /// The current figures of the capture and its flows, or the final ones after the end. The task
    /// answers between two batches of packets.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads the source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Stats(reply)).is_ok()
            && let Ok(figures) = answer.await
        {
            return figures;
        }
        self.last()
    }

    /// A snapshot of the flows that have not ended: the `count` largest by bytes on the wire, the
    /// largest first; `usize::MAX` for all. After the end there are none.
    ///
    /// The task answers between two batches of packets, and reads none meanwhile. It looks at every
    /// flow and copies `count`: of a million flows the ten largest take about 30 ms, and all of
    /// them 0.4 s, in which packets wait in the ring.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Aborted`].
    pub async fn flows(&self, count: usize) -> Result<Vec<LiveFlow<K>>, BroadcastRecvError> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Flows(count, reply)).is_ok()
            && let Ok(flows) = answer.await
        {
            return Ok(flows);
        }
        match self.last() {
            Err(BroadcastRecvError::Aborted) => Err(BroadcastRecvError::Aborted),
            _ => Ok(Vec::new()),
        }
    }

    /// Stops the broadcast, without waiting: no more packets are taken, the flows end, and
    /// subscribers receive all that is queued and then the end. Further calls have no effect.
    pub fn stop(&self) {
        // The task may have ended.
        let _ = self.requests.send(Request::Stop);
    }

    /// Stops the broadcast and waits until its task has ended: every flow has its
    /// [`FlowEvent::Ended`], every event is published, and the source is closed. Returns the final
    /// figures. Subscribers need not have read to the end; they still can.
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If the source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        self.stop();
        // The task holds the other end until all is done.
        self.requests.closed().await;
        self.last()
    }

    /// The final figures: the task stored them before it stopped answering.
    fn last(&self) -> Figures {
        self.last
            .get()
            .cloned()
            .unwrap_or(Err(BroadcastRecvError::Aborted))
    }
}
