//! Fanout groups of packet sockets.
#![deny(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SOL_PACKET, c_int};

use crate::SyscallError;
use crate::kernel::filter::SockFilter;
use crate::kernel::packet::{fanout_args, tpacket_rollover_stats};
use crate::syscall::{get_option, set_option};

/// Adds a packet socket to a fanout group, which is created if there is none of this number in the
/// socket's network namespace. The socket has to be bound with a protocol. Closing it leaves the
/// group.
///
/// Without a maximum of members the request is the one that kernels before 5.11 understand.
///
/// # Errors
/// `EINVAL` if the type is unknown, if type, flags, maximum, protocol or interface are not those of
/// the group, or before kernel 6.13 if the interface is down; `ENOSPC` if the group is full;
/// `EALREADY` if the socket is in a group.
// [`fanout_add`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L1745
#[doc(alias = "PACKET_FANOUT")]
pub fn join_packet_fanout(fd: BorrowedFd<'_>, request: &fanout_args) -> Result<(), SyscallError> {
    let call = "setsockopt(PACKET_FANOUT)";
    if request.max_num_members == 0 {
        let word = u32::from(request.id) | u32::from(request.type_flags) << 16;
        return set_option(fd, SOL_PACKET, libc::PACKET_FANOUT, &word, call);
    }
    set_option(fd, SOL_PACKET, libc::PACKET_FANOUT, request, call)
}

/// The fanout group of a packet socket: its number, type and flags. All zero without a group, as in
/// a group of number 0 by hash and without flags.
///
/// # Errors
/// The descriptor is not a packet socket.
// [`PACKET_FANOUT`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4261
#[doc(alias = "PACKET_FANOUT")]
pub fn packet_fanout(fd: BorrowedFd<'_>) -> Result<fanout_args, SyscallError> {
    let call = "getsockopt(PACKET_FANOUT)";
    let word: u32 = get_option(fd, SOL_PACKET, libc::PACKET_FANOUT, call)?;
    Ok(fanout_args {
        id: word as u16,
        type_flags: (word >> 16) as u16,
        max_num_members: 0,
    })
}

/// Sets the classic BPF program of a group of type `PACKET_FANOUT_CBPF`, or replaces it atomically.
/// The member of a packet is its result modulo the number of members.
///
/// # Errors
/// `EINVAL` for a program that the kernel's checks refuse, or if the socket is not in such a group;
/// `EPERM` if the filter of the socket is locked.
// [`fanout_set_data_cbpf`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L1650
#[doc(alias = "PACKET_FANOUT_DATA")]
pub fn set_packet_fanout_program(
    fd: BorrowedFd<'_>,
    program: &[SockFilter],
) -> Result<(), SyscallError> {
    let program = libc::sock_fprog {
        // A longer program is refused by the kernel, not truncated to what fits 16 bits.
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_ptr().cast_mut().cast(),
    };
    let call = "setsockopt(PACKET_FANOUT_DATA)";
    set_option(fd, SOL_PACKET, libc::PACKET_FANOUT_DATA, &program, call)
}

/// Sets the eBPF program of a group of type `PACKET_FANOUT_EBPF`, or replaces it atomically: a
/// socket filter, whose result counts as with [`set_packet_fanout_program`].
///
/// # Errors
/// `EINVAL` if the program is not a socket filter, or if the socket is not in such a group; `EPERM`
/// if the filter of the socket is locked.
// [`fanout_set_data_ebpf`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L1672
#[doc(alias = "PACKET_FANOUT_DATA")]
pub fn set_packet_fanout_ebpf(
    fd: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> Result<(), SyscallError> {
    let program: c_int = program.as_raw_fd();
    let call = "setsockopt(PACKET_FANOUT_DATA)";
    set_option(fd, SOL_PACKET, libc::PACKET_FANOUT_DATA, &program, call)
}

/// How often packets of this socket went to others of its group, since it joined. Reading resets
/// nothing.
///
/// # Errors
/// `EINVAL` if the socket is not in a group with rollover.
// [`PACKET_ROLLOVER_STATS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4270
#[doc(alias = "PACKET_ROLLOVER_STATS")]
pub fn packet_rollover_statistics(
    fd: BorrowedFd<'_>,
) -> Result<tpacket_rollover_stats, SyscallError> {
    let call = "getsockopt(PACKET_ROLLOVER_STATS)";
    get_option(fd, SOL_PACKET, libc::PACKET_ROLLOVER_STATS, call)
}
