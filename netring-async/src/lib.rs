//! The tokio adapter: any packet source as batches, streams, flow streams and broadcasts.
#![forbid(unsafe_code)]

mod packets;
mod source;
mod turn;

pub use packets::PacketStream;
pub use source::AsyncSource;
