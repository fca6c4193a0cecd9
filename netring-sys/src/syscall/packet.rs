//! Packet sockets: `packet(7)`.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

mod fanout;
mod filter;
mod timestamps;
mod transmit;
mod vnet;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{SOL_PACKET, SOL_SOCKET, c_int};

use super::{check, check_len, get_option, set_option, size_of_u32, would_block};
use crate::SyscallError;
use crate::kernel::filter::SockFilter;
use crate::kernel::packet::{packet_mreq_max, sockaddr_ll, tpacket_req3, tpacket_stats_v3};

pub use fanout::{
    join_packet_fanout, packet_fanout, packet_rollover_statistics, set_packet_fanout_ebpf,
    set_packet_fanout_program,
};
pub use filter::{attach_bpf, detach_filter, lock_filter};
pub use timestamps::{SentTimestamp, receive_sent_timestamp, set_sent_timestamps};
pub use transmit::{kick_packet_ring, set_packet_qdisc_bypass, set_packet_tx_ring};
pub use vnet::set_packet_vnet_header;

/// Opens a raw packet socket, which receives nothing until it is bound with a protocol.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW (see [`SyscallError::needs_net_raw`]), `EMFILE`, `EAFNOSUPPORT`.
// [`packet_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3451
#[doc(alias = "socket")]
pub fn packet_socket() -> Result<OwnedFd, SyscallError> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::socket(libc::AF_PACKET, kind, 0) },
        "socket(AF_PACKET)",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds a packet socket to an interface. Protocol 0 receives nothing, `ETH_P_ALL` (in host order)
/// everything.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EINVAL` in a fanout group.
// [`packet_do_bind`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3309
#[doc(alias = "bind")]
pub fn bind_packet(fd: BorrowedFd<'_>, interface: u32, protocol: u16) -> Result<(), SyscallError> {
    let address = sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: interface as i32,
        ..sockaddr_ll::default()
    };
    let pointer: *const sockaddr_ll = &raw const address;
    // SAFETY: the address is on this stack; nobody writes to it; its length is that of its type.
    let result =
        unsafe { libc::bind(fd.as_raw_fd(), pointer.cast(), size_of_u32::<sockaddr_ll>()) };
    check(result, "bind(AF_PACKET)").map(drop)
}

/// The address that a packet socket is bound to; the interface is −1 after its removal.
///
/// # Errors
/// The descriptor is not a socket.
// [`packet_getname`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3714
#[doc(alias = "getsockname")]
pub fn packet_socket_address(fd: BorrowedFd<'_>) -> Result<sockaddr_ll, SyscallError> {
    let mut address = sockaddr_ll::default();
    let mut len = size_of_u32::<sockaddr_ll>();
    let pointer: *mut sockaddr_ll = &raw mut address;
    // SAFETY: address and length are on this stack; nobody else uses them; the kernel writes at
    // most `len` bytes.
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), pointer.cast(), &raw mut len) };
    check(result, "getsockname")?;
    Ok(address)
}

/// Selects the version of the ring: `TPACKET_V2` (kernel 2.6.27) or `TPACKET_V3` (kernel 3.2).
///
/// # Errors
/// `EBUSY` once a ring exists; `EINVAL` on an older kernel.
// [`PACKET_VERSION`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3974
#[doc(alias = "PACKET_VERSION")]
pub fn set_packet_version(fd: BorrowedFd<'_>, version: i32) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_VERSION,
        &version,
        "setsockopt(PACKET_VERSION)",
    )
}

/// Reserves this many bytes before each packet of a ring, after its header and address.
///
/// # Errors
/// `EBUSY` once a ring exists.
// [`PACKET_RESERVE`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4000
#[doc(alias = "PACKET_RESERVE")]
pub fn set_packet_reserve(fd: BorrowedFd<'_>, bytes: u32) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_RESERVE,
        &bytes,
        "setsockopt(PACKET_RESERVE)",
    )
}

/// Creates the receive ring. For version 2 the kernel reads the first four words of the request.
///
/// # Errors
/// `EINVAL` for a geometry that the kernel does not accept, `ENOMEM` if there is not enough memory.
// [`packet_set_ring`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4588
#[doc(alias = "PACKET_RX_RING")]
pub fn set_packet_rx_ring(fd: BorrowedFd<'_>, request: &tpacket_req3) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_RX_RING,
        request,
        "setsockopt(PACKET_RX_RING)",
    )
}

/// Selects the clock of the timestamps, as `SOF_TIMESTAMPING_*` bits.
///
/// # Errors
/// `EINVAL` for other bits.
// [`PACKET_TIMESTAMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4093
#[doc(alias = "PACKET_TIMESTAMP")]
pub fn set_packet_timestamp(fd: BorrowedFd<'_>, source: u32) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_TIMESTAMP,
        &source,
        "setsockopt(PACKET_TIMESTAMP)",
    )
}

