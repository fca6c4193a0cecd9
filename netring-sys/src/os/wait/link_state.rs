//! Whether an interface can carry packets.

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// It is up and has a carrier.
    Up,
    /// It is down: the administrator set it down, or it has no carrier.
    Down,
    /// It was removed from its network namespace. This is final.
    Removed,
    /// Nothing reports it: a sandbox forbids netlink, or the source receives from all interfaces.
    Unknown,
}
