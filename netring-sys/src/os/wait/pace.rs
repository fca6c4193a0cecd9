//! Wake-ups by the clock, for a source whose packets come faster than a reader should be woken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{PACE, SOCKET, Waiter};
use crate::SyscallError;
use crate::syscall::{epoll_add, epoll_mute, timer, timer_clear, timer_start};

/// The clock that wakes the reader, once there is one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    timer: Option<OwnedFd>,
    /// A period is over that nobody has asked about.
    ticked: bool,
}

impl Pace {
    /// The clock woke the reader.
    pub(super) fn take(&mut self) -> Result<(), SyscallError> {
        if let Some(timer) = &self.timer {
            self.ticked |= timer_clear(timer.as_fd())? > 0;
        }
        Ok(())
    }
}

impl Waiter {
    /// Wakes the reader at the end of each period instead of at each packet or block of `socket`;
    /// `None` ends that. Stops, news of the interface and errors of the socket wake it as
    /// before.
    ///
    /// # Errors
    /// There are too many open files, or not enough memory. The reader is woken as before then.
    pub fn set_pace(
        &mut self,
        socket: BorrowedFd<'_>,
        period: Option<Duration>,
    ) -> Result<(), SyscallError> {
        let timer = match self.pace.timer.take() {
            Some(timer) => timer,
            None => {
                let timer = timer()?;
                epoll_add(self.set.as_fd(), timer.as_fd(), PACE)?;
                timer
            }
        };
        let timer = self.pace.timer.insert(timer);
        timer_start(timer.as_fd(), period.unwrap_or_default())?;
        epoll_mute(self.set.as_fd(), socket, SOCKET, period.is_some())?;
        self.pace.ticked = false;
        Ok(())
    }

    /// Whether a period is over since this was last asked, as far as [`take_news`](Self::take_news)
    /// has heard.
    pub const fn take_tick(&mut self) -> bool {
        std::mem::replace(&mut self.pace.ticked, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;
    use crate::syscall::{event, event_signal, poll_readable};

    const PERIOD: Duration = Duration::from_millis(20);

    #[test]
    fn a_paced_reader_is_woken_by_the_clock_and_not_by_the_socket() {
        let socket = event().unwrap();
        let mut waiter = Waiter::new(socket.as_fd(), &Interface::by_name("lo").unwrap()).unwrap();
        let readable = |waiter: &Waiter, time| poll_readable(waiter.as_fd(), Some(time)).unwrap();
        // The answer about the interface comes first.
        assert!(readable(&waiter, PERIOD));
        waiter.take_news(socket.as_fd()).unwrap();
        assert!(!waiter.take_tick());

        waiter.set_pace(socket.as_fd(), Some(PERIOD)).unwrap();
        event_signal(socket.as_fd()).unwrap();
        assert!(!readable(&waiter, Duration::ZERO));
        assert!(readable(&waiter, 50 * PERIOD));
        waiter.take_news(socket.as_fd()).unwrap();
        assert!(waiter.take_tick());
        assert!(!waiter.take_tick());
        assert!(!readable(&waiter, Duration::ZERO));

        // What came meanwhile is seen at once when the pace ends, and the clock is silent.
        waiter.set_pace(socket.as_fd(), None).unwrap();
        assert!(readable(&waiter, Duration::ZERO));
        std::thread::sleep(2 * PERIOD);
        let _ = waiter.take_news(socket.as_fd());
        assert!(!waiter.take_tick());
    }
}
