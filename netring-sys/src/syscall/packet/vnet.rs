//! Checksum and segmentation beside packets.
#![deny(unsafe_code)]

use std::os::fd::BorrowedFd;

use libc::{SOL_PACKET, c_int};

use crate::SyscallError;
use crate::syscall::set_option;

/// Puts a [`virtio_net_hdr`](crate::kernel::packet::virtio_net_hdr) before each packet, in both
/// directions (kernel 2.6.27; in rings 4.6).
///
/// # Errors
/// `EBUSY` once a ring exists.
// [`PACKET_VNET_HDR`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L4063
#[doc(alias = "PACKET_VNET_HDR")]
pub fn set_packet_vnet_header(fd: BorrowedFd<'_>, on: bool) -> Result<(), SyscallError> {
    let on = c_int::from(on);
    let call = "setsockopt(PACKET_VNET_HDR)";
    set_option(fd, SOL_PACKET, libc::PACKET_VNET_HDR, &on, call)
}
