//! Captures that need a privilege of the host, or a user without one.

mod ebpf_fanout;
mod refused;
mod tun;
