//! The flows of any source as a stream of records.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{Extract, FiveTupleKey};
use netring_flow::{FlowTracker, TrackerStats};
use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, Stats};

use crate::AsyncSource;
use crate::flows::{Collect, Flows, Gather};
use crate::gathered::Gathered;

/// A complete record of each flow, as a stream of [`FlowRecord`]s, from
/// [`AsyncSource::record_stream`].
///
/// A record is yielded when its flow ends; with [active timeouts](netring_flow::Timeouts::active)
/// also while the flow lives. It has everything that a [`FlowRecorder`] sees in the segments,
/// unlike a record made from a [`FlowStream`](crate::FlowStream)'s event. The recorder keeps about
/// 600 bytes per active flow.
///
/// The stream ends and fails as [`FlowStream`](crate::FlowStream) does: all flows end first, each
/// with its record, then the error of the source is yielded, then the stream ends. It queues the
/// records of at most one batch of packets. Cancelling `next()` loses nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::AsyncSource;
/// use netring_flow::export::ConnLog;
/// use netring_flow::extract::FiveTuple;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
///
/// let mut records = AsyncSource::new(capture)?.record_stream(FiveTuple::bidirectional());
/// let (log, mut text) = (ConnLog::new(), Vec::new());
/// while let Some(record) = records.next().await {
///     log.json(&record?, &mut text);
/// }
/// # Ok(())
/// # }
/// ```
pub struct RecordStream<S, E: Extract<Key = FiveTupleKey>> {
    inner: Gathered<S, E, FlowRecorder>,
}

impl<S: PacketSource> AsyncSource<S> {
    /// Makes a record of each flow, with the default settings.
    ///
    /// The key is that of [`FiveTuple`](netring_flow::extract::FiveTuple), or of a custom extractor
    /// with the same key.
    ///
    /// # Panics
    /// The stream of a live source panics when it waits while there are flows, if the runtime was
    /// built without `enable_time`.
    pub fn record_stream<E: Extract<Key = FiveTupleKey>>(self, extract: E) -> RecordStream<S, E> {
        self.record_stream_with(FlowTracker::new(extract), FlowRecorder::new())
    }

    /// Makes records with this tracker and this recorder, which may have other settings, or flows
    /// and records already: [`RecordStream::into_parts`] returns them. Flows known to the tracker
    /// but not to the recorder have incomplete records.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use netring_flow::export::FlowRecorder;
    /// use netring_flow::{FlowTracker, Timeouts, TrackerConfig, extract::FiveTuple};
    /// # fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// // Flows that live for long report each minute, too.
    /// let timeouts = Timeouts::default().active(Duration::from_secs(60));
    /// let config = TrackerConfig::new().timeouts(timeouts);
    /// let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    /// let records = source.record_stream_with(tracker, FlowRecorder::new().community_id(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_stream_with<E: Extract<Key = FiveTupleKey>>(
        self,
        tracker: FlowTracker<E>,
        recorder: FlowRecorder,
    ) -> RecordStream<S, E> {
        RecordStream {
            inner: Gathered::new(self, tracker, recorder),
        }
    }
}

impl<S: PacketSource, E: Extract<Key = FiveTupleKey>> RecordStream<S, E> {
    /// The fate of every packet so far.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.inner.flows.source.stats()
    }
}

impl<S, E: Extract<Key = FiveTupleKey>> RecordStream<S, E> {
    /// The fate of every flow so far.
    pub fn tracker_stats(&self) -> TrackerStats {
        self.inner.flows.tracker.stats()
    }

    /// Flows that have started and not ended.
    pub fn active_flows(&self) -> usize {
        self.inner.flows.tracker.active_flows()
    }

    /// Records that are queued and not yet yielded.
    pub const fn queued(&self) -> usize {
        self.inner.queued()
    }

    /// Stops the stream: no more packets are taken. It yields the queued records, then the record
    /// of each remaining flow, with the reason
    /// [`SourceEnded`](netring_flow::EndReason::SourceEnded) unless the flow is closed or was idle
    /// for too long; then it ends.
    pub fn stop(&mut self) {
        self.inner.flows.stop();
    }

    /// Ends the stream as [`stop`](Self::stop) does, but after the packets that are in the ring of
    /// a live source now: see [`FlowStream::drain`](crate::FlowStream::drain).
    pub fn drain(&mut self)
    where
        S: PacketSource,
    {
        self.inner.flows.drain();
    }

    /// Returns a handle that stops the source from any thread or task, with the same effect as
    /// [`stop`](Self::stop). It still works after [`broadcast`](Self::broadcast).
    pub fn stop_handle(&self) -> StopHandle
    where
        S: Stop,
    {
        self.inner.flows.source.stop_handle()
    }

    /// Returns the source, the tracker with its flows, the recorder with its data about them, and
    /// the records that are not yet yielded, oldest first.
    pub fn into_parts(
        self,
    ) -> (
        AsyncSource<S>,
        FlowTracker<E>,
        FlowRecorder,
        Vec<FlowRecord>,
    ) {
        let (flows, recorder, records) = self.into_flows();
        (flows.source, flows.tracker, recorder, records)
    }

    /// The parts of a stream that continue in a broadcast; the records are oldest first.
    pub(crate) fn into_flows(self) -> (Flows<S, E>, FlowRecorder, Vec<FlowRecord>) {
        self.inner.into_parts()
    }

    /// A stream with nothing queued.
    pub(crate) const fn from_flows(flows: Flows<S, E>, recorder: FlowRecorder) -> Self {
        let inner = Gathered::from_flows(flows, recorder);
        Self { inner }
    }
}

impl<S, E> RecordStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract<Key = FiveTupleKey>,
{
    /// [Drains](Self::drain) the stream, closes the source, and returns all remaining items: the
    /// queued records, those of all flows, and the error if the source had failed, oldest first.
    ///
    /// That is at least one record per flow. To take them one by one, [`drain`](Self::drain) the
    /// stream and read it to its end. If the wait is cancelled, the items are lost.
    pub async fn shutdown(self) -> Vec<Result<FlowRecord, Error>> {
        self.inner.shutdown().await
    }
}

impl<S: PacketSource, E: Extract<Key = FiveTupleKey>> Stream for RecordStream<S, E> {
    type Item = Result<FlowRecord, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().inner.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.queued(), None)
    }
}

impl<S: PacketSource, E: Extract<Key = FiveTupleKey>> FusedStream for RecordStream<S, E> {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl Collect<FiveTupleKey> for FlowRecorder {
    #[inline]
    fn collected(&self) -> usize {
        self.records.len()
    }
}

impl Gather<FiveTupleKey> for FlowRecorder {
    type Item = FlowRecord;

    #[inline]
    fn gathered(&mut self) -> &mut Vec<FlowRecord> {
        &mut self.records
    }
}

impl<S: fmt::Debug, E: Extract<Key = FiveTupleKey>> fmt::Debug for RecordStream<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream")
            .field("source", &self.inner.flows.source)
            .field("active_flows", &self.active_flows())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

// No field is ever pinned.
impl<S, E: Extract<Key = FiveTupleKey>> Unpin for RecordStream<S, E> {}
