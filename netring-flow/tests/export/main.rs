//! Records of flows: each encoder against a reader of its own.
#![recursion_limit = "256"] // `json!` recurses for each field.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod allocations;
mod conn_log;
mod eve;
mod ipfix;
mod json;
mod recorder;
mod records;
mod tunnels;
