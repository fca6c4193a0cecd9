//! Network namespaces: `setns(2)`, `ioctl_ns(2)`.
//!
//! # Safety
//! The invariant of this file: no memory is passed to the kernel. Descriptors are borrowed, so they
//! are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;
use crate::SyscallError;

/// The request for the type of a namespace: `_IO(0xb7, 3)`.
// [`NS_GET_NSTYPE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/nsfs.h#L16
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// Moves this thread, and no other, into a network namespace. Threads that it starts from then on
/// are in it too.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, both in the user namespace of this thread and in the one that the
/// network namespace belongs to; `EINVAL` if the descriptor is not that of a network namespace.
// [`netns_install`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/net_namespace.c#L1495
#[doc(alias = "setns")]
pub fn enter_network_namespace(namespace: BorrowedFd<'_>) -> Result<(), SyscallError> {
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    check(result, "setns(CLONE_NEWNET)").map(drop)
}

/// Whether the descriptor is that of a network namespace, and not of another kind (kernel 4.11).
///
/// # Errors
/// `ENOTTY` if it is not that of a namespace at all.
#[doc(alias = "NS_GET_NSTYPE")]
pub fn is_network_namespace(file: BorrowedFd<'_>) -> Result<bool, SyscallError> {
    // SAFETY: the request has no argument, so no memory is handed over; there is no owner, writer
    // or range to speak of.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as _) };
    check(result, "ioctl(NS_GET_NSTYPE)").map(|kind| kind == libc::CLONE_NEWNET)
}
