//! The facade on a wire with AF_XDP, whose programs need root.

mod auto;
mod auto_advice;
mod auto_filter;
mod auto_observes;
mod auto_room;
mod backends;
#[path = "../contract/mod.rs"]
mod contract;
mod examples;
#[path = "../program/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the other tests that run examples as programs"
)]
mod program;
#[path = "../../../netring-afpacket/tests/sandbox/mod.rs"]
mod sandbox;
mod sandboxed;
