//! AF_XDP sockets: `Documentation/networking/af_xdp.rst`.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

mod rings;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{SOL_SOCKET, SOL_XDP, c_int};

use super::{check, check_len, get_option, set_option, size_of_u32};
use crate::SyscallError;
use crate::kernel::xdp::{XDP_OPTIONS_ZEROCOPY, sockaddr_xdp, xdp_options, xdp_statistics};

pub use rings::{XdpRing, map_xdp_ring, set_xdp_ring, set_xdp_umem, xdp_ring_offsets};

/// The result of a system call that tells the kernel to work on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kick {
    /// It processed the whole ring.
    Done,
    /// It stopped before the end of the ring (`EAGAIN`): its budget is exhausted, or there is no
    /// room for completions or buffers.
    Again,
    /// The queue of the interface dropped one packet (`EBUSY`), whose chunk is completed; the
    /// others are still in the ring.
    Dropped,
    /// There is not enough memory now (`ENOBUFS`, `ENOMEM`).
    NoBuffers,
}

/// Opens an AF_XDP socket, which is not bound yet.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW (see [`SyscallError::needs_net_raw`]), `EAFNOSUPPORT` before kernel
/// 4.18 or without `CONFIG_XDP_SOCKETS`, `EMFILE`.
// [`xsk_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1935
#[doc(alias = "socket")]
pub fn xdp_socket() -> Result<OwnedFd, SyscallError> {
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) },
        "socket(AF_XDP)",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets how many packets the kernel takes off the transmit ring per call in copy mode, by default
/// 32 (kernel 6.17).
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel, `EACCES` or `EINVAL` for a number below 32 or above the ring's
/// entries.
#[doc(alias = "XDP_MAX_TX_SKB_BUDGET")]
pub fn set_xdp_transmit_budget(fd: BorrowedFd<'_>, packets: u32) -> Result<(), SyscallError> {
    /// Not defined in libc yet.
    const XDP_MAX_TX_SKB_BUDGET: c_int = 9;
    set_option(
        fd,
        SOL_XDP,
        XDP_MAX_TX_SKB_BUDGET,
        &packets,
        "setsockopt(XDP_MAX_TX_SKB_BUDGET)",
    )
}

/// The counters of a socket, and whether the kernel has the last three (5.9); without them they are
/// 0.
///
/// # Errors
/// The descriptor is not an AF_XDP socket.
// [`XDP_STATISTICS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1713
#[doc(alias = "XDP_STATISTICS")]
pub fn xdp_statistics_of(fd: BorrowedFd<'_>) -> Result<(xdp_statistics, bool), SyscallError> {
    let (words, len): ([u64; 6], _) =
        get_words(fd, libc::XDP_STATISTICS, "getsockopt(XDP_STATISTICS)")?;
    let [
        rx_dropped,
        rx_invalid_descs,
        tx_invalid_descs,
        rx_ring_full,
        rx_fill_ring_empty_descs,
        tx_ring_empty_descs,
    ] = words;
    let statistics = xdp_statistics {
        rx_dropped,
        rx_invalid_descs,
        tx_invalid_descs,
        rx_ring_full,
        rx_fill_ring_empty_descs,
        tx_ring_empty_descs,
    };
    Ok((statistics, len >= size_of::<xdp_statistics>()))
}

/// Whether a bound socket really receives and sends without copying.
///
/// # Errors
/// `ENOPROTOOPT` before kernel 5.3.
// [`XDP_OPTIONS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1801
#[doc(alias = "XDP_OPTIONS")]
pub fn xdp_is_zero_copy(fd: BorrowedFd<'_>) -> Result<bool, SyscallError> {
    let options: xdp_options =
        get_option(fd, SOL_XDP, libc::XDP_OPTIONS, "getsockopt(XDP_OPTIONS)")?;
    Ok(options.flags & XDP_OPTIONS_ZEROCOPY != 0)
}

/// Binds a socket to a queue of an interface; `sxdp_family` is filled in. `umem` is a bound socket
/// whose packet memory is shared.
///
/// # Errors
/// `EBUSY` while another socket uses the queue, and for a moment after it was closed; `EOPNOTSUPP`
/// if the driver does not support the flags; `EINVAL` if the queue does not exist or rings are
/// missing; `ENETDOWN`; `ENODEV`.
// [`xsk_bind`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1389
#[doc(alias = "bind")]
pub fn bind_xdp(
    fd: BorrowedFd<'_>,
    address: &sockaddr_xdp,
    umem: Option<BorrowedFd<'_>>,
) -> Result<(), SyscallError> {
    let address = sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        // Descriptors are never negative.
        sxdp_shared_umem_fd: umem.map_or(0, |fd| fd.as_raw_fd() as u32),
        ..*address
    };
    let pointer: *const sockaddr_xdp = &raw const address;
    // SAFETY: the address is on this stack; nobody writes to it; its length is that of its type.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            pointer.cast(),
            size_of_u32::<sockaddr_xdp>(),
        )
    };
    check(result, "bind(AF_XDP)").map(drop)
}

