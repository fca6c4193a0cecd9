//! Changes of an interface while a source waits for its packets.

mod state;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::link_state::LinkState;
use crate::os::netlink::{self, BUFFER, RTMGRP_LINK};
use crate::syscall::{netlink_receive, netlink_send, netlink_socket, packet_socket_address};
use crate::{Count, Error, Interface, SyscallError};
use state::{Down, State};

/// Watches one interface by the kernel's notifications. In a sandbox that forbids them, only the
/// packet socket itself reports changes: that the administrator set the interface down, but nothing
/// about its carrier.
#[derive(Debug)]
pub(super) struct LinkWatch {
    notifications: Result<OwnedFd, SyscallError>,
    interface: u32,
    /// Its pages are allocated only as far as notifications have filled them.
    buffer: Box<[u8]>,
    state: State,
}

impl LinkWatch {
    /// Watches as far as a sandbox allows.
    pub(super) fn new(interface: &Interface) -> Result<Self, SyscallError> {
        match Self::watched(interface) {
            Err(error) if netlink::is_forbidden(&error) => Ok(Self::over(Err(error), interface)),
            watched => watched,
        }
    }

    /// Watches, or fails if a sandbox forbids it.
    pub(super) fn watched(interface: &Interface) -> Result<Self, SyscallError> {
        let socket = netlink_socket(RTMGRP_LINK)?;
        // The current state is an answer on the same socket as all later changes, so nothing is
        // missed between the two.
        netlink_send(socket.as_fd(), &netlink::get_link(interface.index, ""))?;
        Ok(Self::over(Ok(socket), interface))
    }

    fn over(notifications: Result<OwnedFd, SyscallError>, interface: &Interface) -> Self {
        Self {
            notifications,
            interface: interface.index,
            buffer: vec![0; BUFFER].into(),
            state: State::opened(&interface.name, interface.is_up()),
        }
    }

    /// The descriptor that is readable if there is news; `None` in a sandbox that forbids it.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.notifications.as_ref().ok().map(AsFd::as_fd)
    }

    /// Another watch emits the events of the interface.
    pub(super) const fn be_quiet(&mut self) {
        self.state.quiet = true;
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

    /// How often it went down, as far as the notifications tell.
    pub(super) const fn state_downs(&self) -> u64 {
        self.state.downs
    }

    /// The state as of the last [`read`](Self::read).
    pub(super) const fn state(&self) -> LinkState {
        match &self.state {
            state if state.removed => LinkState::Removed,
            _ if self.notifications.is_err() => LinkState::Unknown,
            state if state.up => LinkState::Up,
            _ => LinkState::Down,
        }
    }

    pub(super) const fn is_removed(&self) -> bool {
        self.state.removed
    }

    /// Reads the pending notifications.
    pub(super) fn read(&mut self) -> Result<(), SyscallError> {
        let Ok(socket) = &self.notifications else {
            return Ok(());
        };
        let mut lost = false;
        loop {
            match netlink_receive(socket.as_fd(), &mut self.buffer) {
                // Notifications were lost: query the current state. The remaining ones are read
                // first, or there would be no room for the answer either.
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
                // It would be too long the next time as well, so there is no point in asking again.
                Err(error) if error.is(libc::EMSGSIZE) => self.state.missed = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Updates the state from the packet socket if there are no notifications; `errno` is the
    /// pending error of the socket.
    pub(super) fn observe_socket(&mut self, socket: BorrowedFd<'_>, errno: i32) {
        if self.notifications.is_ok() {
            return;
        }
        let bound_to = packet_socket_address(socket).map(|address| address.sll_ifindex);
        self.state.observe_socket(bound_to.ok(), errno);
    }

    /// Returns the pending report as an error.
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
