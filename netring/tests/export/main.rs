//! Records of flows, from capture files to the formats of other programs.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;
mod conn_log;
mod example;
mod ipfix;
#[path = "../program/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the other tests that run examples as programs"
)]
mod program;
