//! The sessions of any source as a stream of events.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_flow::extract::{Extract, Transport};
use netring_flow::reassembly::{Reassembler, ReassemblyConfig, ReassemblyStats, Subscription};
use netring_flow::session::{Parser, SessionEvent, SessionStats, Sessions};
use netring_flow::{FlowTracker, Segment, TrackerStats};
use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, Stats, Timestamp};

use crate::AsyncSource;
use crate::flows::{Collect, Flows, Gather};
use crate::gathered::Gathered;

/// The messages that the two ends of each flow exchange, as a stream of [`SessionEvent`]s, from
/// [`AsyncSource::session_stream`].
///
/// Each flow of interest has its own [`Parser`]. A parser that fails or panics ends only its
/// session, with the reason. Sides are initiator and responder. The stream ends and fails as
/// [`FlowStream`](crate::FlowStream) does: sessions end first, then the error of the source is
/// yielded, then the stream ends. It queues the events of at most one batch of packets. Cancelling
/// `next()` loses nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::AsyncSource;
/// use netring_flow::extract::FiveTuple;
/// use netring_flow::reassembly::Subscription;
/// use netring_flow::session::{Parser, SessionEvent};
/// # async fn example<P>(capture: netring_afpacket::Capture, parser: fn() -> P) -> Result<(), netring_sys::Error>
/// # where P: Parser + Send + 'static, P::Message: std::fmt::Debug {
///
/// let mut sessions = AsyncSource::new(capture)?.session_stream(
///     FiveTuple::bidirectional(),
///     Subscription::all().ports([80]),
///     move |_first| Some(parser()),
/// );
/// while let Some(event) = sessions.next().await {
///     if let SessionEvent::Message { key, side, message, .. } = event? {
///         println!("{key} {side:?}: {message:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct SessionStream<S, E: Extract, P: Parser> {
    inner: Gathered<S, E, Streams<E::Key, P>>,
}

/// A [`SessionStream`] of flows that are not TCP, from [`AsyncSource::datagram_stream`].
pub type DatagramStream<S, E, P> = SessionStream<S, E, P>;

/// The sessions with their reassembler.
pub(crate) type Streams<K, P> = Reassembler<K, Sessions<K, P>>;

impl<S: PacketSource> AsyncSource<S> {
    /// Reports the messages of flows of interest: the streams of TCP connections are reassembled,
    /// and the packets of other flows are datagrams. Each flow gets the parser that `start` returns
    /// for its first packet, if any. All settings are the defaults; see
    /// [`session_stream_with`](Self::session_stream_with) for others.
    ///
    /// # Panics
    /// The stream of a live source panics when it waits while there are flows, if the runtime was
    /// built without `enable_time`.
    pub fn session_stream<E: Extract, P: Parser>(
        self,
        extract: E,
        subscription: Subscription<E::Key>,
        start: impl FnMut(&Segment<'_, E::Key>) -> Option<P> + Send + 'static,
    ) -> SessionStream<S, E, P> {
        let sessions = Sessions::new(subscription, start);
        let streams = Reassembler::new(ReassemblyConfig::new(), sessions);
        self.session_stream_with(
            FlowTracker::new(extract),
            streams.expect("the default settings are in range"),
        )
    }

    /// Reports the messages of flows of interest that are not TCP: each packet is a datagram for
    /// the flow's parser. Everything else is as in [`session_stream`](Self::session_stream).
    ///
    /// # Panics
    /// Panics as [`session_stream`](Self::session_stream) does.
    pub fn datagram_stream<E: Extract, P: Parser>(
        self,
        extract: E,
        subscription: Subscription<E::Key>,
        start: impl FnMut(&Segment<'_, E::Key>) -> Option<P> + Send + 'static,
    ) -> DatagramStream<S, E, P> {
        let is_datagram =
            |first: &Segment<'_, E::Key>| !matches!(first.transport, Transport::Tcp(_));
        self.session_stream(extract, subscription.when(is_datagram), start)
    }

    /// Reports sessions with this tracker and this reassembler, which may have other settings, or
    /// flows and sessions already: [`SessionStream::into_parts`] returns them. Flows known to the
    /// tracker but not to the reassembler have no session.
    ///
    /// ```no_run
    /// use netring_flow::reassembly::{Reassembler, ReassemblyConfig, Subscription};
    /// use netring_flow::session::{Parser, Sessions};
    /// use netring_flow::{FlowTracker, TrackerConfig, extract::FiveTuple};
    /// # fn example<P: Parser + Send + 'static>(source: netring_async::AsyncSource<netring_afpacket::Capture>, parser: fn() -> P) -> Result<(), netring_sys::Error> {
    ///
    /// let config = TrackerConfig::new().max_flows(100_000);
    /// let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    /// let sessions = Sessions::new(Subscription::all().ports([53]), move |_| Some(parser()));
    /// let streams = Reassembler::new(ReassemblyConfig::new().max_held(1 << 20), sessions)?;
    /// let events = source.session_stream_with(tracker, streams);
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_stream_with<E: Extract, P: Parser>(
        self,
        tracker: FlowTracker<E>,
        streams: Reassembler<E::Key, Sessions<E::Key, P>>,
    ) -> SessionStream<S, E, P> {
        SessionStream {
            inner: Gathered::new(self, tracker, streams),
        }
    }
}

impl<S: PacketSource, E: Extract, P: Parser> SessionStream<S, E, P> {
    /// The fate of every packet so far.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.inner.flows.source.stats()
    }
}

impl<S, E: Extract, P: Parser> SessionStream<S, E, P> {
    /// The fate of every flow so far.
    pub fn tracker_stats(&self) -> TrackerStats {
        self.inner.flows.tracker.stats()
    }

