//! The few messages of `rtnetlink(7)` about interfaces.

mod address;
mod ethtool;
mod exchange;
mod generic;
mod link;
mod netdev;
mod route;
mod wire;

pub use address::InterfaceAddress;
pub(crate) use address::addresses;
pub(crate) use ethtool::{Ethtool, Features, Setting};
pub(crate) use link::Link;
pub use netdev::{XdpFeatures, XdpMetadata};
pub(crate) use route::carries_default_route;

use std::os::fd::{AsFd, BorrowedFd};

use crate::SyscallError;
use crate::syscall::netlink_socket;
use exchange::{dump, exchange};
use wire::{
    NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_ERROR, attribute, error_in, finished,
    request, split,
};

/// The multicast group of notifications about interfaces.
// [`RTMGRP_LINK`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L682
pub(crate) const RTMGRP_LINK: u32 = 1;

// [`RTM_NEWLINK`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L29
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

/// The family of messages about interfaces themselves. A bridge announces its ports with the same
/// messages in the same group: an interface that leaves a bridge is a "deleted link" of the family
/// AF_BRIDGE, and still exists.
const AF_UNSPEC: u8 = 0;

// [`IFLA_IFNAME`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L300
const IFLA_IFNAME: u16 = 3;
// [`IFLA_EXT_MASK`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L335
const IFLA_EXT_MASK: u16 = 29;
// [`RTEXT_FILTER_BRVLAN_COMPRESSED`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L821
const RTEXT_FILTER_BRVLAN_COMPRESSED: u32 = 1 << 2;
// [`IFLA_XDP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L350
const IFLA_XDP: u16 = 43;
// [`IFLA_XDP_FD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1894
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
// [`IFLA_XDP_EXPECTED_FD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1901
const IFLA_XDP_EXPECTED_FD: u16 = 8;
/// An alternative name (kernel 5.5).
// [`IFLA_ALT_IFNAME`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L361
const IFLA_ALT_IFNAME: u16 = 53;
/// The call that a refusal is reported for.
const GET_LINK: &str = "netlink(RTM_GETLINK)";

/// The size of the receive buffer in bytes: the alternative names of an interface alone can take 64
/// KiB.
pub(crate) const BUFFER: usize = 256 * 1024;

