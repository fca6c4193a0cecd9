//! Names and layouts of the kernel's headers; `tests/layout.rs` compares them with libc.

pub mod bpf;
pub mod filter;
pub mod packet;
pub mod timestamping;
pub mod xdp;
