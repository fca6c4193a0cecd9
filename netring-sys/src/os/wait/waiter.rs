//! One descriptor for everything that a live source waits for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::link::LinkWatch;
use super::link_state::LinkState;
use super::monitor::LinkMonitor;
use super::pace::Pace;
use super::stop::StopHandle;
use super::{LINK, PACE, SOCKET, STOP};
use crate::syscall::{
    epoll, epoll_add, epoll_ready, network_namespace, poll_readable, take_socket_error,
};
use crate::{Count, Error, Interface, SyscallError};

/// The descriptor that a live source waits on (an epoll set): readable if there may be packets,
/// after a stop, and if the state of the interface changed.
#[derive(Debug)]
pub struct Waiter {
    // The set is dropped first, while its members are still open, so the kernel has nothing to
    // clean up.
    set: OwnedFd,
    // Boxed because it is not used per packet, and each source contains a waiter. `None` for a
    // source that has no interface of its own.
    link: Option<Box<LinkWatch>>,
    stop: StopHandle,
    pace: Pace,
}

impl Waiter {
    /// Creates a waiter for `socket`, which is bound to `interface`. If the interface was not
    /// looked up in a [given namespace](Interface::namespace), call it in the namespace of the two.
    ///
    /// It does not fail in a sandbox that forbids netlink: see
    /// [`why_link_unwatched`](Self::why_link_unwatched).
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory.
    pub fn new(socket: BorrowedFd<'_>, interface: &Interface) -> Result<Self, Error> {
        let mut waiter = Self::without_interface(socket)?;
        let link = interface.inside(|| LinkWatch::new(interface))?;
        let link = waiter.link.insert(Box::new(link?));
        if let Some(link) = link.fd() {
            epoll_add(waiter.set.as_fd(), link, LINK)?;
        }
        Ok(waiter)
    }

    /// Creates a waiter for `socket`, which is bound to all interfaces: none is watched, so nothing
    /// is [reported](Self::report), and the state is [`LinkState::Unknown`].
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory.
    pub fn without_interface(socket: BorrowedFd<'_>) -> Result<Self, Error> {
        let (set, stop) = (epoll()?, StopHandle::new()?);
        epoll_add(set.as_fd(), socket, SOCKET)?;
        epoll_add(set.as_fd(), stop.event(), STOP)?;
        Ok(Self {
            set,
            link: None,
            stop,
            pace: Pace::default(),
        })
    }

