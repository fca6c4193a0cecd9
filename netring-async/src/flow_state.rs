//! A stream of flow events with a custom state for each flow.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use netring_flow::extract::Extract;
use netring_flow::{EarlyFragments, FlowEvent, FlowId, FlowVisitor, Segment};
use netring_sys::{Error, PacketSource, Stats};

use crate::FlowStream;
use crate::flows::Collect;

/// A [`FlowStream`] that keeps a state `U` for each flow, from [`FlowStream::with_state`].
///
/// A state is created when its flow starts and handed out with each event of it; the last time with
/// [`FlowEvent::Ended`]. To see each packet of a flow, too, add [`on_packet`](Self::on_packet).
///
/// It ends and fails as the stream does. It lends states, so it is read by
/// [`next_event`](Self::next_event).
///
/// ```no_run
/// use netring_async::AsyncSource;
/// use netring_flow::FlowEvent;
/// use netring_flow::extract::FiveTuple;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
///
/// #[derive(Default)]
/// struct Longest(usize);
///
/// let source = AsyncSource::new(capture)?;
/// let flows = source.flow_stream(FiveTuple::bidirectional());
/// let flows = flows.with_state(|_key| Longest::default());
/// let mut flows = flows.on_packet(|longest, segment| {
///     longest.0 = longest.0.max(segment.payload.len());
/// });
/// while let Some(event) = flows.next_event().await {
///     if let (FlowEvent::Ended { key, .. }, Some(longest)) = event? {
///         println!("{key}: at most {} bytes in a packet", longest.0);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct FlowStateStream<S, E: Extract, U> {
    stream: FlowStream<S, E>,
    states: HashMap<FlowId, U>,
    init: Init<E::Key, U>,
    packet: Option<OnPacket<E::Key, U>>,
    early: Option<OnEarly<E::Key, U>>,
    /// The state of the flow whose end was yielded last.
    ended: Option<U>,
}

