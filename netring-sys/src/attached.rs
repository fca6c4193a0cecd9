//! The XDP program of an interface.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::netlink::{self, Message};
use crate::{Interface, SyscallError};

/// An XDP program that is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpProgram {
    /// Where it runs.
    pub mode: XdpMode,
    /// Its number, unique on this host.
    pub id: u32,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XdpMode {
    /// In the driver, before the kernel makes a packet of what arrived.
    #[doc(alias = "XDP_FLAGS_DRV_MODE")]
    Native,
    /// In the kernel's stack, on any interface, slower.
    #[doc(alias = "XDP_FLAGS_SKB_MODE")]
    Generic,
    /// On the card.
    #[doc(alias = "XDP_FLAGS_HW_MODE")]
    Offloaded,
}

const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;

impl XdpMode {
    pub(crate) const fn from_kernel(attached: u8) -> Option<Self> {
        match attached {
            1 => Some(Self::Native),
            2 => Some(Self::Generic),
            3 => Some(Self::Offloaded),
            _ => None,
        }
    }

    /// `XDP_FLAGS_*`.
    pub(crate) const fn flag(self) -> u32 {
        match self {
            Self::Generic => 1 << 1,
            Self::Native => 1 << 2,
            Self::Offloaded => 1 << 3,
        }
    }
}

impl Interface {
    /// Takes a program off that was attached by netlink: this one, and no other that came in between (kernel 5.7).
    ///
    /// # Errors
    /// `EEXIST` where it is not the one that is attached, `EBUSY` where a link of its owner's holds it, `EPERM`.
    #[doc(alias = "XDP_FLAGS_REPLACE")]
    pub fn detach_xdp(&self, program: BorrowedFd<'_>, mode: XdpMode) -> Result<(), SyscallError> {
        let (expected, flags) = (program.as_raw_fd(), mode.flag() | XDP_FLAGS_REPLACE);
        self.set_xdp(&netlink::set_xdp(self.index, -1, Some(expected), flags))
    }

    /// Attaches a program by netlink, where there is none. **It stays when the process is gone**, until somebody takes it off.
    ///
    /// # Errors
    /// `EBUSY` where there is a program, `EOPNOTSUPP` where the driver has no native mode, `EPERM`.
    #[doc(alias = "IFLA_XDP_FD")]
    pub fn attach_xdp(&self, program: BorrowedFd<'_>, mode: XdpMode) -> Result<(), SyscallError> {
        let flags = mode.flag() | XDP_FLAGS_UPDATE_IF_NOEXIST;
        self.set_xdp(&netlink::set_xdp(
            self.index,
            program.as_raw_fd(),
            None,
            flags,
        ))
    }

    fn set_xdp(&self, request: &[u8]) -> Result<(), SyscallError> {
        netlink::ask(request, |_, message| match message {
            Message::Refused { errno: 0 } => Some(Ok(())),
            Message::Refused { errno } => Some(Err(SyscallError {
                call: "netlink(IFLA_XDP)",
                source: std::io::Error::from_raw_os_error(errno),
            })),
            _ => None,
        })?
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        })
    }
}
