//! Sources around sources, and a writer around a sink: what needs nothing but the contract.
//!
//! Each is a source like the one inside, so that flows, streams and broadcasts work over it, and
//! adapters over adapters. None allocates for a packet, and each packet is in one of the figures of
//! [`Stats`]: `offered = delivered + left_out + dropped + invalid` once a source is drained.
//!
//! - [`Filtered`] lends the packets that a filter chooses;
//! - [`Limit`] ends after a number of packets;
//! - [`Tee`] writes each packet to a [`PacketWriter`](crate::PacketWriter) as well;
//! - [`SinkWriter`] makes such a writer of a [`PacketSink`](crate::PacketSink).

mod filtered;
mod inside;
mod limit;
mod part;
mod sink_writer;
mod tee;

#[cfg(doc)]
use crate::Stats;

pub use filtered::Filtered;
pub use limit::Limit;
pub use part::Part;
pub use sink_writer::SinkWriter;
pub use tee::Tee;