/// Tells the kernel to send the contents of the transmit ring. In copy mode it sends within this
/// call, as many packets as its budget allows.
///
/// # Errors
/// `ENETDOWN` while the interface is down, `ENXIO` once it is gone, `EOPNOTSUPP`.
// [`__xsk_sendmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1136
#[doc(alias = "sendto")]
pub fn kick_transmit(fd: BorrowedFd<'_>) -> Result<Kick, SyscallError> {
    let (none, flags) = (std::ptr::null(), libc::MSG_DONTWAIT);
    // SAFETY: no memory is handed over: the null pointer has a length of 0.
    let sent = unsafe { libc::sendto(fd.as_raw_fd(), none, 0, flags, std::ptr::null(), 0) };
    kicked(check_len(sent, "sendto(AF_XDP)"))
}

/// Tells the driver to continue receiving after the fill ring was empty; with busy polling,
/// receives now.
///
/// # Errors
/// `ENETDOWN` while the interface is down, `ENXIO` once it is gone.
// [`__xsk_recvmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1181
#[doc(alias = "recvfrom")]
pub fn kick_receive(fd: BorrowedFd<'_>) -> Result<Kick, SyscallError> {
    let none = std::ptr::null_mut();
    // SAFETY: no memory is handed over: the null pointer has a length of 0.
    let received = unsafe { libc::recv(fd.as_raw_fd(), none, 0, libc::MSG_DONTWAIT) };
    kicked(check_len(received, "recvfrom(AF_XDP)"))
}

fn kicked(result: Result<usize, SyscallError>) -> Result<Kick, SyscallError> {
    match result {
        Ok(_) => Ok(Kick::Done),
        Err(error) if error.is(libc::EAGAIN) || error.is(libc::EINTR) => Ok(Kick::Again),
        Err(error) if error.is(libc::EBUSY) => Ok(Kick::Dropped),
        Err(error) if error.is(libc::ENOBUFS) || error.is(libc::ENOMEM) => Ok(Kick::NoBuffers),
        Err(error) => Err(error),
    }
}

/// Lets the application's own calls drive the interface: `SO_PREFER_BUSY_POLL`, `SO_BUSY_POLL` (in
/// microseconds) and `SO_BUSY_POLL_BUDGET` (in packets per call; kernel 5.11).
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN for a longer time or a larger budget than the system default,
/// `ENOPROTOOPT` on an older kernel.
// [`SO_PREFER_BUSY_POLL`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L1227
#[doc(alias = "SO_PREFER_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL_BUDGET")]
pub fn set_busy_poll(fd: BorrowedFd<'_>, micros: u32, budget: u16) -> Result<(), SyscallError> {
    let values = [
        (
            libc::SO_PREFER_BUSY_POLL,
            1,
            "setsockopt(SO_PREFER_BUSY_POLL)",
        ),
        (
            libc::SO_BUSY_POLL,
            micros as c_int,
            "setsockopt(SO_BUSY_POLL)",
        ),
        (
            libc::SO_BUSY_POLL_BUDGET,
            c_int::from(budget),
            "setsockopt(SO_BUSY_POLL_BUDGET)",
        ),
    ];
    for (option, value, call) in values {
        set_option(fd, SOL_SOCKET, option, &value, call)?;
    }
    Ok(())
}

/// The memory that a process without CAP_IPC_LOCK may lock, in bytes; `None` if there is no limit.
#[doc(alias = "RLIMIT_MEMLOCK")]
pub fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct is on this stack; nobody else uses it; the kernel writes one.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then(|| widened(limit.rlim_cur))
}

/// Converts a number of 32 or 64 bits, depending on the target's libc, to 64.
fn widened(number: impl Into<u64>) -> u64 {
    number.into()
}

/// `getsockopt` of words, of which older kernels write fewer. Returns the words and the number of
/// bytes written.
fn get_words<const N: usize>(
    fd: BorrowedFd<'_>,
    name: c_int,
    call: &'static str,
) -> Result<([u64; N], usize), SyscallError> {
    let mut words = [0_u64; N];
    let mut len = size_of_u32::<[u64; N]>();
    let target: *mut u64 = words.as_mut_ptr();
    // SAFETY: `words` and `len` are on this stack; nobody else uses them; the kernel writes at most
    // `len` bytes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), SOL_XDP, name, target.cast(), &raw mut len) };
    check(result, call)?;
    Ok((words, len as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_a_kick_has_its_meaning() {
        let failed = |errno| {
            kicked(Err(SyscallError {
                call: "sendto(AF_XDP)",
                source: std::io::Error::from_raw_os_error(errno),
            }))
        };
        assert_eq!(kicked(Ok(0)).unwrap(), Kick::Done);
        assert_eq!(failed(libc::EAGAIN).unwrap(), Kick::Again);
        assert_eq!(failed(libc::EBUSY).unwrap(), Kick::Dropped);
        assert_eq!(failed(libc::ENOBUFS).unwrap(), Kick::NoBuffers);
        assert!(failed(libc::ENETDOWN).is_err());
        assert!(failed(libc::ENXIO).is_err());
    }
}
