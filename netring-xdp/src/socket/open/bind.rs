//! A socket is bound to its queue, and why not if it cannot be.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::errno::{EBUSY, EINVAL, ENETDOWN, ENODEV};
use netring_sys::kernel::xdp::{
    XDP_COPY, XDP_SHARED_UMEM, XDP_USE_NEED_WAKEUP, XDP_USE_SG, XDP_ZEROCOPY, sockaddr_xdp,
};
use netring_sys::syscall::bind_xdp;
use netring_sys::{Error, Interface, SyscallError};

use crate::options::{CopyMode, SocketConfig};

/// Binds, without a copy where that is wanted and can be. Why not, where it was only hoped for.
pub(super) fn bind(
    socket: BorrowedFd<'_>,
    wanted: &SocketConfig,
    interface: &Interface,
    lender: Option<BorrowedFd<'_>>,
) -> Result<Option<SyscallError>, Error> {
    let flag = |set, flag| if set { flag } else { 0 };
    let common =
        flag(wanted.need_wakeup, XDP_USE_NEED_WAKEUP) | flag(wanted.multi_buffer, XDP_USE_SG);
    let with = |flags| {
        let address = sockaddr_xdp {
            sxdp_flags: flags,
            sxdp_ifindex: interface.index,
            sxdp_queue_id: wanted.queue,
            ..sockaddr_xdp::default()
        };
        bind_when_free(socket, &address, lender)
    };
    if lender.is_some() {
        // All else is as with the socket whose memory it is, and may not be said.
        return match with(XDP_SHARED_UMEM) {
            Ok(()) => Ok(None),
            Err(error) => Err(explained(error, wanted, interface)),
        };
    }
    let result = match wanted.copy_mode {
        CopyMode::Copy => with(common | XDP_COPY).map(|()| None),
        CopyMode::ZeroCopy => with(common | XDP_ZEROCOPY).map(|()| None),
        CopyMode::Best => match with(common | XDP_ZEROCOPY) {
            Ok(()) => Ok(None),
            Err(error) if error.is(EBUSY) || error.is(ENODEV) || error.is(ENETDOWN) => Err(error),
            Err(why) => with(common | XDP_COPY).map(|()| Some(why)),
        },
    };
    result.map_err(|error| explained(error, wanted, interface))
}

/// A queue is free a moment after the socket that had it was closed: the kernel lets go of it on
/// its own time, once it gets the lock under which all interfaces are changed. Where namespaces
/// come and go that was seen to take more than a second.
fn bind_when_free(
    socket: BorrowedFd<'_>,
    address: &sockaddr_xdp,
    lender: Option<BorrowedFd<'_>>,
) -> Result<(), SyscallError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bind_xdp(socket, address, lender) {
            Err(error) if error.is(EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

fn explained(error: SyscallError, wanted: &SocketConfig, interface: &Interface) -> Error {
    if error.is(EBUSY) {
        Error::QueueBusy {
            interface: interface.name.clone(),
            queue: wanted.queue,
        }
    } else if error.is(EINVAL) && wanted.multi_buffer {
        Error::Config {
            setting: "multi_buffer",
            why: "packets larger than a chunk need kernel 6.6; lower the MTU, or set \
                  `multi_buffer(false)`: then they are dropped and counted"
                .into(),
        }
    } else {
        error.into()
    }
}
