//! The records of flows for many subscribers.

use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{Extract, FiveTupleKey};
use netring_sys::PacketSource;

use super::messages::{Broadcast, Never};
use super::produce::{Answer, GatherProducer};
use crate::flows::{Flows, Gather};
use crate::record_stream::RecordStream;

/// There are no requests.
struct Nothing;

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
    /// broadcast stops it too. `capacity` is as in [`Broadcast::new`]. To read the statistics of
    /// the source and its tracker too, use [`RecordWorkers`](crate::RecordWorkers) with just this
    /// stream.
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
    pub fn broadcast(self, capacity: usize) -> Broadcast<FlowRecord> {
        let (flows, visitor, queue) = self.into_flows();
        let producer = GatherProducer::new(flows, visitor, Nothing);
        Broadcast::spawn(producer, queue, capacity)
    }
}

impl Broadcast<FlowRecord> {
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
        let released = self.release::<S, E, FlowRecorder>().await?;
        let (flows, recorder) = released.into_parts();
        Ok(RecordStream::from_flows(flows, recorder))
    }
}

impl<T: Send + Sync + 'static> Broadcast<T> {
    /// Ends the broadcast and returns its producer, if it is of this type and its task is running.
    async fn release<S, E, V>(self) -> Result<GatherProducer<S, E, V, Nothing>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract,
        V: Gather<E::Key, Item = T> + Send + 'static,
    {
        if !self.handle.is_of::<GatherProducer<S, E, V, Nothing>>() {
            return Err(self);
        }
        let released = self
            .handle
            .release::<GatherProducer<S, E, V, Nothing>>()
            .await;
        released.ok_or(self)
    }
}

impl<S, E: Extract, V> Answer<S, E, V> for Nothing {
    type Request = Never;

    fn answer(&self, _: &mut Flows<S, E>, _: &V, request: Never, _: u64) {
        match request {}
    }

    fn finish(&self, _: &mut Flows<S, E>, _: &V, _: u64) {}
}
