//! One source, many subscribers.
//!
//! All broadcasts are the same mechanism: a task takes items from a producer (flows of a source,
//! its packets, any stream) and publishes them in batches through a [`channel`], from which each
//! subscriber takes them through a [`feed`].

mod batch;
pub(crate) mod channel;
mod control;
mod error;
mod feed;
mod figures;
mod flows;
mod handle;
pub(crate) mod message;
mod messages;
mod packet_subscriber;
mod packets;
mod produce;
mod records;
mod sessions;
mod shared;
mod stats;
mod subscriber;
mod task;
mod workers;

pub use batch::{EventBatch, SharedEvent};
pub use error::BroadcastRecvError;
pub use flows::{BroadcastStats, FlowBroadcast, FlowSubscriber};
pub use messages::Broadcast;
pub use packet_subscriber::{PacketSubscriber, SharedPacket, SharedPackets};
pub use packets::PacketBroadcast;
pub use records::RecordBroadcast;
pub use sessions::{SessionBroadcast, SessionBroadcastStats};
pub use stats::{Published, SubscriberStats};
pub use subscriber::Subscriber;
pub use workers::{FlowWorkers, RecordWorkers, WorkerEvent, Workers};
