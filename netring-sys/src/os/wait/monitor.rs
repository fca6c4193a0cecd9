//! The changes of an interface, for threads and tasks that read no packets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::link::LinkWatch;
use super::link_state::LinkState;
use super::stop::StopHandle;
use super::{LINK, STOP};
use crate::syscall::{epoll, epoll_add, poll_readable};
use crate::{Error, Interface};

/// Reports each change of an interface, in order, to a thread or task other than the one that reads
/// its packets. `link_monitor` of a capture makes one.
///
/// ```no_run
/// use netring_sys::{Interface, wait::LinkMonitor};
///
/// let mut monitor = LinkMonitor::new(&Interface::by_name("eth0")?)?;
/// while let Some(state) = monitor.next_change()? {
///     println!("eth0 is {state:?}");
/// }
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// The kernel does not announce a carrier that is lost and restored within a second. Every other
/// change is reported, however late you read it.
#[derive(Debug)]
pub struct LinkMonitor {
    // Dropped first, as in a `Waiter`.
    set: OwnedFd,
    link: Box<LinkWatch>,
    stop: StopHandle,
    /// The state that was reported last, and how often it went down by then.
    seen: LinkState,
    downs: u64,
}

impl LinkMonitor {
    /// Monitors this interface, in the network namespace that it was [looked up
    /// in](Interface::namespace): that of the calling thread, or a given one.
    ///
    /// # Errors
    /// The failed call: a sandbox forbids netlink, or there are too many open files;
    /// [`Error::NotPermitted`] if the namespace cannot be entered.
    pub fn new(interface: &Interface) -> Result<Self, Error> {
        Self::until(interface, StopHandle::new()?)
    }

    /// Ends when `stop` is used.
    pub(super) fn until(interface: &Interface, stop: StopHandle) -> Result<Self, Error> {
        let link = interface.inside(|| LinkWatch::watched(interface))?;
        let mut link = Box::new(link?);
        link.be_quiet();
        let set = epoll()?;
        epoll_add(set.as_fd(), stop.event(), STOP)?;
        if let Some(link) = link.fd() {
            epoll_add(set.as_fd(), link, LINK)?;
        }
        Ok(Self {
            set,
            seen: link.state(),
            link,
            stop,
            downs: 0,
        })
    }

    pub(super) const fn watch(&self) -> &LinkWatch {
        &self.link
    }

    /// Returns a handle that ends the monitor from any thread. If a capture made it, this is the
    /// handle of the capture, which ends both.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The state as of the last change that was returned; at first, the state in which the
    /// interface was found.
    pub const fn state(&self) -> LinkState {
        self.seen
    }

    /// Waits for the next change. Returns `None` after [`Removed`](LinkState::Removed), and once a
    /// stop handle was used.
    ///
    /// # Errors
    /// The call that failed.
    pub fn next_change(&mut self) -> Result<Option<LinkState>, Error> {
        loop {
            let change = self.look()?;
            if change.is_some() || self.is_ended() {
                return Ok(change);
            }
            poll_readable(self.set.as_fd(), None)?;
        }
    }

    /// The next change, if there is one already; never blocks. For programs that wait for the
    /// [descriptor](AsFd) themselves.
    ///
    /// # Errors
    /// The call that failed.
    pub fn look(&mut self) -> Result<Option<LinkState>, Error> {
        if self.is_ended() {
            return Ok(None);
        }
        self.link.read()?;
        // Only the last state and the number of downs are known, but the two alternate.
        let (now, downs) = (self.link.state(), self.link.state_downs());
        let next = match self.seen {
            LinkState::Up if self.downs < downs => LinkState::Down,
            LinkState::Down if self.downs < downs || now == LinkState::Up => LinkState::Up,
            seen if now == LinkState::Removed && seen != now => now,
            _ => return Ok(None),
        };
        if next == LinkState::Down {
            self.downs += 1;
        }
        self.seen = next;
        Ok(Some(next))
    }

    /// Whether there are no more changes: the interface was removed, or a stop handle was used.
    pub fn is_ended(&self) -> bool {
        self.seen == LinkState::Removed || self.stop.is_stopped()
    }
}

/// Readable when [`look`](LinkMonitor::look) may return a change, and once it has ended.
impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}
