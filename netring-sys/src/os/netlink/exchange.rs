//! Requests and answers over a netlink socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::wire::{NLMSG_DONE, NLMSG_ERROR, error_in, split};
use super::{BUFFER, refused};
use crate::SyscallError;
use crate::syscall::{netlink_receive, netlink_send, netlink_socket, poll_readable};

/// Collects what `each` returns for the messages of a list, and returns it with the socket that was
/// used.
///
/// The kernel sends a long list in several parts and says if it changed in between. Then the list
/// is requested again.
///
/// # Errors
/// `EAGAIN` if the list keeps changing for a second.
pub(super) fn dump<T>(
    request: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Option<T>,
) -> Result<(Vec<T>, OwnedFd), SyscallError> {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..ATTEMPTS {
        let socket = netlink_socket(0)?;
        let mut found = Vec::new();
        let ended = exchange(socket.as_fd(), request, |bytes| {
            split(bytes).find_map(|(kind, interrupted, message)| {
                let result = match kind {
                    NLMSG_ERROR | NLMSG_DONE => error_in(message),
                    _ => 0,
                };
                match (interrupted, result) {
                    (true, _) => Some(Ok(false)),
                    (_, errno @ 1..) => Some(Err(refused(errno))),
                    _ if kind == NLMSG_DONE => Some(Ok(true)),
                    _ => {
                        found.extend(each(kind, message));
                        None
                    }
                }
            })
        })?;
        if ended? {
            return Ok((found, socket));
        }
        std::thread::sleep(PAUSE);
    }
    Err(refused(libc::EAGAIN))
}

/// Sends a request and waits until `answer` returns something for the received bytes.
pub(super) fn exchange<T>(
    socket: BorrowedFd<'_>,
    request: &[u8],
    mut answer: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, SyscallError> {
    netlink_send(socket, request)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let Some(len) = netlink_receive(socket, &mut buffer)? else {
            poll_readable(socket, None)?;
            continue;
        };
        if let Some(found) = answer(&buffer[..len]) {
            return Ok(found);
        }
    }
}
