//! Flows of any source, event by event.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_flow::extract::Extract;
use netring_flow::{FlowEvent, FlowTracker, TrackerStats};
use netring_sys::{Error, PacketSource, Stats};

use crate::flows::Flows;
use crate::{AsyncSource, FlowBroadcast};

/// A stream of what happens to the flows of a source, from [`AsyncSource::flow_stream`].
///
/// - At the end of the source, or when it is stopped, the flows that are left end, and the stream
///   with them.
/// - An error of the source is the last item but for nothing: the flows that are left end first,
///   then it is yielded, then the stream ends.
/// - A link that goes down is no error here: the stream goes on, and [`Stats::link_downs`] counts
///   it.
///
/// Flow time is packet time. While a live source is silent, half a second after it was due at the
/// latest, flows end by the time that passed since the last packet, by the host's clock. A replay
/// ends no flow by it.
///
/// The queue in the stream holds the events of one batch at the most; the next is taken when they
/// were yielded. A dropped `next()` loses nothing.
pub struct FlowStream<S, E: Extract> {
    flows: Flows<S, E>,
    /// What is not yet yielded, the newest first: the oldest is popped off the end.
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
    /// The stream of a live source, once it waits while there are flows, in a runtime that was
    /// built without `enable_time`.
    pub fn flow_stream<E: Extract>(self, extract: E) -> FlowStream<S, E> {
        self.flow_stream_with(FlowTracker::new(extract))
    }

    /// Tracks the flows of the packets with this tracker: one with other settings, or one that has
    /// flows already.
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
        FlowStream {
            flows: Flows::new(self, tracker),
            queue: Vec::new(),
        }
    }
}

impl<S: PacketSource, E: Extract> FlowStream<S, E> {
    /// What became of every packet so far.
    ///
    /// # Errors
    /// The call by which the source asks its kernel failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.flows.source.stats()
    }

    /// What became of every flow so far.
    pub fn tracker_stats(&self) -> TrackerStats {
        self.flows.tracker.stats()
    }

    /// Flows that have begun and not ended.
    pub fn active_flows(&self) -> usize {
        self.flows.tracker.active_flows()
    }
}

impl<S, E: Extract> FlowStream<S, E> {
    /// The source.
    pub const fn get_ref(&self) -> &AsyncSource<S> {
        &self.flows.source
    }

    /// The source. Packets of a batch that is taken from it are not tracked.
    pub const fn get_mut(&mut self) -> &mut AsyncSource<S> {
        &mut self.flows.source
    }

    /// The tracker.
    pub const fn tracker(&self) -> &FlowTracker<E> {
        &self.flows.tracker
    }

    /// Events that happened and were not yet yielded.
    pub const fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The source, the tracker with the flows that are in it, and the events that were not yet
    /// yielded, oldest first.
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
    /// Gives the events to any number of subscribers: a task of its own takes the packets and
    /// tracks them.
    ///
    /// Events travel in batches of 1 to 64, oldest first. A batch goes out when it is full, and
    /// otherwise as soon as the source has nothing more for the moment, or the task's turn of a
    /// millisecond is over: an event waits no longer than that.
    ///
    /// The queue holds `capacity` **batches**, 1 to 65 536 (another number is taken as the nearest
    /// of these, see [`FlowBroadcast::capacity`]). A subscriber that is further behind loses
    /// the oldest, and is told how many events
    /// ([`BroadcastRecvError::Lagged`](crate::BroadcastRecvError::Lagged)). So who is fewer than
    /// `capacity` events behind loses none; and the queue holds 64 × `capacity` events at the
    /// most, of up to 128 bytes for the built-in key. No subscriber makes the capture wait.
    ///
    /// A live source is read from now on, with or without subscribers. A replay begins when the
    /// first subscriber is polled: those that subscribed before miss none of it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn broadcast(mut self, capacity: usize) -> FlowBroadcast<E::Key> {
        self.queue.reverse();
        FlowBroadcast::spawn(self.flows, self.queue, capacity)
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

// Nothing in it is ever pinned.
impl<S, E: Extract> Unpin for FlowStream<S, E> {}
