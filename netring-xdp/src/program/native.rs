//! Explains why a driver does not run a program, and what to do about it.

use netring_sys::errno::{EINVAL, ENODEV, ENOSPC, ERANGE};
use netring_sys::kernel::xdp::XDP_PACKET_HEADROOM;
use netring_sys::syscall::page_size;
use netring_sys::{Error, Interface, SyscallError};

use crate::permit;

/// The largest MTU with which drivers give a program each packet in one buffer, a page: 3506 with
/// pages of 4 KiB. veth has exactly this bound, for the MTU of its other end; other drivers are
/// close to it.
pub(crate) fn mtu_of_one_buffer() -> u32 {
    /// `struct skb_shared_info`, rounded up to a cache line.
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
    // veth returns ERANGE, whichever of its ends is meant; others EINVAL, which has other reasons
    // too.
    if refused.is(ERANGE) || refused.is(EINVAL) && *mtu > bound {
        return Error::MtuTooLarge {
            interface: name.clone(),
            mtu: *mtu,
            max: bound,
            advice: format!(
                "{whose}. Enable `multi_buffer(true)` (kernel 5.18; the default of a capture from \
                 kernel 6.6) or load the program as `xdp.frags`, lower the MTU (`ip link set \
                 {name} mtu {bound}`, on veth at both ends), or use generic mode"
            ),
        };
    }
    if refused.is(ENOSPC) {
        return Error::TooFewQueues {
            interface: name.clone(),
            queues: interface.rx_queues,
            advice: format!(
                "on veth the other end must not have more transmit queues. Add receive queues \
                 (`ethtool -L {name} rx N`), remove transmit queues of the other end (`tx N`), or \
                 use generic mode"
            ),
        };
    }
    permit::for_program(refused)
}

/// Whether native mode refused the MTU.
pub(crate) fn is_about_mtu(error: &Error) -> bool {
    matches!(error, Error::MtuTooLarge { .. })
}

/// Whether generic mode may work if native mode failed with this error.
pub(crate) fn is_about_native(error: &Error) -> bool {
    match error {
        Error::Syscall(failed) => !failed.is(ENODEV),
        Error::MtuTooLarge { .. } | Error::TooFewQueues { .. } => true,
        _ => false,
    }
}
