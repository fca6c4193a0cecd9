//! Captures that need a privilege of the host, or a user without one.

mod ebpf_fanout;
mod ebpf_filter;
mod refused;
mod tun;
