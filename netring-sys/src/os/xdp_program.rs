//! Attaching and detaching XDP programs by netlink.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::os::netlink::{self, Message};
use crate::{Interface, SyscallError, XdpMode};

// [`XDP_FLAGS_UPDATE_IF_NOEXIST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1872
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;

impl Interface {
    /// Detaches a program that was attached by netlink, but not one that has replaced it meanwhile
    /// (kernel 5.7). Call it in the network namespace of the interface ([`inside`](Self::inside)).
    ///
    /// # Errors
    /// `EEXIST` if another program is attached, `EBUSY` if a BPF link holds it, `EPERM` without
    /// CAP_NET_ADMIN.
    #[doc(alias = "XDP_FLAGS_REPLACE")]
    pub fn detach_xdp(&self, program: BorrowedFd<'_>, mode: XdpMode) -> Result<(), SyscallError> {
        let (expected, flags) = (program.as_raw_fd(), mode.flag() | XDP_FLAGS_REPLACE);
        self.set_xdp(&netlink::set_xdp(self.index, -1, Some(expected), flags))
    }

    /// Attaches a program by netlink if the interface has none. **It stays attached after the
    /// process ends**, until it is detached. Call it in the network namespace of the interface
    /// ([`inside`](Self::inside)).
    ///
    /// # Errors
    /// `EBUSY` if there is a program, `EOPNOTSUPP` if the driver has no native mode, `EPERM`
    /// without CAP_NET_ADMIN.
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
