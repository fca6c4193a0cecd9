//! From segments to streams: what a reassembler makes of the packets on a wire.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod benign;
mod common;
mod connections;
#[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
#[path = "../flows/counting.rs"]
mod counting;
mod foreign;
mod fuzz;
mod harness;
#[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
mod kept;
mod memory;
mod model;
#[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
mod parsers;
mod reports;
mod sessions;
mod steps;
mod streams;
mod subscriptions;
