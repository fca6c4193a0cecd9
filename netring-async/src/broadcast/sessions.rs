//! The messages of sessions for many subscribers.

mod produce;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use netring_flow::TrackerStats;
use netring_flow::extract::Extract;
use netring_flow::reassembly::ReassemblyStats;
use netring_flow::session::{Parser, SessionEvent, SessionStats};
use netring_sys::{PacketSource, Stats};

use self::produce::{SessionAnswers, SessionProducer, SessionRequest};
use super::error::BroadcastRecvError;
use super::figures::{Answered, TaskFigures};
use super::handle::{Handle, handle_methods};
use super::stats::Published;
use super::subscriber::Subscriber;
use crate::session_stream::SessionStream;

/// Shares the messages of one capture's sessions among any number of subscribers; created by
/// [`SessionStream::broadcast`].
///
/// Lagging, lossless subscribers and closing work as in [`FlowBroadcast`](crate::FlowBroadcast), in
/// session events.
#[derive(Debug)]
pub struct SessionBroadcast<K, M> {
    handle: Handle<[SessionEvent<K, M>], SessionRequest>,
    /// The final figures of the task, once it has ended.
    last: Arc<OnceLock<Figures>>,
}

/// A snapshot of the figures of a [`SessionBroadcast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionBroadcastStats {
    /// The fate of every packet.
    pub capture: Stats,
    /// The fate of every flow.
    pub tracker: TrackerStats,
    /// The outcome of the payload of flows with a parser.
    pub reassembly: ReassemblyStats,
    /// The outcome of the sessions.
    pub sessions: SessionStats,
    /// Events published, with or without subscribers.
    pub events: u64,
    /// How often the broadcast waited for lossless subscribers.
    pub waits: u64,
    /// How long it waited, including a wait that is not over.
    pub waited: Duration,
}

/// The figures, or why they cannot be read.
type Figures = Answered<SessionBroadcastStats>;

impl<S, E, P> SessionStream<S, E, P>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    E::Key: Send + Sync + 'static,
    P: Parser + Send + 'static,
    P::Message: Send + Sync + 'static,
{
    /// Shares the events among any number of subscribers: a new task reads and parses the packets.
    ///
    /// Queued events are published first, and all flows and sessions continue. When the broadcast
    /// is stopped, the sessions end and their ends are published, as with [`stop`](Self::stop).
    /// Dropping the broadcast stops it too.
    ///
    /// Each queue holds `capacity` **batches** of up to 64 events, 1 to 65 536 (other values are
    /// clamped). A live source is read from now on, with or without subscribers. A replay starts
    /// when a subscriber is polled for the first time.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn broadcast(self, capacity: usize) -> SessionBroadcast<E::Key, P::Message> {
        let (flows, streams, queue) = self.into_flows();
        let last = Arc::default();
        let answers = SessionAnswers(Arc::clone(&last));
        let producer = SessionProducer::<S, E, P>::new(flows, streams, answers);
        SessionBroadcast {
            handle: Handle::spawn(vec![(producer, queue)], capacity),
            last,
        }
    }
}

impl<K, M> SessionBroadcast<K, M>
where
    K: Send + Sync + 'static,
    M: Send + Sync + 'static,
{
    handle_methods!(Subscriber<SessionEvent<K, M>>, "events");

    /// The current figures of the capture, its flows and their payload, or the final ones after the
    /// end. The task answers between two batches of packets, and while it waits for a lossless
    /// subscriber.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads the source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<SessionBroadcastStats, BroadcastRecvError> {
        self.handle.figures(0, SessionRequest, &self.last).await
    }

    /// Ends the broadcast and waits until its task has ended: the packets that were in the source's
    /// ring are parsed, every session has its [`SessionEvent::Ended`], every event is published,
    /// and the source is closed. Returns the final figures. The counterpart of
    /// [`FlowBroadcast::shutdown`](crate::FlowBroadcast::shutdown).
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If the source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<SessionBroadcastStats, BroadcastRecvError> {
        self.handle.shutdown().await;
        self.handle.last_figures(&self.last)
    }

    /// Ends the broadcast without ending its sessions, and returns them as a stream: the opposite
    /// of [`SessionStream::broadcast`]. `S`, `E` and `P` are the types of its source, extractor and
    /// parser.
    ///
    /// No event is lost or repeated: subscribers receive those before, and then the end; the stream
    /// yields those after. If this future is dropped, the broadcast stops.
    ///
    /// # Errors
    /// Returns the broadcast, which continues, if it was made from other types; or if its task has
    /// ended, with its remaining contents.
    pub async fn into_session_stream<S, E, P>(self) -> Result<SessionStream<S, E, P>, Self>
    where
        K: Clone,
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
        P: Parser<Message = M> + Send + 'static,
    {
        if !self.handle.is_of::<SessionProducer<S, E, P>>() {
            return Err(self);
        }
        match self.handle.release::<SessionProducer<S, E, P>>().await {
            Some(producer) => {
                let (flows, streams) = producer.into_parts();
                Ok(SessionStream::from_flows(flows, streams))
            }
            None => Err(self),
        }
    }
}

impl TaskFigures for SessionBroadcastStats {
    fn with_waits(mut self, published: Published) -> Self {
        (self.waits, self.waited) = (published.waits, published.waited);
        self
    }
}