    /// The reason why the state of the interface is not watched: a sandbox forbids netlink sockets.
    /// `None` if it is watched.
    ///
    /// The source then reports what its own socket reports. For AF_PACKET that is when the
    /// interface is set down, and its removal if it was up. A lost carrier is not reported, and the
    /// removal of an interface that is down wakes no reader: a source must check for it.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.link.as_ref()?.why_unwatched()
    }

    /// The current state of the interface. Its changes are [reported](Self::report) nevertheless.
    ///
    /// # Errors
    /// The failed call.
    pub fn link_state(&mut self) -> Result<LinkState, SyscallError> {
        let Some(link) = &mut self.link else {
            return Ok(LinkState::Unknown);
        };
        link.read()?;
        Ok(link.state())
    }

    /// Returns a monitor of `interface`, which is the one of the waiter, for another thread or
    /// task. A stop of the source ends it.
    ///
    /// # Errors
    /// The errors of [`LinkMonitor::new`]; [`Error::Config`] if the interface was not looked up in
    /// a given namespace and the calling thread is in another one than it.
    pub fn link_monitor(&self, interface: &Interface) -> Result<LinkMonitor, Error> {
        let monitor = LinkMonitor::until(interface, self.stop.clone())?;
        let namespace = |watch: Option<&LinkWatch>| {
            let cookie = watch.and_then(LinkWatch::fd).map(network_namespace);
            Ok::<_, SyscallError>(cookie.transpose()?.flatten())
        };
        match (
            namespace(self.link.as_deref())?,
            namespace(Some(monitor.watch()))?,
        ) {
            (Some(ours), Some(there)) if ours != there => Err(Error::Config {
                setting: "network namespace",
                why: format!(
                    "{} is in another one than this thread: call this from a thread in that \
                     namespace, or open the capture with `namespace`",
                    interface.name
                ),
            }),
            _ => Ok(monitor),
        }
    }

    /// Adds another socket of the same source: that of another queue of the interface.
    ///
    /// # Errors
    /// The failed call: there is not enough memory.
    pub fn add(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(epoll_add(self.set.as_fd(), socket, SOCKET)?)
    }

    /// Returns a handle that stops the source.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Makes `stop`, the handle of another source, also stop this one, so that one call stops both.
    /// Handles returned earlier no longer stop anything. Only the other source emits events for
    /// changes of the interface.
    ///
    /// # Errors
    /// The failed call: there is not enough memory.
    pub fn share_stop(&mut self, stop: StopHandle) -> Result<(), Error> {
        epoll_add(self.set.as_fd(), stop.event(), STOP)?;
        // Closing the event of the handle that was there takes it out of the set.
        self.stop = stop;
        if let Some(link) = &mut self.link {
            link.be_quiet();
        }
        Ok(())
    }

    /// Whether the source was stopped. It costs one load, so a source can check it before each
    /// batch.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Sleeps for this long, even if packets arrive; only a stop ends it early.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn sleep(&self, time: Duration) -> Result<(), SyscallError> {
        poll_readable(self.stop.event(), Some(time)).map(drop)
    }

    /// How often the interface went down since the waiter was created, as announced by the kernel,
    /// which does not announce a carrier that is lost and restored before it looks (within a
    /// second). A lower bound if announcements were lost or are not watched.
    pub fn link_downs(&self) -> Count {
        let downs = self.link.as_ref().map(|link| link.downs());
        downs.unwrap_or(Count::Unavailable)
    }

    /// Whether the interface was removed, as of the last [`take_news`](Self::take_news).
    pub fn is_removed(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_removed())
    }

    /// Finds out what woke the reader if there was no packet: reads the news about the interface,
    /// and clears the pending error of `socket`, which would make every wait return at once. Does
    /// not block.
    ///
    /// Reading news and [reporting](Self::report) them are two steps. Between them a source looks
    /// for packets once more, so packets from before the link went down are lent before the report,
    /// and the report is not lost.
    ///
    /// # Errors
    /// The failed call.
    pub fn take_news(&mut self, socket: BorrowedFd<'_>) -> Result<(), SyscallError> {
        let mut errno = 0;
        for token in epoll_ready(self.set.as_fd())? {
            match token {
                // Readable without a packet: the socket of a down interface has the error ENETDOWN.
                // The notification is more precise.
                SOCKET => errno = take_socket_error(socket)?,
                LINK => {
                    if let Some(link) = &mut self.link {
                        link.read()?;
                    }
                }
                PACE => self.pace.take()?,
                _ => {}
            }
        }
        if let Some(link) = &mut self.link {
            link.observe_socket(socket, errno);
        }
        Ok(())
    }

    /// Reports changes of the interface, under its current name.
    ///
    /// # Errors
    /// [`Error::LinkDown`] each time the interface goes down, and once if it was down from the
    /// start; [`Error::InterfaceRemoved`] at each call after its removal.
    pub fn report(&mut self) -> Result<(), Error> {
        self.link.as_mut().map_or(Ok(()), |link| link.report())
    }

    /// Wakes the reader at the end of each period instead of at each packet or block of `socket`;
    /// `None` ends that. Stops, news about the interface and errors of the socket still wake it at
    /// once.
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory. The reader is then
    /// woken as before.
    pub fn set_pace(
        &mut self,
        socket: BorrowedFd<'_>,
        period: Option<Duration>,
    ) -> Result<(), SyscallError> {
        self.pace.set(self.set.as_fd(), socket, period)
    }

    /// Whether a period has ended since the last call, as of the last
    /// [`take_news`](Self::take_news).
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
        // The answer about the interface arrives first.
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

        // Packets that arrived meanwhile are seen as soon as the pace ends, and the timer is
        // silent.
        waiter.set_pace(socket.as_fd(), None).unwrap();
        assert!(readable(&waiter, Duration::ZERO));
        std::thread::sleep(2 * PERIOD);
        let _ = waiter.take_news(socket.as_fd());
        assert!(!waiter.take_tick());
    }
}
