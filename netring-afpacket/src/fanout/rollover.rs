//! How often packets went to another worker because theirs was full.

use std::iter::Sum;
use std::ops::Add;

use netring_sys::kernel::packet::tpacket_rollover_stats;

/// How often packets went to another worker because the ring of theirs was full. Exact, and reading
/// resets nothing.
#[doc(alias = "PACKET_ROLLOVER_STATS")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolloverStats {
    /// Packets that went to another worker.
    #[doc(alias = "tp_all")]
    pub moved: u64,
    /// Those among them that went before the ring was quite full, because they belong to a flow
    /// that had most of the packets before.
    #[doc(alias = "tp_huge")]
    pub huge: u64,
    /// Packets that stayed because no worker had room. They are dropped, and counted as such, if
    /// the ring of their own worker is full.
    #[doc(alias = "tp_failed")]
    pub failed: u64,
}

impl From<tpacket_rollover_stats> for RolloverStats {
    fn from(kernel: tpacket_rollover_stats) -> Self {
        Self {
            moved: kernel.tp_all,
            huge: kernel.tp_huge,
            failed: kernel.tp_failed,
        }
    }
}

impl Add for RolloverStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            moved: self.moved + other.moved,
            huge: self.huge + other.huge,
            failed: self.failed + other.failed,
        }
    }
}

impl Sum for RolloverStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::default(), Add::add)
    }
}
