//! One descriptor for everything that a live source waits for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::link::LinkWatch;
use super::pace::Pace;
use super::stop::StopHandle;
use super::{LINK, PACE, SOCKET, STOP};
use crate::syscall::{epoll, epoll_add, epoll_ready, poll_readable, take_socket_error};
use crate::{Count, Error, Interface, SyscallError};

/// What a live source waits for, as one descriptor: readable when there may be packets, when it was
/// stopped, and when something happened to its interface.
#[derive(Debug)]
pub struct Waiter {
    // The set goes first: what it holds is still open then, and the kernel has nothing to clean up
    // behind it.
    set: OwnedFd,
    // Boxed: no packet needs it, and a waiter is a part of every source.
    link: Box<LinkWatch>,
    stop: StopHandle,
    pace: Pace,
}

impl Waiter {
    /// Waits for `socket`, which is bound to `interface`. Call it from the namespace of the two.
    ///
    /// A sandbox that forbids netlink does not make it fail: see
    /// [`why_link_unwatched`](Self::why_link_unwatched).
    ///
    /// # Errors
    /// The call that failed: there are too many open files, or not enough memory.
    pub fn new(socket: BorrowedFd<'_>, interface: &Interface) -> Result<Self, Error> {
        let (set, link, stop) = (
            epoll()?,
            Box::new(LinkWatch::new(interface)?),
            StopHandle::new()?,
        );
        epoll_add(set.as_fd(), socket, SOCKET)?;
        epoll_add(set.as_fd(), stop.event(), STOP)?;
        if let Some(link) = link.fd() {
            epoll_add(set.as_fd(), link, LINK)?;
        }
        Ok(Self {
            set,
            link,
            stop,
            pace: Pace::default(),
        })
    }

    /// Why the state of the interface is not watched: a sandbox forbids netlink sockets. `None` if
    /// it is watched.
    ///
    /// The source then reports what its own socket says: AF_PACKET, that the interface was set
    /// down, and its removal if it was up; a lost carrier is not reported, and the removal of
    /// an interface that is down only to a reader that waits with a timeout.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.link.why_unwatched()
    }

    /// Waits for one more socket of the same source: a queue of its own of the same interface.
    ///
    /// # Errors
    /// The call that failed: there is not enough memory.
    pub fn add(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(epoll_add(self.set.as_fd(), socket, SOCKET)?)
    }

    /// A handle that stops the source.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Whether the source was stopped. One load: a source asks before each batch.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Sleeps for so long, whatever comes meanwhile; a stop ends it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn sleep(&self, time: Duration) -> Result<(), SyscallError> {
        poll_readable(self.stop.event(), Some(time)).map(drop)
    }

    /// How often the interface went down since the waiter was made, as the kernel announced it: a
    /// carrier that is lost and back before the kernel looks (up to a second) is not announced.
    /// At least so often, if announcements were lost or are not watched.
    pub fn link_downs(&self) -> Count {
        self.link.downs()
    }

    /// Whether the interface was removed, as far as [`take_news`](Self::take_news) has heard.
    pub const fn is_removed(&self) -> bool {
        self.link.is_removed()
    }

    /// Looks what woke the reader, when there was no packet: takes in the news about the interface,
    /// and takes the error off `socket` that would make every wait return at once. Does not
    /// wait.
    ///
    /// Taking in and [reporting](Self::report) are two steps: between them a source looks for
    /// packets once more, so that those that came before the link went down are lent before the
    /// report, and no report is lost over them.
    ///
    /// # Errors
    /// The call that failed.
    pub fn take_news(&mut self, socket: BorrowedFd<'_>) -> Result<(), SyscallError> {
        let mut errno = 0;
        for token in epoll_ready(self.set.as_fd())? {
            match token {
                // Readable without a packet: a down interface leaves ENETDOWN there. The
                // notification says it better.
                SOCKET => errno = take_socket_error(socket)?,
                LINK => self.link.read()?,
                PACE => self.pace.take()?,
                _ => {}
            }
        }
        self.link.socket_says(socket, errno);
        Ok(())
    }

    /// Reports what happened to the interface, under the name that it has now.
    ///
    /// # Errors
    /// [`Error::LinkDown`] once each time the interface goes down, and once if it was down from the
    /// start; [`Error::InterfaceRemoved`] from then on when it was removed.
    pub fn report(&mut self) -> Result<(), Error> {
        self.link.report()
    }

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
        self.pace.set(self.set.as_fd(), socket, period)
    }

    /// Whether a period is over since this was last asked, as far as [`take_news`](Self::take_news)
    /// has heard.
    pub const fn take_tick(&mut self) -> bool {
        self.pace.take_tick()
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::{event, event_signal};

    #[test]
    fn a_stop_makes_the_waiter_readable_and_stays() {
        let socket = event().unwrap();
        let waiter = Waiter::new(socket.as_fd(), &Interface::by_name("lo").unwrap()).unwrap();
        let handle = waiter.stop_handle();
        assert!(!waiter.is_stopped());
        handle.stop();
        handle.clone().stop();
        assert!(waiter.is_stopped());
        assert!(poll_readable(waiter.as_fd(), Some(Duration::ZERO)).unwrap());
    }

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
