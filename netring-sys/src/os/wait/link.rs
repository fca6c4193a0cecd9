//! What happens to an interface while a source waits for its packets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::os::interface::link_is_up;
use crate::os::netlink::{self, BUFFER, Message, RTMGRP_LINK};
use crate::syscall::{netlink_receive, netlink_send, netlink_socket, packet_socket_address};
use crate::{Count, Error, Interface, SyscallError};

/// Watches one interface by the kernel's notifications. In a sandbox that forbids them, what the
/// packet socket itself says is all there is: that the administrator set the interface down, and
/// nothing of its carrier.
#[derive(Debug)]
pub(super) struct LinkWatch {
    notifications: Result<OwnedFd, SyscallError>,
    interface: u32,
    /// Pages of it that no notification reached are never there.
    buffer: Box<[u8]>,
    state: State,
}

/// What is known of the interface, and what of it was reported.
#[derive(Debug, Default)]
struct State {
    /// Its name, as last heard.
    name: String,
    up: bool,
    removed: bool,
    /// A report to make: that it is down, and whether it was up before.
    report: Option<Down>,
    downs: u64,
    /// Notifications were lost.
    missed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Down {
    was_up: bool,
}

impl LinkWatch {
    pub(super) fn new(interface: &Interface) -> Result<Self, SyscallError> {
        let notifications = netlink_socket(RTMGRP_LINK).and_then(|socket| {
            // The state now is an answer on the same socket as every change after it: nothing falls
            // between the two.
            netlink_send(socket.as_fd(), &netlink::get_link(interface.index, ""))?;
            Ok(socket)
        });
        if let Err(error) = notifications {
            return match netlink::is_forbidden(&error) {
                true => Ok(Self::over(Err(error), interface)),
                false => Err(error),
            };
        }
        Ok(Self::over(notifications, interface))
    }

    fn over(notifications: Result<OwnedFd, SyscallError>, interface: &Interface) -> Self {
        Self {
            notifications,
            interface: interface.index,
            buffer: vec![0; BUFFER].into(),
            state: State::opened(&interface.name, interface.is_up()),
        }
    }

    /// What is readable when there is news; `None` in a sandbox that forbids it.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.notifications.as_ref().ok().map(AsFd::as_fd)
    }

    pub(super) fn why_unwatched(&self) -> Option<&SyscallError> {
        self.notifications.as_ref().err()
    }

    pub(super) fn downs(&self) -> Count {
        match self.state.missed || self.notifications.is_err() {
            true => Count::AtLeast(self.state.downs),
            false => Count::Exact(self.state.downs),
        }
    }

    pub(super) const fn is_removed(&self) -> bool {
        self.state.removed
    }

