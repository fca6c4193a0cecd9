//! The adapter over real captures, in namespaces of the tests' own.

mod background;
mod broadcasts;
mod captures;
mod fanout;
mod idle;
#[path = "../lengths/mod.rs"]
mod lengths;
mod link;
mod namespaces;
mod records;
mod shutdown;
mod sink;
mod stop;
#[path = "../ticks/mod.rs"]
mod ticks;
