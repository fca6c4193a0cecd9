//! The few messages of `rtnetlink(7)` that tell about interfaces.
//!
//! Answers come from the kernel, yet every length in them is checked: a short read ends the walk.

mod address;
mod link;
mod netdev;

pub use address::InterfaceAddress;
pub(crate) use address::addresses;
pub(crate) use link::Link;
pub use netdev::{XdpFeatures, XdpMetadata};

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::SyscallError;
use crate::syscall::{netlink_receive, netlink_send, netlink_socket, poll_readable};

/// Notifications about interfaces.
pub(crate) const RTMGRP_LINK: u32 = 1;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// In an answer: the list changed while it was dumped.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// The family of messages about interfaces themselves. A bridge tells of its ports in the same
/// words and to the same group: an interface that leaves a bridge is a "deleted link" of the family
/// AF_BRIDGE, and is still there.
const AF_UNSPEC: u8 = 0;

const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_BRVLAN_COMPRESSED: u32 = 1 << 2;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
/// An alternative name (kernel 5.5).
const IFLA_ALT_IFNAME: u16 = 53;
/// The flag of an attribute that is made of attributes; older kernels leave it out.
const NLA_F_NESTED: u16 = 0x8000;

/// The name under which an answer that is a refusal is reported.
const GET_LINK: &str = "netlink(RTM_GETLINK)";

/// Room for what one read brings: an interface with many alternative names alone has 64 KiB of
/// them.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Bytes of `nlmsghdr`, and of `ifinfomsg` behind it.
const HEADER: usize = 16;
const INFO: usize = 16;

/// A message about an interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// It exists, and this is so of it.
    Link(Link<'a>),
    /// It does not exist any more; so it was at the end.
    Removed(Link<'a>),
    /// The kernel refused the request, with this number (`ENODEV` …); 0 where it was done, and that
    /// was asked for.
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

/// A request to put the XDP program `fd`, or none for −1, in the place of `expected` (none: of no
/// program).
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

fn request(kind: u16, flags: u16, index: u32) -> Vec<u8> {
    let mut message = vec![0; HEADER + INFO];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&flags.to_ne_bytes());
    message[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_ne_bytes());
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn finished(mut message: Vec<u8>) -> Vec<u8> {
    let len = message.len() as u32;
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message
}

/// All interfaces, as `each` makes something of them, and the socket that they were asked for on.
///
/// # Errors
/// As [`dump`].
pub(crate) fn ask_all<T>(
    mut each: impl FnMut(Link<'_>) -> T,
) -> Result<(Vec<T>, OwnedFd), SyscallError> {
    let mut request = request(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0);
    // The bit itself adds nothing. But without any, the kernel makes no room for an interface with
    // hundreds of names, and leaves it out without an error.
    attribute(
        &mut request,
        IFLA_EXT_MASK,
        &RTEXT_FILTER_BRVLAN_COMPRESSED.to_ne_bytes(),
    );
    dump(&finished(request), |kind, message| {
        (kind == RTM_NEWLINK).then(|| Link::read(message).map(&mut each))?
    })
}

/// All that `each` makes of the messages of a list, and the socket that it was asked for on.
///
/// The kernel makes a long list in several steps, and says so if something came or went in between:
/// then it is asked again.
///
/// # Errors
/// `EAGAIN` if the list keeps changing for a second.
fn dump<T>(
    request: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Option<T>,
) -> Result<(Vec<T>, OwnedFd), SyscallError> {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..ATTEMPTS {
        let socket = netlink_socket(0)?;
        let mut found = Vec::new();
        let ended = exchange(socket.as_fd(), request, |bytes| {
            split(bytes).find_map(|(kind, interrupted, message)| {
                let result = match kind {
                    NLMSG_ERROR | NLMSG_DONE => error_in(message),
                    _ => 0,
                };
                match (interrupted, result) {
                    (true, _) => Some(Ok(false)),
                    (_, errno @ 1..) => Some(Err(refused(errno))),
                    _ if kind == NLMSG_DONE => Some(Ok(true)),
                    _ => {
                        found.extend(each(kind, message));
                        None
                    }
                }
            })
        })?;
        if ended? {
            return Ok((found, socket));
        }
        std::thread::sleep(PAUSE);
    }
    Err(refused(libc::EAGAIN))
}

/// The kernel's answer to a request about interfaces, as an error.
pub(crate) fn refused(errno: i32) -> SyscallError {
    SyscallError {
        call: GET_LINK,
        source: std::io::Error::from_raw_os_error(errno),
    }
}

/// Whether a failed request says that this process may not use netlink at all, as in a sandbox, and
/// not that something is scarce.
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

/// Makes a request on a socket of its own, and waits until `answer` finds what it is after among
/// the messages that come back. It is given the socket too, for questions of another kind.
pub(crate) fn ask<T>(
    request: &[u8],
    mut answer: impl FnMut(BorrowedFd<'_>, Message<'_>) -> Option<T>,
) -> Result<T, SyscallError> {
    let socket = netlink_socket(0)?;
    exchange(socket.as_fd(), request, |bytes| {
        messages(bytes).find_map(|message| answer(socket.as_fd(), message))
    })
}

/// Sends a request, and waits until `answer` finds what it is after in what comes back.
fn exchange<T>(
    socket: BorrowedFd<'_>,
    request: &[u8],
    mut answer: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, SyscallError> {
    netlink_send(socket, request)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let Some(len) = netlink_receive(socket, &mut buffer)? else {
            poll_readable(socket, None)?;
            continue;
        };
        if let Some(found) = answer(&buffer[..len]) {
            return Ok(found);
        }
    }
}

/// The messages about interfaces in what a netlink socket received; others are passed over.
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

/// Each message in what a netlink socket received: its kind, whether it is of a list that changed
/// meanwhile, and what is behind its header.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = (u16, bool, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0)? as usize;
        if len < HEADER || len > bytes.len() {
            return None;
        }
        let (message, kind) = (&bytes[HEADER..len], u16_at(bytes, 4)?);
        let interrupted = u16_at(bytes, 6)? & NLM_F_DUMP_INTR != 0;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, interrupted, message))
    })
}

/// The number that a refusal, or the end of a list, carries: 0 for none.
fn error_in(message: &[u8]) -> i32 {
    message
        .first_chunk()
        .map_or(0, |errno| i32::from_ne_bytes(*errno).wrapping_neg())
}

/// The attributes in `bytes`: kind and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NLA_F_NESTED, value))
    })
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
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
        // 15 bytes are the most that the first attribute holds.
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
    fn the_end_of_a_list_says_whether_it_changed_or_failed() {
        let done = |flags: u16, errno: i32| {
            let mut done = request(NLMSG_DONE, flags, 0);
            done.truncate(HEADER);
            done.extend_from_slice(&errno.to_ne_bytes());
            let bytes = [finished(request(RTM_NEWLINK, flags, 3)), finished(done)].concat();
            let read = split(&bytes).map(|(kind, interrupted, message)| {
                let errno = if kind == NLMSG_DONE {
                    error_in(message)
                } else {
                    0
                };
                (kind, interrupted, errno)
            });
            read.collect::<Vec<_>>()
        };
        for interrupted in [false, true] {
            let flags = 2 | if interrupted { NLM_F_DUMP_INTR } else { 0 };
            for errno in [0, 105] {
                assert_eq!(
                    done(flags, -errno),
                    [
                        (RTM_NEWLINK, interrupted, 0),
                        (NLMSG_DONE, interrupted, errno)
                    ]
                );
            }
        }
    }

    #[test]
    fn a_refusal_tells_its_number() {
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