type Init<K, U> = Box<dyn FnMut(&K) -> U + Send>;
type OnPacket<K, U> = Box<dyn FnMut(&mut U, &Segment<'_, K>) + Send>;
type OnEarly<K, U> = Box<dyn FnMut(&mut U, &EarlyFragments<'_, K>) + Send>;

impl<S, E: Extract> FlowStream<S, E> {
    /// Keeps a state for each flow; `init` creates it from the flow's key.
    ///
    /// Flows that have already started get theirs with their next event or packet. Queued events
    /// are yielded.
    pub fn with_state<U>(
        self,
        init: impl FnMut(&E::Key) -> U + Send + 'static,
    ) -> FlowStateStream<S, E, U> {
        self.with_states(HashMap::new(), init)
    }

    /// Keeps a state for each flow, as [`with_state`](Self::with_state) does; flows that have one
    /// already keep theirs. The states are those of [`FlowStateStream::into_parts`].
    pub fn with_states<U>(
        self,
        states: HashMap<FlowId, U>,
        init: impl FnMut(&E::Key) -> U + Send + 'static,
    ) -> FlowStateStream<S, E, U> {
        FlowStateStream {
            stream: self,
            states,
            init: Box::new(init),
            packet: None,
            early: None,
            ended: None,
        }
    }
}

impl<S, E: Extract, U> FlowStateStream<S, E, U> {
    /// Calls `packet` with the state of a flow and each of its packets, in place in the ring.
    ///
    /// A batch of packets is seen before its events are yielded, so a state can be ahead of the
    /// event that it is handed out with; with `Ended` it is complete. `packet` should be quick, as
    /// packets wait in the ring meanwhile. A second call replaces the first.
    #[must_use]
    pub fn on_packet(
        mut self,
        packet: impl FnMut(&mut U, &Segment<'_, E::Key>) + Send + 'static,
    ) -> Self {
        self.packet = Some(Box::new(packet));
        self
    }

    /// Calls `early` with the state of a flow and the fragments that arrived before the first of
    /// their packet: they count in the flow from then on, and [`on_packet`](Self::on_packet) is not
    /// called for them. See [`FlowVisitor::early_fragments`]. A second call replaces the first.
    #[must_use]
    pub fn on_early_fragments(
        mut self,
        early: impl FnMut(&mut U, &EarlyFragments<'_, E::Key>) + Send + 'static,
    ) -> Self {
        self.early = Some(Box::new(early));
        self
    }

    /// Stops the stream, as [`FlowStream::stop`] does.
    pub fn stop(&mut self) {
        self.stream.stop();
    }

    /// Ends the stream after the packets that are in the ring now, as [`FlowStream::drain`] does.
    pub fn drain(&mut self)
    where
        S: PacketSource,
    {
        self.stream.drain();
    }

    /// The stream.
    pub const fn get_ref(&self) -> &FlowStream<S, E> {
        &self.stream
    }

    /// The state of a flow that has not ended.
    pub fn state(&self, flow: FlowId) -> Option<&U> {
        self.states.get(&flow)
    }

    /// The state of a flow that has not ended.
    pub fn state_mut(&mut self, flow: FlowId) -> Option<&mut U> {
        self.states.get_mut(&flow)
    }

    /// Returns the stream, with its flows and queued events, and the states of the flows with an
    /// end not yet yielded: the input of [`FlowStream::with_states`].
    pub fn into_parts(self) -> (FlowStream<S, E>, HashMap<FlowId, U>) {
        (self.stream, self.states)
    }
}

impl<S: PacketSource, E: Extract, U> FlowStateStream<S, E, U> {
    /// Waits for the next event, and returns it with the state of its flow; with `None` if it
    /// concerns no flow. Returns `None` at the end. Can be cancelled at any moment without losing
    /// an event.
    ///
    /// # Errors
    /// The source failed: the last item, after the ends of all flows.
    #[allow(clippy::type_complexity, reason = "an item of a stream")]
    pub async fn next_event(
        &mut self,
    ) -> Option<Result<(FlowEvent<E::Key>, Option<&mut U>), Error>> {
        let event = match poll_fn(|cx| self.poll_event(cx)).await? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let state = match (event.flow(), event.key()) {
            (Some(flow), Some(key)) => {
                let (states, init) = (&mut self.states, &mut self.init);
                Some(if matches!(event, FlowEvent::Ended { .. }) {
                    let state = states.remove(&flow);
                    self.ended.insert(state.unwrap_or_else(|| init(key)))
                } else {
                    states.entry(flow).or_insert_with(|| init(key))
                })
            }
            _ => None,
        };
        Some(Ok((event, state)))
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<FlowEvent<E::Key>, Error>>> {
        loop {
            let (flows, queue) = self.stream.parts_mut();
            if let Some(event) = queue.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            let polled = match (&mut self.packet, &mut self.early) {
                (None, None) => flows.poll_events(cx, queue),
                (packet, early) => {
                    let mut visitor = Visitor {
                        states: &mut self.states,
                        init: &mut self.init,
                        packet,
                        early,
                        events: queue,
                    };
                    flows.poll_events(cx, &mut visitor)
                }
            };
            match ready!(polled) {
                Some(Ok(())) => queue.reverse(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The fate of every packet so far.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.stream.stats()
    }
}

/// Creates and updates states, and queues events.
struct Visitor<'a, K, U> {
    states: &'a mut HashMap<FlowId, U>,
    init: &'a mut Init<K, U>,
    packet: &'a mut Option<OnPacket<K, U>>,
    early: &'a mut Option<OnEarly<K, U>>,
    events: &'a mut Vec<FlowEvent<K>>,
}

impl<K, U> FlowVisitor<K> for Visitor<'_, K, U> {
    #[inline]
    fn event(&mut self, event: FlowEvent<K>) {
        self.events.push(event);
    }

    #[inline]
    fn segment(&mut self, segment: &Segment<'_, K>) {
        if let Some(packet) = &mut self.packet {
            let state = self.states.entry(segment.flow);
            packet(state.or_insert_with(|| (self.init)(segment.key)), segment);
        }
    }

    fn early_fragments(&mut self, fragments: &EarlyFragments<'_, K>) {
        if let Some(early) = &mut self.early {
            let state = self.states.entry(fragments.flow);
            early(
                state.or_insert_with(|| (self.init)(fragments.key)),
                fragments,
            );
        }
    }
}

impl<K, U> Collect<K> for Visitor<'_, K, U> {
    fn collected(&self) -> usize {
        self.events.len()
    }
}

impl<S: fmt::Debug, E: Extract, U> fmt::Debug for FlowStateStream<S, E, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowStateStream")
            .field("stream", &self.stream)
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}
