//! Compiles the examples in the crates' READMEs. They stand here because only this crate depends on
//! all the others.

#[doc = include_str!("../../netring-afpacket/README.md")]
struct Afpacket;

#[doc = include_str!("../../netring-async/README.md")]
struct Async;

#[doc = include_str!("../../netring-flow/README.md")]
struct Flow;

#[doc = include_str!("../../netring-sys/README.md")]
struct Sys;

#[doc = include_str!("../../netring-xdp/README.md")]
struct Xdp;
