//! Packet sockets that send through a ring.
//!
//! # Safety
//! The invariant of this file: the one call that takes a pointer passes none, and a length of 0.
#![expect(unsafe_code, reason = "a system call; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SOL_PACKET, c_int};

use super::super::{check_len, set_option};
use crate::SyscallError;
use crate::kernel::packet::tpacket_req3;

/// Creates the transmit ring of a socket with `TPACKET_V2`, for which the kernel reads the first
/// four words of the request.
///
/// # Errors
/// `EINVAL` for a geometry that the kernel does not accept, `ENOMEM` if there is not enough memory.
// [`packet_set_ring`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4588
#[doc(alias = "PACKET_TX_RING")]
pub fn set_packet_tx_ring(fd: BorrowedFd<'_>, request: &tpacket_req3) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_TX_RING,
        request,
        "setsockopt(PACKET_TX_RING)",
    )
}

/// Sends frames straight to the driver, without the queueing discipline of the interface and
/// without showing them to other packet sockets of this host (kernel 3.14).
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel.
// [`PACKET_QDISC_BYPASS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4154
#[doc(alias = "PACKET_QDISC_BYPASS")]
pub fn set_packet_qdisc_bypass(fd: BorrowedFd<'_>, bypass: bool) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_PACKET,
        libc::PACKET_QDISC_BYPASS,
        &c_int::from(bypass),
        "setsockopt(PACKET_QDISC_BYPASS)",
    )
}

/// Has the kernel send the frames of a transmit ring, in the order of the ring, up to the first
/// slot that has none; does not block.
///
/// If it stops before that, the call fails with the reason if no frame, or the last one that it
/// looked at, was to blame. The slots tell which frames it took.
///
/// # Errors
/// `EAGAIN` if the socket's send buffer is full, `ENOBUFS` if the interface's queue is: the frames
/// that were not taken stay in the ring. `EMSGSIZE` or `EINVAL` for a frame that the kernel
/// refuses, whose slot gets `TP_STATUS_WRONG_FORMAT`. `ENETDOWN`; `ENXIO` once the interface is
/// gone.
// [`tpacket_snd`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L2807
#[doc(alias = "send")]
pub fn kick_packet_ring(fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let sent = unsafe { libc::send(fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT) };
    check_len(sent, "send").map(drop)
}
