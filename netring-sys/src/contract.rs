//! The contract between layers: sources of packets, sinks, and their statistics.

pub mod adapters;
mod count;
mod profile;
mod sent_timestamps;
mod sink;
mod sink_stats;
mod source;
mod stats;
mod timed;
mod wire;
mod writer;

pub use count::Count;
pub use profile::Profile;
pub use sent_timestamps::{SentTimestamps, TimestampStats, TransmitTimestamps};
pub use sink::{OpenSink, PacketSink, PacketSlot};
pub use sink_stats::SinkStats;
pub use source::{Build, Open, PacketBatch, PacketSource, Readiness};
pub use stats::Stats;
pub use timed::Timed;
pub use wire::WireBytes;
pub use writer::PacketWriter;
