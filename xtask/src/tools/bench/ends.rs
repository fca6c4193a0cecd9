//! The two ends of the wire.

/// The end that is captured.
pub(crate) const NEAR: &str = "net0";
/// The other end.
pub(crate) const FAR: &str = "net1";
