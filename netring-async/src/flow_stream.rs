//! The flows of any source as a stream of events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, FlowTracker, TrackerStats};
use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, Stats};

use crate::AsyncSource;
use crate::flows::Flows;

/// A stream of flow events, from [`AsyncSource::flow_stream`].
///
/// - When the source ends or is stopped, the remaining flows end, and then the stream.
/// - A source error is the last item: the remaining flows end first, then the error is yielded,
///   then the stream ends.
/// - A link that goes down is not an error here: the stream continues, and [`Stats::link_downs`]
///   counts it.
///
/// Flow time is packet time. While a live source is idle, flows expire by the host's clock, counted
/// from the last packet, at most half a second late. A replay expires flows by packet time only.
///
/// To end it from within, call [`stop`](Self::stop) and go on to the end, or await
/// [`shutdown`](Self::shutdown); to end it from another task or thread, take a
/// [`stop_handle`](Self::stop_handle) first.
///
/// The stream queues the events of at most one batch; the next batch is taken once they are
/// yielded. Cancelling `next()` loses nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::AsyncSource;
/// use netring_flow::extract::FiveTuple;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
///
/// let mut flows = AsyncSource::new(capture)?.flow_stream(FiveTuple::bidirectional());
/// while let Some(event) = flows.next().await {
///     println!("{:?}; {} flows are active", event?, flows.active_flows());
/// }
/// println!("{} packets dropped", flows.stats()?.dropped);
/// # Ok(())
/// # }
/// ```
pub struct FlowStream<S, E: Extract> {
    flows: Flows<S, E>,
    /// Events to yield, newest first, so that the oldest is popped off the end.
    queue: Vec<FlowEvent<E::Key>>,
}

impl<S: PacketSource> AsyncSource<S> {
    /// Tracks the flows of the packets, with the default settings.
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use netring_flow::{FlowEvent, extract::FiveTuple};
    /// # async fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// let mut events = source.flow_stream(FiveTuple::bidirectional());
    /// while let Some(event) = events.next().await {
    ///     if let FlowEvent::Ended { key, reason, stats, .. } = event? {
    ///         println!("{key} {} packets, {reason}", stats.packets());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// The stream of a live source panics when it waits while there are flows, if the runtime was
    /// built without `enable_time`.
    pub fn flow_stream<E: Extract>(self, extract: E) -> FlowStream<S, E> {
        self.flow_stream_with(FlowTracker::new(extract))
    }

    /// Tracks the flows of the packets with this tracker, which may have other settings, or flows
    /// already.
    ///
    /// ```no_run
    /// use netring_flow::{FlowTracker, TrackerConfig, extract::FiveTuple};
    /// # fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// let config = TrackerConfig::new().max_flows(100_000);
    /// let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    /// let events = source.flow_stream_with(tracker);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn flow_stream_with<E: Extract>(self, tracker: FlowTracker<E>) -> FlowStream<S, E> {
        FlowStream::from_flows(Flows::new(self, tracker))
    }
}

impl<S: PacketSource, E: Extract> FlowStream<S, E> {
    /// The fate of every packet so far.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.flows.source.stats()
    }

    /// The fate of every flow so far.
    pub fn tracker_stats(&self) -> TrackerStats {
        self.flows.tracker.stats()
    }

    /// Flows that have started and not ended.
    pub fn active_flows(&self) -> usize {
        self.flows.tracker.active_flows()
    }
}

impl<S, E: Extract> FlowStream<S, E> {
    /// Stops the stream: no more packets are taken. It yields the queued events, then
    /// [`FlowEvent::Ended`] for each flow with the reason
    /// [`SourceEnded`](netring_flow::EndReason::SourceEnded), unless the flow is closed or was idle
    /// for too long; then it ends. Packets that are still in the source's ring are not tracked:
    /// [`Stats::pending`] counts them.
    pub fn stop(&mut self) {
        self.flows.stop();
    }

    /// Ends the stream as [`stop`](Self::stop) does, but after the packets that are in the ring of
    /// a live source now. Packets that arrive meanwhile may not be tracked: [`Stats::pending`]
    /// counts them. If the source announces packets but does not lend them, the wait for them ends
    /// after one second. A replay is stopped.
    pub fn drain(&mut self)
    where
        S: PacketSource,
    {
        self.flows.drain();
    }

