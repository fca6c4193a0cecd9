//! Transmitting: the mapped ring, the slots that frames are written into, and the injector.

mod builder;
mod flush;
mod geometry;
mod injector;
mod limits;
mod open;
mod request;
mod ring;
mod sink;
mod slot;
mod stamps;
mod stats;

pub use builder::{CopyMode, InjectorBuilder};
pub use injector::Injector;
pub use slot::Slot;
pub use stats::RejectStats;
