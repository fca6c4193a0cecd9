//! Captures that need a privilege of the host, or a user without one.

mod ebpf_fanout;
#[path = "../plain/mod.rs"]
mod plain;

mod all;
mod link_types;
mod refused;
mod tun;