    /// The outcome of the payload of flows with a parser.
    pub fn reassembly_stats(&self) -> ReassemblyStats
    where
        E::Key: Clone,
    {
        self.inner.visitor.stats()
    }

    /// The outcome of the sessions so far.
    pub const fn session_stats(&self) -> SessionStats
    where
        E::Key: Clone,
    {
        self.inner.visitor.visitor().stats()
    }

    /// Stops the stream: no more packets are taken. It yields the queued events, then the end of
    /// each session, with the reason [`SourceEnded`](netring_flow::EndReason::SourceEnded) unless
    /// its flow is closed or was idle for too long; then it ends.
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

    /// Returns the source, the tracker with its flows, the reassembler with its sessions, and the
    /// events that are not yet yielded, oldest first.
    #[allow(clippy::type_complexity, reason = "each part is of a type of its own")]
    pub fn into_parts(
        self,
    ) -> (
        AsyncSource<S>,
        FlowTracker<E>,
        Reassembler<E::Key, Sessions<E::Key, P>>,
        Vec<SessionEvent<E::Key, P::Message>>,
    ) {
        let (flows, streams, queue) = self.into_flows();
        (flows.source, flows.tracker, streams, queue)
    }

    /// The parts of a stream that continue in a broadcast; the events are oldest first.
    #[allow(clippy::type_complexity, reason = "each part is of a type of its own")]
    pub(crate) fn into_flows(
        self,
    ) -> (
        Flows<S, E>,
        Streams<E::Key, P>,
        Vec<SessionEvent<E::Key, P::Message>>,
    ) {
        self.inner.into_parts()
    }
}

impl<S, E: Extract, P: Parser> SessionStream<S, E, P> {
    /// A stream with nothing queued.
    pub(crate) const fn from_flows(flows: Flows<S, E>, streams: Streams<E::Key, P>) -> Self {
        let inner = Gathered::from_flows(flows, streams);
        Self { inner }
    }
}

impl<S, E, P> SessionStream<S, E, P>
where
    S: PacketSource + Send + 'static,
    E: Extract,
    P: Parser,
{
    /// [Drains](Self::drain) the stream, closes the source, and returns all remaining items: the
    /// queued events and those of the last packets, the ends of all sessions, and the error if the
    /// source had failed, oldest first. If the wait is cancelled, the items are lost.
    pub async fn shutdown(self) -> Vec<Result<SessionEvent<E::Key, P::Message>, Error>> {
        self.inner.shutdown().await
    }
}

impl<S: PacketSource, E: Extract, P: Parser> Stream for SessionStream<S, E, P> {
    type Item = Result<SessionEvent<E::Key, P::Message>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().inner.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.inner.queued(), None)
    }
}

impl<S: PacketSource, E: Extract, P: Parser> FusedStream for SessionStream<S, E, P> {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl<K: Clone, P: Parser> Collect<K> for Streams<K, P> {
    #[inline]
    fn collected(&self) -> usize {
        self.visitor().events.len()
    }

    fn advance(&mut self, now: Timestamp) -> bool {
        self.expire(now)
    }
}

impl<K: Clone, P: Parser> Gather<K> for Streams<K, P> {
    type Item = SessionEvent<K, P::Message>;

    #[inline]
    fn gathered(&mut self) -> &mut Vec<Self::Item> {
        &mut self.visitor_mut().events
    }
}

impl<S: fmt::Debug, E: Extract, P: Parser> fmt::Debug for SessionStream<S, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStream")
            .field("source", &self.inner.flows.source)
            .field("active_flows", &self.inner.flows.tracker.active_flows())
            .field("active_sessions", &self.inner.visitor.active())
            .field("queued", &self.inner.queued())
            .finish_non_exhaustive()
    }
}

// No field is ever pinned.
impl<S, E: Extract, P: Parser> Unpin for SessionStream<S, E, P> {}
