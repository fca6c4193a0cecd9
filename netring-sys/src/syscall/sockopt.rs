//! Socket options with plain values: `setsockopt(2)`, `getsockopt(2)`.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_int;

use super::{check, size_of_u32};
use crate::SyscallError;

/// The cookie of a socket's network namespace, unique until the host is restarted; `None` before
/// kernel 5.14. A socket belongs to the namespace that its thread was in when it was created.
///
/// # Errors
/// The descriptor is not a socket.
// [`SO_NETNS_COOKIE`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L2070
#[doc(alias = "SO_NETNS_COOKIE")]
pub fn network_namespace(fd: BorrowedFd<'_>) -> Result<Option<u64>, SyscallError> {
    let call = "getsockopt(SO_NETNS_COOKIE)";
    match get_option(fd, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, call) {
        Err(error) if error.is(libc::ENOPROTOOPT) => Ok(None),
        other => other.map(Some),
    }
}

/// `setsockopt` with a value whose every byte is initialised: callers pass integers and structs of
/// the kernel's headers, which have no padding.
pub(super) fn set_option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
    call: &'static str,
) -> Result<(), SyscallError> {
    let value: *const T = value;
    // SAFETY: `value` is borrowed for the call; nobody else writes to it meanwhile; its length is
    // that of its type.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.cast(),
            size_of_u32::<T>(),
        )
    };
    check(result, call).map(drop)
}

/// `getsockopt` of a plain value: any bytes form a valid `T`, which holds for the integers and
/// structs of integers that callers use.
pub(super) fn get_option<T: Copy + Default>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    call: &'static str,
) -> Result<T, SyscallError> {
    let mut value = T::default();
    let mut len = size_of_u32::<T>();
    let target: *mut T = &raw mut value;
    // SAFETY: `value` and `len` are on this stack; nobody else uses them; the kernel writes at most
    // `len` bytes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, target.cast(), &raw mut len) };
    check(result, call)?;
    Ok(value)
}
