//! The facade on a wire, in namespaces of the tests' own; no program is loaded.

mod auto;
mod backends;
mod big_tcp;
mod bridge;
mod broadcasts;
mod channel;
mod closed;
#[path = "../events/collect.rs"]
#[allow(dead_code, reason = "shared with the other tests of events")]
mod collect;
#[path = "../contract/mod.rs"]
mod contract;
mod dedup;
#[cfg(feature = "dns")]
mod defragment;
mod events;
mod examples;
#[path = "../export/common.rs"]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod export_records;
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod exporter;
mod files;
mod filter;
mod forms;
mod information;
mod inject;
#[path = "../lengths/mod.rs"]
mod lengths;
mod looping;
#[path = "../loops/mod.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared with the other tests of loops; a test that cannot go on ends there"
)]
mod loops;
mod lossy;
mod merging;
mod metrics;
mod outage;
mod pipes;
#[path = "../program/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the other tests that run examples as programs"
)]
mod program;
mod programs;
mod replay;
mod sessions;
mod statistics;
mod taps;
mod wire_len;
