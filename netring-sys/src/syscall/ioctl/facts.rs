//! What a sender asks about its interface before it sends.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack; the kernel keeps no pointer after the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::BorrowedFd;

use super::{ioctl, named};
use crate::SyscallError;

/// What can change while an interface is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFacts {
    /// Whether it is up and has a carrier.
    pub is_up: bool,
    /// Its MTU, in bytes.
    pub mtu: u32,
}

/// The current state of the interface with this index, in the network namespace of the socket.
///
/// # Errors
/// `ENODEV` if there is no such interface.
#[doc(alias = "SIOCGIFFLAGS")]
#[doc(alias = "SIOCGIFMTU")]
pub fn link_facts(socket: BorrowedFd<'_>, index: u32) -> Result<LinkFacts, SyscallError> {
    let mut request = named("");
    request.ifr_ifru.ifru_ifindex = index as i32;
    ioctl(
        socket,
        libc::SIOCGIFNAME,
        &mut request,
        "ioctl(SIOCGIFNAME)",
    )?;
    let mut flags = request;
    ioctl(
        socket,
        libc::SIOCGIFFLAGS,
        &mut flags,
        "ioctl(SIOCGIFFLAGS)",
    )?;
    ioctl(socket, libc::SIOCGIFMTU, &mut request, "ioctl(SIOCGIFMTU)")?;
    // SAFETY: the value is ours, on this stack; nobody writes to it; the kernel has written this
    // member.
    let flags = i32::from(unsafe { flags.ifr_ifru.ifru_flags });
    // SAFETY: as for the flags: our value, no other writer, and this member was written.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu as u32 };
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(LinkFacts {
        is_up: flags & up == up,
        mtu,
    })
}
