//! How often packets went to another worker because their own was full.

use std::iter::Sum;
use std::ops::Add;
use std::os::fd::BorrowedFd;

use netring_sys::kernel::packet::tpacket_rollover_stats;
use netring_sys::syscall::packet_rollover_statistics;
use netring_sys::{SyscallError, errno};

/// How often packets went to another worker because the ring of theirs was full. Exact, and reading
/// resets nothing.
#[doc(alias = "PACKET_ROLLOVER_STATS")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolloverStats {
    /// Packets that went to another worker. With [`FanoutMode::Rollover`](super::FanoutMode), all
    /// packets for which any worker had room, including the first.
    #[doc(alias = "tp_all")]
    pub moved: u64,
    /// Those among them that moved before the ring was entirely full, because their flow had most
    /// of the recent packets.
    #[doc(alias = "tp_huge")]
    pub huge: u64,
    /// Packets that stayed because no worker had room: more than a quarter of its ring. They are
    /// dropped, and counted as such, once the ring of their own worker is full.
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

/// The counters of a socket; `None` unless it is in a group with rollover.
pub(super) fn read(socket: BorrowedFd<'_>) -> Result<Option<RolloverStats>, SyscallError> {
    match packet_rollover_statistics(socket) {
        Err(error) if error.is(errno::EINVAL) => Ok(None),
        other => Ok(Some(other?.into())),
    }
}
