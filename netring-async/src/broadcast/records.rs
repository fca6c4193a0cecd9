//! The records of flows for many subscribers.

use std::sync::{Arc, OnceLock};

use netring_flow::LiveFlow;
use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{Extract, FiveTupleKey};
use netring_sys::PacketSource;

use super::error::BroadcastRecvError;
use super::flows::{BroadcastStats, Figures, FlowAnswers, FlowProducer, FlowRequest};
use super::handle::{Handle, handle_methods};
use super::subscriber::Subscriber;
use crate::record_stream::RecordStream;

/// Shares the records of one capture's flows among any number of subscribers; created by
/// [`RecordStream::broadcast`].
///
/// Lagging, lossless subscribers and closing work as in [`FlowBroadcast`](crate::FlowBroadcast), in
/// records.
#[derive(Debug)]
pub struct RecordBroadcast {
    handle: Handle<[FlowRecord], FlowRequest<FiveTupleKey>>,
    /// The final figures of the task, once it has ended.
    last: Arc<OnceLock<Figures>>,
}

/// The task's part.
type Records<S, E> = FlowProducer<S, E, FlowRecorder>;

impl<S, E> RecordStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract<Key = FiveTupleKey>,
{
    /// Shares the records among any number of subscribers, lossy and lossless ones. A task reads a
    /// live source from now on; a replay starts when a subscriber is polled for the first time.
    ///
    /// Queued records are published first, and all flows continue. When the broadcast is stopped,
    /// the flows end and their records are published, as with [`stop`](Self::stop). Dropping the
    /// broadcast stops it too. Each queue holds `capacity` **batches** of up to 64 records, 1 to 65
    /// 536 (other values are clamped).
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use netring_async::{AsyncSource, BroadcastRecvError};
    /// use netring_flow::extract::FiveTuple;
    /// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let records = AsyncSource::new(capture)?.record_stream(FiveTuple::bidirectional());
    /// let broadcast = records.broadcast(64);
    /// // This one may lose records and is told how many; the log gets them all.
    /// let (mut display, mut log) = (broadcast.subscribe(), broadcast.subscribe_lossless());
    /// tokio::spawn(async move {
    ///     while let Some(record) = log.next().await.transpose()? {
    ///         println!("{} bytes", record.initiator.bytes);
    ///     }
    ///     Ok::<(), BroadcastRecvError>(())
    /// });
    /// while let Some(record) = display.next().await {
    ///     match record {
    ///         Ok(record) => println!("{}", record.state),
    ///         Err(BroadcastRecvError::Lagged(lost)) => println!("{lost} records lost"),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn broadcast(self, capacity: usize) -> RecordBroadcast {
        let (flows, recorder, queue) = self.into_flows();
        let last = Arc::default();
        let answers = FlowAnswers(Arc::clone(&last));
        let producer = Records::new(flows, recorder, answers);
        RecordBroadcast {
            handle: Handle::spawn(vec![(producer, queue)], capacity),
            last,
        }
    }
}

impl RecordBroadcast {
    handle_methods!(Subscriber<FlowRecord>, "records");

    /// The current figures of the capture and its flows, or the final ones after the end;
    /// [`BroadcastStats::events`] counts the records. The task answers between two batches of
    /// packets, and while it waits for a lossless subscriber.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads the source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        let ask = FlowRequest::Stats;
        self.handle.figures(0, ask, &self.last).await
    }

    /// A snapshot of the `count` largest flows that have not ended, as
    /// [`FlowBroadcast::flows`](crate::FlowBroadcast::flows) returns it.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Aborted`].
    pub async fn flows(
        &self,
        count: usize,
    ) -> Result<Vec<LiveFlow<FiveTupleKey>>, BroadcastRecvError> {
        self.handle.live_flows(count, &self.last).await
    }

    /// Ends the broadcast and waits until its task has ended: the packets that were in the source's
    /// ring are tracked, every flow has its record, every record is published, and the source is
    /// closed. Returns the final figures. The counterpart of
    /// [`FlowBroadcast::shutdown`](crate::FlowBroadcast::shutdown).
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If the source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<BroadcastStats, BroadcastRecvError> {
        self.handle.shutdown().await;
        self.handle.last_figures(&self.last)
    }

    /// Ends the broadcast without ending its flows, and returns them as a stream: the opposite of
    /// [`RecordStream::broadcast`]. `S` and `E` are the types of its source and extractor.
    ///
    /// No record is lost or repeated: subscribers receive those before, and then the end; the
    /// stream yields those after. If this future is dropped, the broadcast stops.
    ///
    /// # Errors
    /// Returns the broadcast, which continues, if it was made from other types; or if its task has
    /// ended, with its remaining contents.
    pub async fn into_record_stream<S, E>(self) -> Result<RecordStream<S, E>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = FiveTupleKey>,
    {
        if !self.handle.is_of::<Records<S, E>>() {
            return Err(self);
        }
        match self.handle.release::<Records<S, E>>().await {
            Some(producer) => {
                let (flows, recorder) = producer.into_parts();
                Ok(RecordStream::from_flows(flows, recorder))
            }
            None => Err(self),
        }
    }
}