/// Ignores packets that this host sends (kernel 4.20).
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel.
// [`PACKET_IGNORE_OUTGOING`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4124
#[doc(alias = "PACKET_IGNORE_OUTGOING")]
pub fn set_packet_ignore_outgoing(fd: BorrowedFd<'_>, ignore: bool) -> Result<(), SyscallError> {
    let ignore = c_int::from(ignore);
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_IGNORE_OUTGOING,
        &ignore,
        "setsockopt(PACKET_IGNORE_OUTGOING)",
    )
}

/// Adds a membership of the interface (promiscuous, all multicast groups, one address) until it is
/// removed or the socket is closed.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EINVAL` for an address that is not as long as those of
/// the interface.
// [`packet_mc_add`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3796
#[doc(alias = "PACKET_ADD_MEMBERSHIP")]
pub fn add_packet_membership(
    fd: BorrowedFd<'_>,
    request: &packet_mreq_max,
) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_ADD_MEMBERSHIP,
        request,
        "setsockopt(PACKET_ADD_MEMBERSHIP)",
    )
}

/// Removes a membership that [`add_packet_membership`] set.
///
/// # Errors
/// `EADDRNOTAVAIL` if this socket did not add it.
// [`packet_mc_drop`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3851
#[doc(alias = "PACKET_DROP_MEMBERSHIP")]
pub fn drop_packet_membership(
    fd: BorrowedFd<'_>,
    request: &packet_mreq_max,
) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_DROP_MEMBERSHIP,
        request,
        "setsockopt(PACKET_DROP_MEMBERSHIP)",
    )
}

/// Attaches a classic BPF program, or replaces the current one atomically: every packet is filtered
/// by the old or the new program.
///
/// # Errors
/// `EINVAL` for a program that the kernel's checks refuse, `ENOMEM` if it exceeds
/// `net.core.optmem_max`.
// [`sk_attach_filter`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/filter.c#L1545
#[doc(alias = "SO_ATTACH_FILTER")]
pub fn attach_filter(fd: BorrowedFd<'_>, program: &[SockFilter]) -> Result<(), SyscallError> {
    let program = libc::sock_fprog {
        // A longer program is refused by the kernel, not truncated to what fits 16 bits.
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_ptr().cast_mut().cast(),
    };
    set_option(
        fd,
        SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &program,
        "setsockopt(SO_ATTACH_FILTER)",
    )
}

/// The counters of a packet socket with a ring; with a version 2 ring, `tp_freeze_q_cnt` stays 0.
/// **Reading resets them**, so there must be only one reader.
///
/// # Errors
/// The descriptor is not a packet socket.
// [`PACKET_STATISTICS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4193
#[doc(alias = "PACKET_STATISTICS")]
pub fn packet_statistics(fd: BorrowedFd<'_>) -> Result<tpacket_stats_v3, SyscallError> {
    get_option(
        fd,
        SOL_PACKET,
        libc::PACKET_STATISTICS,
        "getsockopt(PACKET_STATISTICS)",
    )
}

/// Returns and clears the pending error of a socket, 0 for none. The pending error is what causes
/// `POLLERR`.
///
/// # Errors
/// The descriptor is not a socket.
// [`SO_ERROR`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L1219
#[doc(alias = "SO_ERROR")]
pub fn take_socket_error(fd: BorrowedFd<'_>) -> Result<i32, SyscallError> {
    get_option(fd, SOL_SOCKET, libc::SO_ERROR, "getsockopt(SO_ERROR)")
}

/// Sends one frame on a bound socket. Returns the number of bytes sent, or `None` if there is no
/// room now.
///
/// # Errors
/// `EMSGSIZE` for a frame over the MTU, `ENETDOWN`, `ENXIO` once the interface is gone.
// [`packet_snd`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3058
pub fn send(fd: BorrowedFd<'_>, frame: &[u8]) -> Result<Option<usize>, SyscallError> {
    // SAFETY: the frame is borrowed for the call; nobody writes to it meanwhile; its length goes
    // with it.
    let sent = unsafe {
        libc::send(
            fd.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
        )
    };
    match check_len(sent, "send") {
        Err(error) if would_block(&error) || error.is(libc::ENOBUFS) => Ok(None),
        other => other.map(Some),
    }
}

/// Receives one packet without a ring. Returns its length on the wire and its origin, or `None` if
/// there is none now. A packet that does not fit `buffer` is truncated.
///
/// # Errors
/// `ENETDOWN` once after the interface went down.
// [`packet_recvmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3529
#[doc(alias = "recvfrom")]
pub fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<Option<(usize, sockaddr_ll)>, SyscallError> {
    let mut from = sockaddr_ll::default();
    let mut len = size_of_u32::<sockaddr_ll>();
    let pointer: *mut sockaddr_ll = &raw mut from;
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let (fd, data, room) = (fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len());
    // SAFETY: buffer, address and length are borrowed or on this stack; nobody else uses them; the
    // kernel writes at most `room` and `len` bytes.
    let received =
        unsafe { libc::recvfrom(fd, data.cast(), room, flags, pointer.cast(), &raw mut len) };
    match check_len(received, "recvfrom") {
        Err(error) if would_block(&error) => Ok(None),
        other => other.map(|wire_len| Some((wire_len, from))),
    }
}
