//! The fate of the packets that a program saw.

use std::ops::AddAssign;

/// The counters of the generated program. Each packet that it saw is in exactly one of these.
///
/// A redirected packet is on its way to the socket; those that the socket lost (receive ring full,
/// fill ring empty) are in the socket's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Given to the socket of their queue.
    pub redirected: u64,
    /// Their queue had no socket: passed to the kernel or dropped, as requested.
    pub missed: u64,
    /// Rejected by the filter, and passed to the kernel. Always 0 without a filter.
    pub passed: u64,
    /// Rejected by the filter, and dropped. Always 0 without a filter.
    pub dropped: u64,
}

impl Counters {
    /// All packets that the program saw: the sum of the others.
    pub const fn offered(&self) -> u64 {
        self.redirected + self.missed + self.passed + self.dropped
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.redirected += other.redirected;
        self.missed += other.missed;
        self.passed += other.passed;
        self.dropped += other.dropped;
    }
}

/// The counters of a queue as they are in the program's map.
pub(super) type Raw = [u64; COUNTERS as usize];
pub(super) const COUNTERS: u32 = 4;

/// Offsets into [`Raw`], in bytes.
pub(super) struct Offsets {
    pub(super) redirected: i32,
    pub(super) missed: i32,
    pub(super) passed: i32,
    pub(super) dropped: i32,
}

pub(super) const COUNTER: Offsets = Offsets {
    redirected: 0,
    missed: 8,
    passed: 16,
    dropped: 24,
};

impl From<Raw> for Counters {
    fn from([redirected, missed, passed, dropped]: Raw) -> Self {
        Self {
            redirected,
            missed,
            passed,
            dropped,
        }
    }
}
