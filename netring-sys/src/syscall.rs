//! One typed function per system call: a borrowed descriptor in, an owned one or plain data out.
//!
//! # Safety
//! The invariant of this module and its children: a pointer handed to the kernel points to a value on this function's
//! own stack, or to a slice that it borrows, with exactly the length that is handed over beside it, and the kernel keeps none
//! of them after the call (where it does keep memory, the function takes an [`Mmap`](crate::Mmap) or says so).
//! Descriptors are borrowed, so they are open during the call.
#![allow(unsafe_code, reason = "system calls; the invariant stands above")]

mod bpf;
mod ioctl;
mod link;
mod packet;
mod poll;
mod xdp;

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_long, socklen_t};

pub use bpf::{
    BpfArray, XdpLoad, bpf_link_detach, bpf_link_xdp, bpf_load_xdp, bpf_load_xdp_with,
    bpf_program_id, bpf_send_xdp, bpf_test_xdp,
};
pub use ioctl::{
    InterfaceByIoctl, ethtool_channels, ethtool_rings, interface_by_ioctl, interface_socket,
    set_ethtool_rings,
};
pub use link::{generic_netlink_socket, netlink_receive, netlink_send, netlink_socket};
pub use packet::{
    add_packet_membership, attach_filter, bind_packet, drop_packet_membership, packet_socket,
    packet_socket_address, packet_statistics, receive, send, set_packet_ignore_outgoing,
    set_packet_reserve, set_packet_rx_ring, set_packet_timestamp, set_packet_version,
    take_socket_error,
};
pub use poll::{
    epoll, epoll_add, epoll_mute, epoll_ready, event, event_signal, poll_readable, poll_writable,
    timer, timer_clear, timer_start,
};
pub use xdp::{
    Kick, XdpRing, bind_xdp, kick_receive, kick_transmit, map_xdp_ring, memlock_limit,
    set_busy_poll, set_xdp_ring, set_xdp_transmit_budget, set_xdp_umem, xdp_is_zero_copy,
    xdp_ring_offsets, xdp_socket, xdp_statistics_of,
};

use crate::SyscallError;

/// The size of a page, in bytes.
#[doc(alias = "sysconf")]
pub fn page_size() -> usize {
    // SAFETY: no memory is handed over; nothing is shared; the name is one that Linux always answers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// The network namespace of a socket, by a number that no other namespace has until the host is restarted; `None` on a kernel before
/// 5.14. A socket stays in the namespace that its thread was in when it was made.
///
/// # Errors
/// The descriptor is not a socket.
#[doc(alias = "SO_NETNS_COOKIE")]
pub fn network_namespace(fd: BorrowedFd<'_>) -> Result<Option<u64>, SyscallError> {
    let call = "getsockopt(SO_NETNS_COOKIE)";
    match get_option(fd, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, call) {
        Err(error) if error.is(libc::ENOPROTOOPT) => Ok(None),
        other => other.map(Some),
    }
}

/// What a call returned, or why it failed.
fn check(result: c_int, call: &'static str) -> Result<c_int, SyscallError> {
    if result < 0 {
        Err(SyscallError::last(call))
    } else {
        Ok(result)
    }
}

/// What a call that counts bytes returned, or why it failed.
fn check_len(result: isize, call: &'static str) -> Result<usize, SyscallError> {
    usize::try_from(result).map_err(|_| SyscallError::last(call))
}

fn size_of_u32<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

/// `setsockopt` with a value whose every byte is initialised: the callers pass integers and the header's structs, which
/// have no padding.
fn set_option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
    call: &'static str,
) -> Result<(), SyscallError> {
    let value: *const T = value;
    // SAFETY: `value` is borrowed for the call; nobody else writes to it meanwhile; its length is that of its type.
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

/// `getsockopt` of a plain value: any bytes the kernel writes are a `T`, which the callers' integers and structs of integers fulfil.
fn get_option<T: Copy + Default>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    call: &'static str,
) -> Result<T, SyscallError> {
    let mut value = T::default();
    let mut len = size_of_u32::<T>();
    let target: *mut T = &raw mut value;
    // SAFETY: `value` and `len` are on this stack; nobody else uses them; the kernel writes at most `len` bytes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, target.cast(), &raw mut len) };
    check(result, call)?;
    Ok(value)
}

/// Whether a number of the kernel's means "nothing now".
fn would_block(error: &SyscallError) -> bool {
    error.is(libc::EAGAIN) || error.is(libc::EINTR)
}

/// A time as `ppoll` takes it; whole, so that a wait below a millisecond is not rounded to nothing.
fn timespec(duration: std::time::Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: c_long::from(duration.subsec_nanos() as i32),
    }
}
