//! The facade on a wire with AF_XDP, whose programs need root.

mod auto;
mod auto_advice;
mod auto_filter;
mod auto_namespace;
mod auto_observes;
mod auto_room;
mod backends;
mod bridge;
#[path = "../events/collect.rs"]
#[allow(dead_code, reason = "shared with the other tests of events")]
mod collect;
#[path = "../contract/mod.rs"]
mod contract;
mod events;
mod examples;
mod flow_workers;
#[path = "../netns/bridge/hosts.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared with the tests of bridges over packet sockets; a test that cannot go on ends there"
)]
mod hosts;
mod looping;
#[path = "../loops/mod.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared with the other tests of loops; a test that cannot go on ends there"
)]
mod loops;
#[path = "../program/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the other tests that run examples as programs"
)]
mod program;
#[path = "../../../netring-afpacket/tests/sandbox/mod.rs"]
mod sandbox;
mod sandboxed;
mod suggest;
mod verdicts;