    /// Takes in the notifications that are there.
    pub(super) fn read(&mut self) -> Result<(), SyscallError> {
        let Ok(socket) = &self.notifications else {
            return Ok(());
        };
        let mut lost = false;
        loop {
            match netlink_receive(socket.as_fd(), &mut self.buffer) {
                // Notifications were lost: ask how it stands now. Not before the last of those that
                // are left was taken, or there would be no room for the answer
                // either.
                Ok(None) if lost => {
                    netlink_send(socket.as_fd(), &netlink::get_link(self.interface, ""))?;
                    lost = false;
                }
                Ok(None) => return Ok(()),
                Ok(Some(len)) => {
                    for message in netlink::messages(&self.buffer[..len]) {
                        self.state.take(self.interface, &message);
                    }
                }
                Err(error) if error.is(libc::ENOBUFS) => {
                    lost = true;
                    self.state.missed = true;
                }
                // It would be too long the next time as well.
                Err(error) if error.is(libc::EMSGSIZE) => self.state.missed = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what the packet socket says, if there are no notifications: `errno` is the error
    /// that waited on it.
    pub(super) fn socket_says(&mut self, socket: BorrowedFd<'_>, errno: i32) {
        if self.notifications.is_ok() {
            return;
        }
        let bound_to = packet_socket_address(socket).map(|address| address.sll_ifindex);
        self.state.socket_says(bound_to.ok(), errno);
    }

    /// What there is to report.
    pub(super) fn report(&mut self) -> Result<(), Error> {
        let interface = || self.state.name.clone();
        if self.state.removed {
            return Err(Error::InterfaceRemoved {
                interface: interface(),
            });
        }
        match self.state.report {
            Some(Down { was_up }) => {
                let interface = interface();
                self.state.report = None;
                Err(Error::LinkDown { interface, was_up })
            }
            None => Ok(()),
        }
    }
}

impl State {
    fn opened(name: &str, up: bool) -> Self {
        Self {
            name: name.to_owned(),
            up,
            report: (!up).then_some(Down { was_up: false }),
            ..Self::default()
        }
    }

    fn take(&mut self, interface: u32, message: &Message<'_>) {
        match message {
            Message::Link(link) if link.index == interface => {
                self.is_named(link.name);
                self.is_up(link_is_up(link.flags));
            }
            Message::Removed(link) if link.index == interface => {
                self.is_named(link.name);
                self.removed = true;
            }
            // The only request ever made on this socket is for this interface.
            Message::Refused {
                errno: libc::ENODEV,
            } => self.removed = true,
            _ => {}
        }
    }

    fn is_up(&mut self, up: bool) {
        if self.up && !up {
            self.downs += 1;
            self.report = Some(Down { was_up: true });
        }
        // It was down when the source was opened, and that is over before anybody asked.
        if up && self.report == Some(Down { was_up: false }) {
            self.report = None;
        }
        self.up = up;
    }

    fn is_named(&mut self, name: &[u8]) {
        if !name.is_empty() && name != self.name.as_bytes() {
            self.name = String::from_utf8_lossy(name).into_owned();
        }
    }

    /// A packet socket gets an error each time that its interface is set down, and is bound to −1
    /// once it is removed. One of AF_XDP has no address, and gets its only error at the
    /// removal.
    fn socket_says(&mut self, bound_to: Option<i32>, errno: i32) {
        let down = errno == libc::ENETDOWN;
        match bound_to {
            Some(-1) => self.removed = true,
            None => self.removed |= down,
            Some(_) if down => {
                self.is_up(false);
                // Nothing tells when it comes up: the next error is the next time.
                self.up = true;
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::netlink::Link;

    const UP: u32 = 1 | 1 << 16;

    fn link(index: u32, flags: u32) -> Message<'static> {
        Message::Link(Link {
            index,
            flags,
            ..Link::default()
        })
    }

    const fn down(was_up: bool) -> Option<Down> {
        Some(Down { was_up })
    }

    #[test]
    fn each_way_down_is_one_report() {
        let mut state = State::opened("a", true);
        for flags in [UP, UP, 0, 0, 1, UP, 1, UP] {
            state.take(7, &link(7, flags));
            state.take(7, &link(8, 0));
        }
        assert_eq!((state.downs, state.report, state.up), (2, down(true), true));
    }

    #[test]
    fn an_interface_that_was_down_from_the_start_did_not_go_down() {
        let mut state = State::opened("a", false);
        assert_eq!((state.downs, state.report), (0, down(false)));
        state.take(7, &link(7, 1));
        assert_eq!((state.downs, state.report), (0, down(false)));
        state.take(7, &link(7, UP));
        assert_eq!((state.downs, state.report), (0, None));
        state.take(7, &link(7, 0));
        assert_eq!((state.downs, state.report), (1, down(true)));
    }

    #[test]
    fn only_our_own_interface_can_be_removed_or_renamed() {
        let removed = |index, name: &'static str| {
            Message::Removed(Link {
                index,
                name: name.as_bytes(),
                ..Link::default()
            })
        };
        let mut state = State::opened("a", true);
        state.take(7, &removed(8, "b"));
        assert_eq!((state.removed, state.name.as_str()), (false, "a"));
        state.take(7, &removed(7, "c"));
        assert_eq!((state.removed, state.name.as_str()), (true, "c"));
    }

    #[test]
    fn without_notifications_the_socket_tells_what_it_can() {
        let mut state = State::opened("a", false);
        // What the bind of an interface that is down leaves on the socket.
        state.socket_says(Some(7), libc::ENETDOWN);
        assert_eq!((state.downs, state.report), (0, down(false)));
        for downs in [1, 2] {
            state.report = None;
            state.socket_says(Some(7), 0);
            assert_eq!(state.report, None);
            state.socket_says(Some(7), libc::ENETDOWN);
            assert_eq!((state.downs, state.report), (downs, down(true)));
        }
        assert!(!state.removed);
        state.socket_says(Some(-1), 0);
        assert!(state.removed);
        let mut xdp = State::opened("a", true);
        xdp.socket_says(None, 0);
        assert!(!xdp.removed);
        xdp.socket_says(None, libc::ENETDOWN);
        assert!(xdp.removed);
    }
}
