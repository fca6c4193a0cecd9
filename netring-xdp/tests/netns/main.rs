//! What works without a program in the kernel, and so without root: one test program, as linking
//! costs more than compiling.

#[path = "../common/mod.rs"]
mod common;

mod namespaces;
mod sending;
mod transmit_long;
mod transmit_metadata;
mod umem;
