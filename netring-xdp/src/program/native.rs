//! What a driver says when it does not run a program, in words that say what to do.

use netring_sys::kernel::xdp::XDP_PACKET_HEADROOM;
use netring_sys::syscall::page_size;
use netring_sys::{Error, Interface, SyscallError};

use crate::permit;

const ERANGE: i32 = 34;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const ENODEV: i32 = 19;

/// The largest MTU by which drivers give a program each packet in one buffer, a page: 3506 with
/// pages of 4 KiB. veth has exactly this bound, of the MTU of its other end; that of others is
/// close to it.
pub(crate) fn mtu_of_one_buffer() -> u32 {
    /// `struct skb_shared_info`, on a line of the cache.
    const BEHIND: u32 = 320;
    const ETHERNET: u32 = 14;
    let page = u32::try_from(page_size()).unwrap_or(4096);
    page - XDP_PACKET_HEADROOM - BEHIND - ETHERNET
}

/// Why the program does not run in native mode.
pub(super) fn explained(refused: SyscallError, interface: &Interface) -> Error {
    let Interface { name, mtu, .. } = interface;
    let bound = mtu_of_one_buffer();
    let whose = if *mtu > bound {
        format!("{name} has an MTU of {mtu}")
    } else {
        format!("the other end of {name}, which itself has an MTU of {mtu}, has a larger one")
    };
    // veth says ERANGE, whichever of its ends is meant; others EINVAL, which has other reasons too.
    if refused.is(ERANGE) || refused.is(EINVAL) && *mtu > bound {
        return Error::Config {
            setting: MULTI_BUFFER,
            why: format!(
                "{whose}, and the driver runs a program in native mode up to {bound} (on veth: the MTU of the other end) unless it takes packets in \
                 several buffers (kernel 5.18): load it with `multi_buffer(true)`, the default of a capture from kernel 6.6 on, or as `xdp.frags`; \
                 lower the MTU (`ip link set {name} mtu {bound}`, on veth at both ends); or use generic mode",
            ),
        };
    }
    if refused.is(ENOSPC) {
        return Error::Config {
            setting: QUEUES,
            why: format!(
                "the driver of {name} runs no program in native mode with so few queues: {} to receive by, and on veth the other end must not send \
                 by more (`ethtool -L {name} rx N`, or fewer at the other end with `tx N`); or use generic mode",
                interface.rx_queues
            ),
        };
    }
    permit::for_program(refused)
}

const MULTI_BUFFER: &str = "multi_buffer";
const QUEUES: &str = "queues";

/// Whether it is the MTU that native mode does not take.
pub(crate) fn is_about_mtu(error: &Error) -> bool {
    matches!(error, Error::Config { setting, .. } if *setting == MULTI_BUFFER)
}

/// Whether generic mode may do what this error says that native mode does not.
pub(crate) fn is_about_native(error: &Error) -> bool {
    match error {
        Error::Syscall(failed) => !failed.is(ENODEV),
        Error::Config { setting, .. } => *setting == MULTI_BUFFER || *setting == QUEUES,
        _ => false,
    }
}
