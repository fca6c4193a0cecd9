//! Binds a socket to its queue, and explains why not.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::errno::{EBUSY, EINVAL, ENETDOWN, ENODEV};
use netring_sys::kernel::xdp::{
    XDP_COPY, XDP_SHARED_UMEM, XDP_USE_NEED_WAKEUP, XDP_USE_SG, XDP_ZEROCOPY, sockaddr_xdp,
};
use netring_sys::syscall::bind_xdp;
use netring_sys::{Error, Interface, SyscallError};

use crate::options::CopyMode;
use crate::socket::config::SocketConfig;

/// Binds the socket. Returns why it is not in zero-copy mode, if that was only preferred.
pub(super) fn bind(
    socket: BorrowedFd<'_>,
    config: &SocketConfig,
    interface: &Interface,
    lender: Option<BorrowedFd<'_>>,
) -> Result<Option<SyscallError>, Error> {
    let flag = |set, flag| if set { flag } else { 0 };
    let common = flag(config.options.need_wakeup, XDP_USE_NEED_WAKEUP)
        | flag(config.options.multi_buffer, XDP_USE_SG);
    let with = |flags| {
        let address = sockaddr_xdp {
            sxdp_flags: flags,
            sxdp_ifindex: interface.index,
            sxdp_queue_id: config.queue,
            ..sockaddr_xdp::default()
        };
        bind_when_free(socket, &address, lender)
    };
    if lender.is_some() {
        // The kernel takes everything else from the socket that registered the memory, and refuses
        // other flags.
        return match with(XDP_SHARED_UMEM) {
            Ok(()) => Ok(None),
            Err(error) => Err(explained(error, config, interface)),
        };
    }
    let result = match config.options.copy_mode {
        CopyMode::Copy => with(common | XDP_COPY).map(|()| None),
        CopyMode::ZeroCopy => with(common | XDP_ZEROCOPY).map(|()| None),
        CopyMode::Best => match with(common | XDP_ZEROCOPY) {
            Ok(()) => Ok(None),
            Err(error) if error.is(EBUSY) || error.is(ENODEV) || error.is(ENETDOWN) => Err(error),
            Err(why) => with(common | XDP_COPY).map(|()| Some(why)),
        },
    };
    result.map_err(|error| explained(error, config, interface))
}

/// Waits for the queue if it is busy. It becomes free a moment after its last socket was closed:
/// the kernel releases it later, under the lock for changes of all interfaces. While namespaces are
/// created and removed, this was seen to take more than a second.
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

fn explained(error: SyscallError, config: &SocketConfig, interface: &Interface) -> Error {
    if error.is(EBUSY) {
        Error::QueueBusy {
            interface: interface.name.clone(),
            queue: config.queue,
        }
    } else if error.is(EINVAL) && config.options.multi_buffer {
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
