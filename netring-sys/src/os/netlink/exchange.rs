//! Requests and answers over a netlink socket.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::wire::{NLMSG_DONE, NLMSG_ERROR, error_in, split};
use super::{BUFFER, refused};
use crate::SyscallError;
use crate::syscall::{netlink_receive, netlink_send, poll_readable};

/// Collects what `each` returns for the messages of a list, which it asks for on this socket.
///
/// The kernel sends a long list in several parts and says if it changed in between. Then the list
/// is requested again.
///
/// # Errors
/// `EAGAIN` if the list keeps changing for a second.
pub(super) fn dump<T>(
    socket: BorrowedFd<'_>,
    request: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Option<T>,
) -> Result<Vec<T>, SyscallError> {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    // The rest of a list after a failed read.
    let mut buffer = vec![0; BUFFER];
    while netlink_receive(socket, &mut buffer)?.is_some() {}
    for _ in 0..ATTEMPTS {
        let (mut found, mut changed) = (Vec::new(), false);
        let errno = exchange(socket, request, |bytes| {
            split(bytes).find_map(|(kind, interrupted, message)| {
                changed |= interrupted;
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => Some(error_in(message)),
                    _ => {
                        found.extend(each(kind, message));
                        None
                    }
                }
            })
        })?;
        match errno {
            0 if !changed => return Ok(found),
            0 => std::thread::sleep(PAUSE),
            errno => return Err(refused(errno)),
        }
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
