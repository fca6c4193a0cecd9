//! Everything that needs no program in the kernel, and so no root. One test program, because
//! linking costs more than compiling.

#[path = "../common/mod.rs"]
mod common;

mod namespaces;
mod sending;
mod transmit_long;
mod transmit_metadata;
mod umem;
