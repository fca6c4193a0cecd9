//! Timed wake-ups, for a source whose packets arrive more often than its reader should wake.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{PACE, SOCKET};
use crate::SyscallError;
use crate::syscall::{epoll_add, epoll_mute, timer, timer_clear, timer_start};

/// The timer that wakes the reader, once there is one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    timer: Option<OwnedFd>,
    /// A period has ended since `take_tick` was last called.
    ticked: bool,
}

impl Pace {
    /// The timer woke the reader.
    pub(super) fn take(&mut self) -> Result<(), SyscallError> {
        if let Some(timer) = &self.timer {
            self.ticked |= timer_clear(timer.as_fd())? > 0;
        }
        Ok(())
    }

    /// Starts, changes or ends the pace of `socket` in the set.
    pub(super) fn set(
        &mut self,
        set: BorrowedFd<'_>,
        socket: BorrowedFd<'_>,
        period: Option<Duration>,
    ) -> Result<(), SyscallError> {
        let timer = match self.timer.take() {
            Some(timer) => timer,
            None => {
                let timer = timer()?;
                epoll_add(set, timer.as_fd(), PACE)?;
                timer
            }
        };
        let timer = self.timer.insert(timer);
        timer_start(timer.as_fd(), period.unwrap_or_default())?;
        epoll_mute(set, socket, SOCKET, period.is_some())?;
        self.ticked = false;
        Ok(())
    }

    /// Whether a period has ended since the last call.
    pub(super) const fn take_tick(&mut self) -> bool {
        std::mem::replace(&mut self.ticked, false)
    }
}
