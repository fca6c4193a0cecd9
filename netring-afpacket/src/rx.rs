//! Receiving: the mapped ring, the packets of its blocks, and the capture that lends them.

mod capture;
mod counters;
mod open;
mod pace;
mod parse;
mod ring;

pub use capture::{Batch, Capture};
#[cfg(any(test, feature = "__internal"))]
pub(crate) use parse::{Context, Packets, Position, Tally};
