//! The filter of a packet socket, after it was attached: replaced by an eBPF program, removed,
//! locked.
#![deny(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SOL_SOCKET, c_int};

use crate::SyscallError;
use crate::syscall::set_option;

/// Attaches an eBPF socket filter, or replaces the current filter by it atomically (kernel 3.19).
/// The kernel keeps the program for as long as it is attached.
///
/// # Errors
/// `EBADF` if it is not a descriptor, `EINVAL` if it is not that of a socket filter
/// (`BPF_PROG_TYPE_SOCKET_FILTER`), `EPERM` if the filter is [locked](lock_filter), `ENOMEM` if it
/// exceeds `net.core.optmem_max`.
// [`sk_attach_bpf`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/filter.c#L1591
#[doc(alias = "SO_ATTACH_BPF")]
pub fn attach_bpf(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let program: c_int = program.as_raw_fd();
    let call = "setsockopt(SO_ATTACH_BPF)";
    set_option(fd, SOL_SOCKET, libc::SO_ATTACH_BPF, &program, call)
}

/// Removes the filter of a socket, which then receives every packet.
///
/// # Errors
/// `ENOENT` if it has none, `EPERM` if it is [locked](lock_filter).
// [`sk_detach_filter`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/filter.c#L11247
#[doc(alias = "SO_DETACH_FILTER")]
pub fn detach_filter(fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let unused: c_int = 0;
    let call = "setsockopt(SO_DETACH_FILTER)";
    set_option(fd, SOL_SOCKET, libc::SO_DETACH_FILTER, &unused, call)
}

/// Locks the filter of a socket, or that it has none, for as long as the socket lives, also against
/// privileged processes (kernel 3.9).
///
/// # Errors
/// The descriptor is not a socket.
// [`SO_LOCK_FILTER`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L1505
#[doc(alias = "SO_LOCK_FILTER")]
pub fn lock_filter(fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let locked: c_int = 1;
    let call = "setsockopt(SO_LOCK_FILTER)";
    set_option(fd, SOL_SOCKET, libc::SO_LOCK_FILTER, &locked, call)
}
