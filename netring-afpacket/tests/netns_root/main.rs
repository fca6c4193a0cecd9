//! Captures that need a privilege in the initial user namespace, or a user without one.

mod ebpf_fanout;
#[path = "../plain/mod.rs"]
mod plain;

mod all;
mod ebpf_filter;
mod link_types;
mod namespace;
mod offloads;
mod refused;
mod tun;
