//! The tokio adapter: any packet source as batches, streams, flow streams and broadcasts.
//!
//! | you want | take | it costs |
//! |---|---|---|
//! | packets, in place | [`AsyncSource::next_batch`] | nothing |
//! | packets to keep | [`AsyncSource::packets`], [`packets_with`](AsyncSource::packets_with) | a copy of each |
//! | what happens to flows | [`AsyncSource::flow_stream`] | no allocation for a packet |
//! | the same, for several | [`FlowStream::broadcast`] | one allocation for up to 64 events |
//!
//! A source is anything that implements [`PacketSource`](netring_sys::PacketSource): a capture, a
//! file, a wrapper around them.
//!
//! # What holds for all of them
//!
//! - A wait can be dropped at any moment; no packet and no event is lost by it. Futures are `Send`;
//!   streams are fused and `Unpin`.
//! - No batch is held while a task waits, so a slow task never keeps memory from the kernel.
//! - Every queue has a bound, which stands in the docs of what it belongs to, and what is lost at
//!   the bound is counted.
//! - A link that goes down ends nothing. An interface that is removed is an error, which comes
//!   last.
#![forbid(unsafe_code)]

// Packets.
mod held;
mod packets;
mod source;
mod time_slice;

// Flows.
#[cfg(feature = "flow")]
mod broadcast;
#[cfg(feature = "flow")]
mod flow_stream;
#[cfg(feature = "flow")]
mod flows;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub mod internal;

pub use packets::PacketStream;
pub use source::AsyncSource;

#[cfg(feature = "flow")]
pub use broadcast::{
    BroadcastRecvError, BroadcastStats, EventBatch, FlowBroadcast, FlowSubscriber, SharedEvent,
    Subscriber,
};
#[cfg(feature = "flow")]
pub use flow_stream::FlowStream;
