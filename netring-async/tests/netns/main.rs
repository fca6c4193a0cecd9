//! The adapter over real captures, in namespaces of the tests' own.

mod background;
mod broadcasts;
mod captures;
mod fanout;
mod idle;
mod link;
mod namespaces;
mod records;
mod shutdown;
mod sink;
mod stop;
#[path = "../ticks/mod.rs"]
mod ticks;
