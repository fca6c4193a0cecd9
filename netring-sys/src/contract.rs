//! The contract between layers: where packets come from, where they go, and what became of them.

mod sink;
mod source;
mod stats;

pub use sink::{PacketSink, PacketSlot, SinkStats};
pub use source::{Open, PacketBatch, PacketSource, Readiness};
pub use stats::{Count, Stats};
