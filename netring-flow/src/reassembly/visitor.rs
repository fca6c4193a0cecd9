//! The receiver of streams.

use std::ops::{ControlFlow, Range};

use netring_sys::Timestamp;

use crate::extract::Orientation;
use crate::{EndReason, FlowEvent, FlowId, Segment};

/// Receives the streams of the flows it subscribes to from a [`Reassembler`](super::Reassembler).
///
/// Only [`subscribe`](Self::subscribe) and [`data`](Self::data) must be implemented. The methods
/// run while the tracker works on a batch, so they should be quick.
pub trait StreamVisitor<K> {
    /// The state kept for each subscribed flow, such as a parser; `()` for none.
    type State;

    /// Decides with the first packet of a flow whether its streams or datagrams are of interest.
    /// Called again if a refused connection is retried with the same sequence number, which is the
    /// same flow, or if a connection continues after a forged RST.
    ///
    /// Flows that are not of interest cost one comparison per packet.
    /// [`Subscription::matches`](super::Subscription::matches) decides by ports, by a filter, or by
    /// a predicate.
    fn subscribe(&mut self, first: &Segment<'_, K>) -> Interest<Self::State>;

    /// Decides about a flow of [`Interest::FirstBytes`] by the first bytes of one of its streams:
    /// `Some(false)` drops the flow, `None` asks for more bytes. The bytes that were shown are
    /// delivered after `Some(true)`. Called whenever there are more, with at most
    /// [`FIRST_BYTES`](super::FIRST_BYTES) bytes; `None` then drops the flow too.
    fn first_bytes(
        &mut self,
        at: StreamPoint<'_, K>,
        state: &mut Self::State,
        bytes: &[u8],
    ) -> Option<bool> {
        let _ = (at, state, bytes);
        Some(true)
    }

    /// Takes the next bytes of a stream. They are borrowed from the packet if they arrived in
    /// order. `Break` ends the subscription of the flow: nothing more is reported about it, and the
    /// state is dropped.
    fn data(
        &mut self,
        at: StreamPoint<'_, K>,
        state: &mut Self::State,
        bytes: &[u8],
    ) -> ControlFlow<()>;

    /// Reports that `missing` bytes were not captured. The bytes after them come next.
    fn gap(
        &mut self,
        at: StreamPoint<'_, K>,
        state: &mut Self::State,
        missing: u64,
    ) -> ControlFlow<()> {
        let _ = (at, state, missing);
        ControlFlow::Continue(())
    }

    /// Reports that two segments had different bytes for a range of the stream. Which of them were
    /// or will be delivered depends on the [`OverlapPolicy`](super::OverlapPolicy).
    fn inconsistent(&mut self, at: StreamPoint<'_, K>, state: &mut Self::State, range: Range<u64>) {
        let _ = (at, state, range);
    }

    /// Reports that one of a flow's streams has ended. It is the last report about this stream.
    fn end(&mut self, at: StreamPoint<'_, K>, state: &mut Self::State, reason: StreamEnd) {
        let _ = (at, state, reason);
    }

    /// Takes a packet of a subscribed flow that is not TCP. `Break` ends the subscription.
    fn datagram(
        &mut self,
        at: StreamPoint<'_, K>,
        state: &mut Self::State,
        datagram: &Segment<'_, K>,
    ) -> ControlFlow<()> {
        let _ = (at, state, datagram);
        ControlFlow::Continue(())
    }

    /// Takes the state of a flow whose streams have ended. Called once for each subscribed flow,
    /// unless the visitor itself ended the subscription.
    fn close(&mut self, flow: ClosedFlow<'_, K>, state: Self::State) {
        let _ = (flow, state);
    }

    /// Passes on what the tracker reports: [`FlowEvent::Started`] before the subscription,
    /// [`FlowEvent::Ended`] after all streams of the flow have ended.
    fn event(&mut self, event: FlowEvent<K>) {
        let _ = event;
    }
}

/// How much of a flow a visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest<S> {
    /// Nothing.
    No,
    /// All of it.
    Yes(S),
    /// The first bytes decide; see [`StreamVisitor::first_bytes`]. For a flow that is not TCP, each
    /// packet is shown until the decision, and the one that decides is delivered.
    FirstBytes(S),
}

/// A place in a stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamPoint<'a, K> {
    /// The flow's key.
    pub key: &'a K,
    /// The flow.
    pub flow: FlowId,
    /// Which end sent the stream.
    pub side: Side,
    /// The same end by the order of the key.
    pub orientation: Orientation,
    /// When the bytes were captured. For a gap, the capture time of the bytes after it, or of the
    /// packet that showed it; for the end of a stream, the time of the packet that ended it.
    pub time: Timestamp,
    /// The offset in the stream of the first byte of `bytes`, or of the first missing byte: all
    /// bytes that the sender sent before count, captured or not.
    pub offset: u64,
    /// The beginning of the stream was not captured: offset 0 is where the capture begins.
    pub mid_stream: bool,
}

impl<K> Clone for StreamPoint<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for StreamPoint<'_, K> {}

/// A flow with both streams ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClosedFlow<'a, K> {
    /// The flow's key.
    pub key: &'a K,
    /// The flow.
    pub flow: FlowId,
    /// The packet time at which it ended.
    pub time: Timestamp,
    /// Why the last of its streams ended.
    pub reason: StreamEnd,
}

impl<'a, K> ClosedFlow<'a, K> {
    /// The place of a report about the flow as a whole.
    pub(crate) fn point(&self, side: Side, mid_stream: bool) -> StreamPoint<'a, K> {
        StreamPoint {
            key: self.key,
            flow: self.flow,
            side,
            orientation: Orientation::Forward,
            time: self.time,
            offset: 0,
            mid_stream,
        }
    }
}

/// One of a flow's two ends. It is independent of the order of the addresses in a key, which is
/// [`Orientation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Side {
    /// The end that began the flow.
    Initiator,
    /// The other end.
    Responder,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StreamEnd {
    /// All bytes up to a FIN were delivered or are gaps, and the receiver has acknowledged the FIN.
    Finished,
    /// One end sent a RST that the other would accept.
    Reset,
    /// The flow was given up, because held bytes exceeded a bound
    /// ([`WhenFull::GiveUp`](super::WhenFull::GiveUp)).
    MemoryLimit,
    /// The flow ended first.
    Flow(EndReason),
}

impl std::fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::MemoryLimit => "memory-limit",
            Self::Flow(reason) => reason.as_str(),
        })
    }
}
