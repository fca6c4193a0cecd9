//! Receiving: the mapped ring, the packets of its blocks, and the capture that lends them.

mod batch;
mod capture;
mod counters;
pub(crate) mod geometry;
mod live_filter;
mod open;
mod pace;
mod parse;
mod prepare;
mod reader;
mod ring;

pub use batch::Batch;
pub use capture::Capture;
pub use geometry::RingGeometry;
#[cfg(any(test, feature = "__internal"))]
pub(crate) use parse::{Context, Counts, Packets, Position};
pub(crate) use prepare::TAG;
#[cfg(any(test, feature = "__internal"))]
pub(crate) use prepare::prepare;
