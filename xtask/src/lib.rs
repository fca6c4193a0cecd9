//! Support for tests that need a network: separate namespaces, and an independent peer on the wire.
#![forbid(unsafe_code)]

pub mod demo_options;
pub mod load;
pub mod netns;
pub mod wire;
