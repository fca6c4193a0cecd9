//! Sources around sources, and a writer around a sink, built on the contract alone.
//!
//! Each is a source like the one inside, so flows, streams, broadcasts and other adapters work on
//! top of it. None allocates per packet, and each packet counts in exactly one figure of [`Stats`]:
//! `offered = delivered + left_out + dropped + invalid` once a source is drained.
//!
//! - [`Filtered`] lends the packets that match a filter;
//! - [`Limit`] ends after a number of packets;
//! - [`Tee`] writes each packet to a [`PacketWriter`](crate::PacketWriter) as well;
//! - [`AnySource`] is a source of any type, chosen while the program runs;
//! - [`Merge`](crate::wait::Merge) makes one source of several;
//! - [`SinkWriter`] turns a [`PacketSink`](crate::PacketSink) into such a writer.
//!
//! ```
//! use netring_sys::adapters::{Filtered, Limit};
//! use netring_sys::{Error, Filter, PacketSource};
//!
//! /// The first thousand packets that a filter selects, from any source.
//! fn sample<S: PacketSource>(source: S, filter: Filter) -> Result<impl PacketSource, Error> {
//!     Ok(Limit::new(Filtered::new(source, filter)?, 1000))
//! }
//! ```

mod any;
mod filtered;
mod inside;
mod limit;
mod part;
mod sink_writer;
mod tee;

#[cfg(doc)]
use crate::Stats;

pub use any::{AnyBatch, AnySource};
pub use filtered::Filtered;
pub use limit::Limit;
pub use part::Part;
pub use sink_writer::SinkWriter;
pub use tee::Tee;
