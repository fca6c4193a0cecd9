//! The two ends of the wire.

/// The end that is captured.
pub(crate) const NEAR: &str = "net0";
/// The other end.
pub(crate) const FAR: &str = "net1";
/// The ends of a second wire, to which frames are bridged.
pub(crate) const SECOND: &str = "net2";
/// Where they arrive.
pub(crate) const SECOND_FAR: &str = "net3";
