//! The commands that need a network and may load XDP programs.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be written is a failed test"
)]

mod link_types;
mod live;
