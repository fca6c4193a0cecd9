//! Captures over a wire, in namespaces of the tests' own.

#[path = "../plain/mod.rs"]
mod plain;
#[path = "../sandbox/mod.rs"]
mod sandbox;

mod all;
mod captures;
mod expressions;
mod fanout;
mod hardware_timestamps;
mod immediate;
mod inject;
mod inject_full;
mod joining;
mod link;
mod live_filter;
mod memberships;
mod memory;
mod namespace;
mod packets;
mod pause;
mod psock_snd;
mod ring;
mod sandboxed;
mod setup;
mod shape;
mod spin;
mod wait;
