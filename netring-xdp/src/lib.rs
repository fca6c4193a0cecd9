//! AF_XDP sockets: UMEM, four rings, and the programs that feed them, generated in Rust and loaded with aya.
#![deny(unsafe_code)]

#[cfg(not(loom))]
pub mod program;

mod ring;
mod sync;
