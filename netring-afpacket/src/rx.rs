//! Receiving: the mapped ring, the packets of its blocks, and the capture that lends them.

mod batch;
mod capture;
mod counters;
pub(crate) mod geometry;
mod live_filter;
mod log;
mod loss;
mod open;
mod pace;
mod parse;
mod prepare;
mod reader;
mod ring;
mod spin;

pub use batch::Batch;
pub use capture::Capture;
pub(crate) use counters::{Counters, KernelCounts};
pub use geometry::RingGeometry;
pub(crate) use open::{Gate, ignore_outgoing, lift, prepare};
pub(crate) use parse::Counts;
#[cfg(any(test, feature = "__internal"))]
pub(crate) use parse::{Context, Packets, Position};
pub(crate) use prepare::TAG;
#[cfg(any(test, feature = "__internal"))]
pub(crate) use prepare::prepare as prepare_block;
