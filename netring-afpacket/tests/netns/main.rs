//! Captures over a wire, in namespaces of the tests' own.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod immediate;
mod link;
mod memberships;
mod memory;
mod namespace;
mod packets;
mod pause;
mod ring;
mod sandboxed;
mod setup;
mod spin;
mod wait;
