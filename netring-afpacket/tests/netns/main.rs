//! Captures over a wire, in namespaces of the tests' own.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod fanout;
mod hardware_timestamps;
mod immediate;
mod link;
mod live_filter;
mod packets;
mod pause;
mod ring;
mod sandboxed;
mod setup;
mod shape;
mod wait;
