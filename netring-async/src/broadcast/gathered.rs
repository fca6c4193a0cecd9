//! The records of flows for many subscribers.

use std::task::{Context, Poll};

use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{Extract, FiveTupleKey};
use netring_sys::{Error, PacketSource};

use super::messages::{Broadcast, Never};
use super::produce::Produce;
use crate::flows::{Flows, Gather};
use crate::record_stream::RecordStream;

/// Reads a source, and publishes what a visitor gathers.
struct GatherProducer<S, E: Extract, V> {
    flows: Flows<S, E>,
    visitor: V,
}

impl<S, E> RecordStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract<Key = FiveTupleKey>,
{
    /// Shares the records among any number of subscribers, lossy and lossless ones. A task reads
    /// the source from now on; that of a replay starts when a subscriber is polled for the first
    /// time.
    ///
    /// Records that are queued are published first, and all flows go on. When the broadcast is
    /// stopped, the flows end and their records are published, as with [`stop`](Self::stop).
    /// Dropping the broadcast stops it too. `capacity` is that of [`Broadcast::new`]. For the
    /// figures of the source and its tracker, too, use
    /// [`RecordWorkers`](crate::RecordWorkers) with this stream alone.
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
        Broadcast::spawn(GatherProducer { flows, visitor }, queue, capacity)
    }
}

impl Broadcast<FlowRecord> {
    /// Ends the broadcast without ending its flows, and returns them as a stream: the opposite of
    /// [`RecordStream::broadcast`]. `S` and `E` are the source and the extractor that it was made
    /// of.
    ///
    /// No record is lost or repeated: subscribers receive those before, and then the end; the
    /// stream yields those after. If this future is dropped, the broadcast stops.
    ///
    /// # Errors
    /// Returns the broadcast, which goes on, if it was made of something else; or if its task has
    /// ended, with what is left of it.
    pub async fn into_record_stream<S, E>(self) -> Result<RecordStream<S, E>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = FiveTupleKey>,
    {
        let released = self.release::<S, E, FlowRecorder>().await?;
        Ok(RecordStream::from_flows(released.flows, released.visitor))
    }
}

impl<T: Send + Sync + 'static> Broadcast<T> {
    /// Ends the broadcast and returns its producer, if it is of this type and its task goes on.
    async fn release<S, E, V>(self) -> Result<GatherProducer<S, E, V>, Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract,
        V: Gather<E::Key, Item = T> + Send + 'static,
    {
        if !self.handle.is_of::<GatherProducer<S, E, V>>() {
            return Err(self);
        }
        let released = self.handle.release::<GatherProducer<S, E, V>>().await;
        released.ok_or(self)
    }
}

impl<S, E, V> Produce for GatherProducer<S, E, V>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    V: Gather<E::Key> + Send + 'static,
    V::Item: Send + Sync + 'static,
{
    type Pending = Vec<V::Item>;
    type Request = Never;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut Self::Pending,
    ) -> Poll<Option<Result<(), Error>>> {
        self.flows.poll_into(cx, &mut self.visitor, pending)
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.flows.source.get_ref().is_live()
    }

    fn answer(&mut self, request: Never, _: u64) {
        match request {}
    }

    fn stop(&mut self) {
        self.flows.stop();
    }

    fn drain(&mut self) {
        self.flows.drain();
    }

    fn finish(&mut self, _: u64) {}

    async fn close(self) {
        self.flows.source.close().await;
    }
}
