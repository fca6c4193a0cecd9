//! The tokio adapter: any packet source as batches, streams, flow streams and broadcasts, and any
//! packet sink.
//!
//! | you want | use | cost |
//! |---|---|---|
//! | packets, in place | [`AsyncSource::next_batch`] | nothing |
//! | packets to keep | [`AsyncSource::packets`], [`packets_with`](AsyncSource::packets_with) | one copy per packet |
//! | to send | [`AsyncSink`] | nothing |
//! | packets for several readers | [`AsyncSource::broadcast`] | one copy per packet; no allocation while subscribers keep up |
//! | flow events | [`AsyncSource::flow_stream`] | no allocation per packet |
//! | flow events, with a state for each flow | [`FlowStream::with_state`] | a hash table look-up per event |
//! | flow events for several readers | [`FlowStream::broadcast`] | one allocation per batch of up to 64 events |
//! | flow events of several sources in parallel | [`FlowWorkers`] | the same |
//! | a complete record of each flow, for conn.log, EVE or IPFIX | [`AsyncSource::record_stream`] | no allocation per packet |
//! | records for several readers, or of several sources | [`RecordStream::broadcast`], [`RecordWorkers`] | one allocation per batch of up to 64 records |
//! | messages of a protocol | [`AsyncSource::session_stream`], [`datagram_stream`](AsyncSource::datagram_stream) | no allocation per packet, beside the parser's |
//! | messages for several readers | [`SessionStream::broadcast`] | one allocation per batch of up to 64 events |
//! | the bytes that both ends of a connection send | [`AsyncSource::conversations`] | one copy |
//! | items of any stream for several readers | [`Broadcast`] | the same |
//!
//! ```no_run
//! use futures::StreamExt;
//! use netring_async::AsyncSource;
//! # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
//!
//! let mut packets = AsyncSource::new(capture)?.packets();
//! while let Some(packet) = packets.next().await {
//!     println!("{} bytes", packet?.data().len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A source is anything that implements [`PacketSource`](netring_sys::PacketSource): a capture, a
//! file, or an adapter around one.
//!
//! # Common properties
//!
//! - A wait can be cancelled at any moment without losing a packet or an event. Futures are `Send`;
//!   streams are fused and `Unpin`.
//! - No batch is held while a task waits, so a slow task never keeps memory from the kernel.
//! - Every queue has a documented bound, and what is lost at the bound is counted.
//! - A link that goes down ends nothing. The removal of an interface is an error, which comes last.
//!   [`LinkStream`] yields the changes of a link to another task.
//!
//! # Features
//!
//! `flow`, on by default: flow streams, and broadcasts of flows, packets and other items.
#![forbid(unsafe_code)]

// Packets.
mod held;
mod link;
mod packets;
mod sink;
mod source;
mod time_slice;
mod work;

// Flows.
#[cfg(feature = "flow")]
mod broadcast;
#[cfg(feature = "flow")]
mod conversation;
#[cfg(feature = "flow")]
mod drain;
#[cfg(feature = "flow")]
mod flow_state;
#[cfg(feature = "flow")]
mod flow_stream;
#[cfg(feature = "flow")]
mod flows;
#[cfg(feature = "flow")]
mod gathered;
#[cfg(feature = "flow")]
mod record_stream;
#[cfg(feature = "flow")]
mod session_stream;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub mod internal;

pub use link::LinkStream;
pub use packets::PacketStream;
pub use sink::AsyncSink;
pub use source::{AsyncSource, OpenAsync};
pub use work::work;

#[cfg(feature = "flow")]
pub use broadcast::{
    Broadcast, BroadcastRecvError, BroadcastStats, EventBatch, FlowBroadcast, FlowSubscriber,
    FlowWorkers, PacketBroadcast, PacketSubscriber, Published, RecordBroadcast, RecordWorkers,
    SessionBroadcast, SessionBroadcastStats, SharedEvent, SharedPacket, SharedPackets, Subscriber,
    SubscriberStats, WorkerEvent, Workers,
};
#[cfg(feature = "flow")]
pub use conversation::{
    Chunk, Conversation, ConversationConfig, ConversationHalf, ConversationStats,
    ConversationStream, MissingBytes, UnfinishedStream,
};
#[cfg(feature = "flow")]
pub use flow_state::FlowStateStream;
#[cfg(feature = "flow")]
pub use flow_stream::FlowStream;
#[cfg(feature = "flow")]
pub use record_stream::RecordStream;
#[cfg(feature = "flow")]
pub use session_stream::{DatagramStream, SessionStream};
