//! What the tests that need a network stand on: namespaces of their own, and an independent partner
//! on the wire.
#![forbid(unsafe_code)]

pub mod demo_options;
pub mod load;
pub mod netns;
pub mod wire;
