//! The trait that reads a protocol.

use std::ops::ControlFlow;

use netring_sys::Timestamp;

use super::SessionEnd;
use crate::reassembly::{Side, StreamEnd};

/// Reads the messages of one flow. Each flow has its own parser.
///
/// Only [`data`](Self::data) must be implemented. `Break` ends the session with that reason; so
/// does a panic, with [`SessionEnd::Panicked`].
pub trait Parser {
    /// The messages it finds.
    type Message;

    /// Takes the next bytes of a stream, and appends the messages that they complete. The bytes
    /// have any length from 1; messages are not aligned to them.
    fn data(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<Self::Message>,
    ) -> ControlFlow<SessionEnd>;

    /// Bytes of a stream are missing; the bytes after them come next. By default this ends the
    /// session with [`SessionEnd::Gap`].
    fn gap(
        &mut self,
        at: SessionPoint,
        missing: u64,
        messages: &mut Vec<Self::Message>,
    ) -> ControlFlow<SessionEnd> {
        let _ = (at, messages);
        ControlFlow::Break(SessionEnd::Gap { missing })
    }

    /// A stream has ended. Does nothing by default.
    fn end(&mut self, at: SessionPoint, reason: StreamEnd, messages: &mut Vec<Self::Message>) {
        let _ = (at, reason, messages);
    }

    /// Takes a packet of a flow that is not TCP. By default this is [`data`](Self::data).
    fn datagram(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<Self::Message>,
    ) -> ControlFlow<SessionEnd> {
        self.data(at, bytes, messages)
    }

    /// The session ends because its flow ended: the last chance to report messages, such as
    /// unanswered requests. They are reported as the initiator's. Does nothing by default.
    fn close(&mut self, time: Timestamp, messages: &mut Vec<Self::Message>) {
        let _ = (time, messages);
    }

    /// The number of bytes the parser keeps for incomplete messages. It is read after each call and
    /// counts against the bounds of [`Sessions`](super::Sessions::max_buffered): a parser that
    /// keeps its input should implement this, or bound its memory itself. 0 by default.
    fn buffered(&self) -> usize {
        0
    }
}

/// Where a parser is in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPoint {
    /// Which end sent it.
    pub side: Side,
    /// When it was captured.
    pub time: Timestamp,
    /// The offset of the first byte in the stream.
    pub offset: u64,
    /// The beginning of the stream was not captured. For flows that are not TCP, false.
    pub mid_stream: bool,
}
