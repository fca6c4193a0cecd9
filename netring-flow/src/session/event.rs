//! Events of sessions.

use std::borrow::Cow;
use std::fmt;

use netring_sys::Timestamp;

use crate::FlowId;
use crate::reassembly::{Side, StreamEnd};

/// Something that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent<K, M> {
    /// A flow got a parser.
    Started {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When its first packet was seen.
        time: Timestamp,
        /// The flow is TCP and its first packet is not a SYN: earlier bytes were not captured.
        mid_stream: bool,
    },
    /// The parser found a message.
    Message {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// Which end sent it.
        side: Side,
        /// When the segment or datagram that completed it was captured.
        time: Timestamp,
        /// The beginning of its stream was not captured.
        mid_stream: bool,
        /// The message.
        message: M,
    },
    /// Bytes of a stream were not captured, or a snap length cut a datagram, which is then not
    /// parsed.
    Gap {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// Which end sent them.
        side: Side,
        /// When the loss was detected.
        time: Timestamp,
        /// How many bytes are missing.
        missing: u64,
    },
    /// The session ended.
    Ended {
        /// The flow's key.
        key: K,
        /// The flow.
        flow: FlowId,
        /// When it ended.
        time: Timestamp,
        /// Why.
        reason: SessionEnd,
    },
}

impl<K, M> SessionEvent<K, M> {
    /// The flow's key.
    pub const fn key(&self) -> &K {
        match self {
            Self::Started { key, .. }
            | Self::Message { key, .. }
            | Self::Gap { key, .. }
            | Self::Ended { key, .. } => key,
        }
    }

    /// The flow.
    pub const fn flow(&self) -> FlowId {
        match self {
            Self::Started { flow, .. }
            | Self::Message { flow, .. }
            | Self::Gap { flow, .. }
            | Self::Ended { flow, .. } => *flow,
        }
    }

    /// The packet time of the event.
    pub const fn time(&self) -> Timestamp {
        match self {
            Self::Started { time, .. }
            | Self::Message { time, .. }
            | Self::Gap { time, .. }
            | Self::Ended { time, .. } => *time,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// Its streams ended.
    Stream(StreamEnd),
    /// The parser has all it needs.
    Done,
    /// The parser failed; the text says why.
    Failed(Cow<'static, str>),
    /// The parser panicked; this is the text of the panic. Other sessions go on.
    Panicked(Cow<'static, str>),
    /// The parser kept more bytes than a bound allows
    /// ([`Sessions::max_buffered`](super::Sessions::max_buffered)).
    MemoryLimit,
    /// Bytes were missing, and the parser could not continue.
    Gap {
        /// How many.
        missing: u64,
    },
}

impl SessionEnd {
    /// The parser failed for this reason.
    pub fn failed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed(why.into())
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(end) => end.fmt(f),
            Self::Done => f.write_str("done"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::MemoryLimit => f.write_str("memory-limit"),
            Self::Gap { missing } => write!(f, "{missing} bytes are missing"),
        }
    }
}
