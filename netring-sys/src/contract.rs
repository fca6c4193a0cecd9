//! The contract between layers: sources of packets, sinks, and their statistics.

pub mod adapters;
mod profile;
mod sink;
mod source;
mod stats;
mod wire;
mod writer;

pub use profile::Profile;
pub use sink::{PacketSink, PacketSlot, SinkStats};
pub use source::{Open, PacketBatch, PacketSource, Readiness};
pub use stats::{Count, Stats};
pub use wire::WireBytes;
pub use writer::PacketWriter;
