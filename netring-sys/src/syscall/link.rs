//! Netlink sockets: `netlink(7)`.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, check_len, size_of_u32, would_block};
use crate::SyscallError;

/// Opens a netlink socket of the family "route" in this thread's network namespace. `groups` is the
/// bit mask of notifications to receive (`RTMGRP_LINK`).
///
/// # Errors
/// `EMFILE`, `ENOBUFS`.
// [`netlink_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/netlink/af_netlink.c#L646
#[doc(alias = "NETLINK_ROUTE")]
pub fn netlink_socket(groups: u32) -> Result<OwnedFd, SyscallError> {
    netlink_socket_of(libc::NETLINK_ROUTE, groups)
}

/// Opens a netlink socket of the family "generic" in this thread's network namespace.
///
/// # Errors
/// `EMFILE`, `ENOBUFS`, as for [`netlink_socket`].
#[doc(alias = "NETLINK_GENERIC")]
pub fn generic_netlink_socket() -> Result<OwnedFd, SyscallError> {
    netlink_socket_of(libc::NETLINK_GENERIC, 0)
}

fn netlink_socket_of(protocol: libc::c_int, groups: u32) -> Result<OwnedFd, SyscallError> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) },
        "socket(AF_NETLINK)",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_nl is made of integers, for which zero is a value; it is on this stack; its
    // size is its type's.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    let pointer: *const libc::sockaddr_nl = &raw const address;
    // SAFETY: the address is on this stack; nobody writes to it; its length is that of its type.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            pointer.cast(),
            size_of_u32::<libc::sockaddr_nl>(),
        )
    };
    check(result, "bind(AF_NETLINK)")?;
    Ok(fd)
}

/// Sends a netlink message to the kernel.
///
/// # Errors
/// `ENOBUFS`; the kernel reports problems with the message itself in an answer.
// [`netlink_sendmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/netlink/af_netlink.c#L1816
pub fn netlink_send(fd: BorrowedFd<'_>, message: &[u8]) -> Result<(), SyscallError> {
    // SAFETY: the message is borrowed for the call; nobody writes to it meanwhile; its length goes
    // with it.
    let sent = unsafe { libc::send(fd.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    check_len(sent, "send(netlink)").map(drop)
}

/// Receives netlink messages. Returns the number of bytes, or `None` if there are none now.
///
/// # Errors
/// `ENOBUFS` if notifications were lost; `EMSGSIZE` if the message was longer than the buffer, and
/// is lost: send the request again.
// [`netlink_recvmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/netlink/af_netlink.c#L1905
pub fn netlink_receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<Option<usize>, SyscallError> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the buffer is borrowed for the call; nobody else uses it; its length goes with it.
    let received = unsafe {
        libc::recv(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
        )
    };
    match check_len(received, "recv(netlink)") {
        Err(error) if would_block(&error) => Ok(None),
        Ok(len) if len > buffer.len() => Err(SyscallError {
            call: "recv(netlink)",
            source: std::io::Error::from_raw_os_error(libc::EMSGSIZE),
        }),
        other => other.map(Some),
    }
}
