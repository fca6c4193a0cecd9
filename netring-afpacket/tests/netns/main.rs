//! Captures over a wire, in namespaces of the tests' own.

#[path = "../plain/mod.rs"]
mod plain;
#[path = "../sandbox/mod.rs"]
mod sandbox;

mod all;
mod captures;
mod expressions;
mod fanout;
mod immediate;
mod joining;
mod link;
mod packets;
mod pause;
mod ring;
mod sandboxed;
mod setup;
mod wait;
