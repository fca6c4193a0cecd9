//! Queries about interfaces by ioctl: `netdevice(7)`, and ethtool's.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

mod driver;
mod facts;
mod timestamping;

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;
use crate::SyscallError;

pub use driver::{DriverByIoctl, ethtool_driver};
pub use facts::{LinkFacts, link_facts};
pub use timestamping::{ethtool_timestamping, hardware_timestamping, set_hardware_timestamping};

// [`SIOCETHTOOL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/sockios.h#L102
const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// What ioctl reports about an interface, for a process that may not use netlink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceByIoctl {
    /// Its index.
    pub index: u32,
    /// Its own name, even if it was queried by another.
    pub name: String,
    /// The lower 16 bits of its `IFF_*` flags.
    pub flags: u16,
    /// Its MTU, in bytes.
    pub mtu: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// The first six bytes of its hardware address.
    pub address: [u8; 6],
}

/// Opens a socket for queries about the interfaces of this thread's network namespace, of the first
/// family that a sandbox allows.
///
/// # Errors
/// The error for the last family, `AF_PACKET`.
pub fn interface_socket() -> Result<OwnedFd, SyscallError> {
    let open = |family| {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
        let fd = check(
            unsafe { libc::socket(family, kind, 0) },
            "socket(AF_PACKET)",
        )?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is
        // open.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    open(libc::AF_UNIX)
        .or_else(|_: SyscallError| open(libc::AF_INET))
        .or_else(|_| open(libc::AF_PACKET))
}

/// Queries the interface with this name of up to 15 bytes, which may be an alternative one, or with
/// this index if the name is empty.
///
/// # Errors
/// `ENODEV` if there is no such interface.
// [`dev_ioctl`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/dev_ioctl.c#L654
#[doc(alias = "SIOCGIFINDEX")]
#[doc(alias = "SIOCGIFNAME")]
pub fn interface_by_ioctl(
    socket: BorrowedFd<'_>,
    index: u32,
    name: &str,
) -> Result<InterfaceByIoctl, SyscallError> {
    let index = match name {
        "" => index,
        _ => {
            let mut request = named(name);
            ioctl(
                socket,
                libc::SIOCGIFINDEX,
                &mut request,
                "ioctl(SIOCGIFINDEX)",
            )?;
            // SAFETY: the request is on this stack and nobody else's; the kernel has just written
            // this member.
            unsafe { request.ifr_ifru.ifru_ifindex as u32 }
        }
    };
    // From here on by index, which stays the same if the interface is renamed now.
    let mut found = named("");
    found.ifr_ifru.ifru_ifindex = index as i32;
    ioctl(socket, libc::SIOCGIFNAME, &mut found, "ioctl(SIOCGIFNAME)")?;
    let name = found.ifr_name.map(|byte| byte as u8);
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    let ask = |command, call| {
        let mut request = found;
        ioctl(socket, command, &mut request, call).map(|()| request.ifr_ifru)
    };
    let flags = ask(libc::SIOCGIFFLAGS, "ioctl(SIOCGIFFLAGS)")?;
    let mtu = ask(libc::SIOCGIFMTU, "ioctl(SIOCGIFMTU)")?;
    let address = ask(libc::SIOCGIFHWADDR, "ioctl(SIOCGIFHWADDR)")?;
    // SAFETY: the value is ours, on this stack; nobody writes to it; the kernel has written this
    // member.
    let flags = unsafe { flags.ifru_flags as u16 };
    // SAFETY: as for the flags: our value, no other writer, and this member was written.
    let mtu = unsafe { mtu.ifru_mtu as u32 };
    // SAFETY: as for the flags: our value, no other writer, and this member was written.
    let address = unsafe { address.ifru_hwaddr };
    Ok(InterfaceByIoctl {
        index,
        name: name.to_string_lossy().into_owned(),
        flags,
        mtu,
        hardware_type: address.sa_family,
        address: std::array::from_fn(|at| address.sa_data[at] as u8),
    })
}

/// `struct ethtool_channels` and `struct ethtool_ringparam`, which have the same layout: the
/// command, four limits and four settings.
// [`ethtool_channels`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool.h#L552
#[repr(C)]
#[derive(Default)]
struct Four {
    command: u32,
    limits: [u32; 4],
    settings: [u32; 4],
}

/// The number of receive and transmit queues that an interface uses now; `None` if the driver does
/// not report it.
///
/// # Errors
/// `ENODEV` if there is no such interface.
// [`ethtool_get_channels`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/ioctl.c#L2242
#[doc(alias = "ETHTOOL_GCHANNELS")]
pub fn ethtool_channels(
    socket: BorrowedFd<'_>,
    name: &str,
) -> Result<Option<(u32, u32)>, SyscallError> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let mut channels = Four {
        command: ETHTOOL_GCHANNELS,
        ..Four::default()
    };
    match ethtool(socket, name, &mut channels, "ioctl(ETHTOOL_GCHANNELS)") {
        Ok(()) => {
            let [receive, transmit, _, combined] = channels.settings;
            Ok(Some((receive + combined, transmit + combined)))
        }
        Err(error)
            if error.is(libc::EOPNOTSUPP) || error.is(libc::ENOTTY) || error.is(libc::EINVAL) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Entries of the card's own rings: receive, mini receive, jumbo receive, transmit.
///
/// # Errors
/// `EOPNOTSUPP` from a driver without such rings (veth), `ENODEV` if there is no such interface.
// [`ethtool_get_ringparam`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/ioctl.c#L2198
#[doc(alias = "ETHTOOL_GRINGPARAM")]
pub fn ethtool_rings(socket: BorrowedFd<'_>, name: &str) -> Result<[u32; 4], SyscallError> {
    const ETHTOOL_GRINGPARAM: u32 = 0x10;
    let mut rings = Four {
        command: ETHTOOL_GRINGPARAM,
        ..Four::default()
    };
    ethtool(socket, name, &mut rings, "ioctl(ETHTOOL_GRINGPARAM)")?;
    Ok(rings.settings)
}

/// Sets the entries of the card's own rings, in the order of [`ethtool_rings`].
///
/// # Errors
/// The errors of [`ethtool_rings`]; `EINVAL` for a size that the card does not support, `EPERM`
/// without CAP_NET_ADMIN.
// [`ethtool_set_ringparam`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/ioctl.c#L2214
#[doc(alias = "ETHTOOL_SRINGPARAM")]
pub fn set_ethtool_rings(
    socket: BorrowedFd<'_>,
    name: &str,
    entries: [u32; 4],
) -> Result<(), SyscallError> {
    const ETHTOOL_SRINGPARAM: u32 = 0x11;
    let mut rings = Four {
        command: ETHTOOL_SRINGPARAM,
        settings: entries,
        ..Four::default()
    };
    ethtool(socket, name, &mut rings, "ioctl(ETHTOOL_SRINGPARAM)")
}

fn ethtool(
    socket: BorrowedFd<'_>,
    name: &str,
    four: &mut Four,
    call: &'static str,
) -> Result<(), SyscallError> {
    with_struct(socket, SIOCETHTOOL, name, four, call)
}

/// An ioctl with a struct of the kernel's, which `T` has to be for this command.
fn with_struct<T>(
    socket: BorrowedFd<'_>,
    command: libc::c_ulong,
    name: &str,
    value: &mut T,
    call: &'static str,
) -> Result<(), SyscallError> {
    let mut request = named(name);
    let target: *mut T = value;
    request.ifr_ifru.ifru_data = target.cast();
    ioctl(socket, command, &mut request, call)
}

/// A request for the interface with this name.
fn named(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is made of integers and pointers, for which zero is a value; it is on this
    // stack; its size is its type's.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero, as the terminator.
    let room = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (to, from) in room.zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// Makes a request. If its command reads a pointer, that is to a struct that the caller borrows, of
/// the size that the command expects.
fn ioctl(
    socket: BorrowedFd<'_>,
    command: libc::c_ulong,
    request: &mut libc::ifreq,
    call: &'static str,
) -> Result<(), SyscallError> {
    let request: *mut libc::ifreq = request;
    // SAFETY: the request is lent to us, and so is what it points to; nobody else uses them; the
    // command determines which structs the kernel reads and writes, and they have these sizes.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), command as _, request) };
    check(result, call).map(drop)
}
