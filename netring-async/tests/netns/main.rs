//! The adapter over real captures, in namespaces of the tests' own.

mod background;
mod captures;
#[path = "../ticks/mod.rs"]
mod ticks;