/// A message about an interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// The interface exists, in this state.
    Link(Link<'a>),
    /// The interface was removed; this is its last state.
    Removed(Link<'a>),
    /// The kernel refused the request with this error number (`ENODEV` …); 0 acknowledges a request
    /// that asked for it.
    Refused { errno: i32 },
}

/// A request for one interface: by name, or by index if the name is empty. The kernel finds a short
/// alternative name under either attribute, and a long one under its own only.
pub(crate) fn get_link(index: u32, name: &str) -> Vec<u8> {
    let mut message = request(RTM_GETLINK, NLM_F_REQUEST, index);
    if !name.is_empty() {
        let kind = match name.len() < libc::IFNAMSIZ {
            true => IFLA_IFNAME,
            false => IFLA_ALT_IFNAME,
        };
        attribute(&mut message, kind, &[name.as_bytes(), &[0]].concat());
    }
    finished(message)
}

/// A request to put the XDP program `fd`, or none for −1, in place of the program `expected`.
pub(crate) fn set_xdp(index: u32, fd: i32, expected: Option<i32>, flags: u32) -> Vec<u8> {
    let mut nested = Vec::new();
    attribute(&mut nested, IFLA_XDP_FD, &fd.to_ne_bytes());
    attribute(&mut nested, IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    if let Some(expected) = expected {
        attribute(&mut nested, IFLA_XDP_EXPECTED_FD, &expected.to_ne_bytes());
    }
    let mut message = request(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, index);
    attribute(&mut message, IFLA_XDP | NLA_F_NESTED, &nested);
    finished(message)
}

/// All interfaces of the namespace of a netlink socket, mapped by `each`. Nothing else may be
/// expected on the socket.
///
/// # Errors
/// The errors of [`dump`].
pub(crate) fn ask_all<T>(
    socket: BorrowedFd<'_>,
    mut each: impl FnMut(Link<'_>) -> T,
) -> Result<Vec<T>, SyscallError> {
    let mut request = request(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0);
    // The bit itself adds nothing. But without any bit, the kernel reserves no room for an
    // interface with hundreds of names, and leaves it out without an error.
    attribute(
        &mut request,
        IFLA_EXT_MASK,
        &RTEXT_FILTER_BRVLAN_COMPRESSED.to_ne_bytes(),
    );
    dump(socket, &finished(request), |kind, message| {
        (kind == RTM_NEWLINK).then(|| Link::read(message).map(&mut each))?
    })
}

/// A refusal of a request about interfaces, as an error.
pub(crate) fn refused(errno: i32) -> SyscallError {
    SyscallError {
        call: GET_LINK,
        source: std::io::Error::from_raw_os_error(errno),
    }
}

/// Whether a failed request means that this process may not use netlink at all, as in a sandbox,
/// rather than that a resource is scarce.
pub(crate) fn is_forbidden(error: &SyscallError) -> bool {
    const SCARCE: [i32; 5] = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOMEM,
        libc::ENOBUFS,
        libc::EAGAIN,
    ];
    const MAY_NOT: [&str; 3] = ["socket(AF_NETLINK)", "bind(AF_NETLINK)", "send(netlink)"];
    MAY_NOT.contains(&error.call) && !SCARCE.iter().any(|&errno| error.is(errno))
}

/// Sends a request on a new socket and waits until `answer` returns something for one of the
/// replies. `answer` also receives the socket, for further requests.
pub(crate) fn ask<T>(
    request: &[u8],
    mut answer: impl FnMut(BorrowedFd<'_>, Message<'_>) -> Option<T>,
) -> Result<T, SyscallError> {
    let socket = netlink_socket(0)?;
    exchange(socket.as_fd(), request, |bytes| {
        messages(bytes).find_map(|message| answer(socket.as_fd(), message))
    })
}

/// The messages about interfaces among the received bytes; others are skipped.
pub(crate) fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    split(bytes).filter_map(|(kind, _, message)| match kind {
        NLMSG_ERROR => Some(Message::Refused {
            errno: error_in(message),
        }),
        RTM_NEWLINK | RTM_DELLINK if message.first() != Some(&AF_UNSPEC) => None,
        RTM_NEWLINK => Link::read(message).map(Message::Link),
        RTM_DELLINK => Link::read(message).map(Message::Removed),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::wire::{HEADER, INFO, u16_at, u32_at};
    use super::*;

    #[test]
    fn a_request_reads_back_with_its_name_on_a_grid_of_four() {
        for name in ["a", "lo", "eth", "veth", "veth0"] {
            let message = get_link(0, name);
            assert_eq!(message.len() % 4, 0);
            assert_eq!(u32_at(&message, 0), Some(message.len() as u32));
            assert_eq!(
                Link::read(&message[HEADER..]).unwrap().name,
                name.as_bytes()
            );
        }
        // The first attribute holds at most 15 bytes.
        for (len, kind) in [
            (15, IFLA_IFNAME),
            (16, IFLA_ALT_IFNAME),
            (127, IFLA_ALT_IFNAME),
        ] {
            let message = get_link(0, &"n".repeat(len));
            assert_eq!(u16_at(&message, HEADER + INFO + 2), Some(kind));
        }
        assert_eq!(Link::read(&get_link(7, "")[HEADER..]).unwrap().index, 7);
    }

    #[test]
    fn damaged_messages_end_the_walk() {
        let mut message = get_link(3, "veth0");
        message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        let two = [message.clone(), message.clone()].concat();
        assert_eq!(messages(&two).count(), 2);
        for cut in 0..two.len() {
            assert!(messages(&two[..cut]).count() <= 1, "{cut}");
        }
        for (at, value) in (0..message.len()).flat_map(|at| [0, 1, 3, 255].map(|value| (at, value)))
        {
            let mut damaged = message.clone();
            damaged[at] = value;
            assert!(messages(&damaged).count() <= 1);
        }
    }

    #[test]
    fn a_refusal_carries_its_error_number() {
        let mut message = vec![0; 36];
        message[..4].copy_from_slice(&36_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        message[16..20].copy_from_slice(&(-19_i32).to_ne_bytes());
        assert_eq!(
            messages(&message).next(),
            Some(Message::Refused { errno: 19 })
        );
    }
}
