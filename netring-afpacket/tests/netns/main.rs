//! Captures over a wire, in namespaces of the tests' own.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod immediate;
mod inject;
mod inject_full;
mod link;
mod packets;
mod pause;
mod psock_snd;
mod ring;
mod sandboxed;
mod setup;
mod wait;