    /// Returns a handle that stops the source from any thread or task, with the same effect as
    /// [`stop`](Self::stop). It still works after [`broadcast`](Self::broadcast).
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use netring_flow::extract::FiveTuple;
    /// # async fn interrupt() {}
    /// # async fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// let mut events = source.flow_stream(FiveTuple::bidirectional());
    /// let stop = events.stop_handle();
    /// tokio::spawn(async move {
    ///     interrupt().await;
    ///     stop.stop();
    /// });
    /// while let Some(event) = events.next().await {
    ///     println!("{:?}", event?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_handle(&self) -> StopHandle
    where
        S: Stop,
    {
        self.flows.source.stop_handle()
    }

    /// The source.
    pub const fn get_ref(&self) -> &AsyncSource<S> {
        &self.flows.source
    }

    /// The source. Packets in batches taken from it directly are not tracked.
    pub const fn get_mut(&mut self) -> &mut AsyncSource<S> {
        &mut self.flows.source
    }

    /// The tracker.
    pub const fn tracker(&self) -> &FlowTracker<E> {
        &self.flows.tracker
    }

    /// Events that are queued and not yet yielded.
    pub const fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns the source, the tracker with its flows, and the events that are not yet yielded,
    /// oldest first.
    pub fn into_parts(mut self) -> (AsyncSource<S>, FlowTracker<E>, Vec<FlowEvent<E::Key>>) {
        self.queue.reverse();
        (self.flows.source, self.flows.tracker, self.queue)
    }
}

impl<S, E> FlowStream<S, E>
where
    S: PacketSource + Send + 'static,
    E: Extract,
{
    /// [Drains](Self::drain) the stream, closes the source, and returns all remaining items: the
    /// queued events and those of the last packets, the ends of all flows, and the error if the
    /// source had failed, oldest first.
    ///
    /// That is at least one event per flow. To take them one by one, [`drain`](Self::drain) the
    /// stream and read it to its end. If the wait is cancelled, the items are lost.
    pub async fn shutdown(mut self) -> Vec<Result<FlowEvent<E::Key>, Error>> {
        self.drain();
        let mut items = Vec::with_capacity(self.queue.len() + self.active_flows());
        while let Some(item) = poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            items.push(item);
        }
        self.flows.source.close().await;
        items
    }
}

impl<S, E: Extract> FlowStream<S, E> {
    /// The parts of a stream that continue in a broadcast: the events are those that are not yet
    /// yielded, oldest first.
    pub(crate) fn into_flows(mut self) -> (Flows<S, E>, Vec<FlowEvent<E::Key>>) {
        self.queue.reverse();
        (self.flows, self.queue)
    }

    /// The flows, and the queue, with the newest event first.
    pub(crate) const fn parts_mut(&mut self) -> (&mut Flows<S, E>, &mut Vec<FlowEvent<E::Key>>) {
        (&mut self.flows, &mut self.queue)
    }

    /// A stream with nothing queued.
    pub(crate) const fn from_flows(flows: Flows<S, E>) -> Self {
        Self {
            flows,
            queue: Vec::new(),
        }
    }
}

impl<S: PacketSource, E: Extract> Stream for FlowStream<S, E> {
    type Item = Result<FlowEvent<E::Key>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.queue.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            match ready!(this.flows.poll_events(cx, &mut this.queue)) {
                Some(Ok(())) => this.queue.reverse(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.queue.len(), None)
    }
}

impl<S: PacketSource, E: Extract> FusedStream for FlowStream<S, E> {
    fn is_terminated(&self) -> bool {
        self.flows.is_done() && self.queue.is_empty()
    }
}

impl<S: fmt::Debug, E: Extract> fmt::Debug for FlowStream<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowStream")
            .field("source", &self.flows.source)
            .field("active_flows", &self.flows.tracker.active_flows())
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

// No field is ever pinned.
impl<S, E: Extract> Unpin for FlowStream<S, E> {}
