//! Conversations: the bytes that both ends of a connection send, each as an async byte stream.

mod accept;
mod buffer;
mod config;
mod half;
mod stream;
mod task;
mod visitor;

use std::fmt;

use netring_flow::FlowId;
use netring_flow::reassembly::Side;
use netring_sys::Timestamp;

pub use config::{ConversationConfig, ConversationStats};
pub use half::{Chunk, ConversationHalf, MissingBytes, UnfinishedStream};
pub use stream::ConversationStream;

/// A TCP connection as two streams of bytes, from a [`ConversationStream`].
///
/// To read both at the same time, take it apart and give each half to its own task. Dropping both
/// halves unsubscribes the flow: its packets then cost no more than those of any other flow. If one
/// half is dropped, its bytes are discarded, and the other continues.
#[non_exhaustive]
pub struct Conversation<K> {
    /// The flow's key.
    pub key: K,
    /// The flow.
    pub flow: FlowId,
    /// When the first packet of the flow was captured.
    pub time: Timestamp,
    /// The first packet seen was not a SYN: earlier bytes were not captured.
    pub mid_stream: bool,
    /// The bytes from the end that began the connection.
    pub initiator: ConversationHalf,
    /// The bytes from the other end.
    pub responder: ConversationHalf,
}

impl<K> Conversation<K> {
    /// The bytes from this side.
    pub const fn half_mut(&mut self, side: Side) -> &mut ConversationHalf {
        match side {
            Side::Initiator => &mut self.initiator,
            Side::Responder => &mut self.responder,
        }
    }
}

impl<K: fmt::Debug> fmt::Debug for Conversation<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("key", &self.key)
            .field("flow", &self.flow)
            .field("time", &self.time)
            .field("mid_stream", &self.mid_stream)
            .finish_non_exhaustive()
    }
}
