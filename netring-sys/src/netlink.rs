//! The few messages of `rtnetlink(7)` that tell about interfaces.
//!
//! Answers come from the kernel, yet every length in them is checked: a short read ends the walk.

mod netdev;

pub use netdev::{XdpFeatures, XdpMetadata};

use crate::{XdpMode, XdpProgram};

use std::os::fd::{AsFd, BorrowedFd};

use crate::SyscallError;
use crate::syscall::{netlink_receive, netlink_send, netlink_socket, poll_readable};

/// Notifications about interfaces.
pub(crate) const RTMGRP_LINK: u32 = 1;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;

/// The family of messages about interfaces themselves. A bridge tells of its ports in the same words and to the same group:
/// an interface that leaves a bridge is a "deleted link" of the family AF_BRIDGE, and is still there.
const AF_UNSPEC: u8 = 0;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_STATS64: u16 = 23;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
/// The flag of an attribute that is made of attributes; older kernels leave it out.
const NLA_F_NESTED: u16 = 0x8000;

/// Bytes of `nlmsghdr`, and of `ifinfomsg` behind it.
const HEADER: usize = 16;
const INFO: usize = 16;

/// A message about an interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// It exists, and this is so of it.
    Link(Link<'a>),
    /// It does not exist any more.
    Removed { index: u32 },
    /// The kernel refused the request, with this number (`ENODEV` …); 0 where it was done, and that was asked for.
    Refused { errno: i32 },
}

/// What the kernel says of an interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) hardware_type: u16,
    pub(crate) name: &'a [u8],
    pub(crate) address: &'a [u8],
    pub(crate) mtu: u32,
    pub(crate) rx_queues: u32,
    pub(crate) tx_queues: u32,
    /// `rtnl_link_stats64`: 64-bit counters.
    pub(crate) counters: &'a [u8],
    /// The XDP program that is attached, and how.
    pub(crate) xdp: Option<XdpProgram>,
}

/// A request for one interface: by name, or by index where the name is empty.
pub(crate) fn get_link(index: u32, name: &str) -> Vec<u8> {
    let mut message = request(RTM_GETLINK, NLM_F_REQUEST, index);
    if !name.is_empty() {
        attribute(&mut message, IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
    }
    finished(message)
}

/// A request to put the XDP program `fd`, or none for −1, in the place of `expected` (none: of no program).
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

/// Makes a request on a socket of its own, and waits until `answer` finds what it is after among the messages that come back. It is given
/// the socket too, for questions of another kind.
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
    let mut buffer = vec![0; 32 * 1024];
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
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        loop {
            let len = u32_at(bytes, 0)? as usize;
            if len < HEADER || len > bytes.len() {
                return None;
            }
            let (message, kind) = (&bytes[HEADER..len], u16_at(bytes, 4)?);
            bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
            match kind {
                NLMSG_ERROR => {
                    let errno = i32::from_ne_bytes(*message.first_chunk()?).wrapping_neg();
                    return Some(Message::Refused { errno });
                }
                RTM_NEWLINK | RTM_DELLINK if message.first() != Some(&AF_UNSPEC) => {}
                RTM_NEWLINK => return Some(Message::Link(link(message)?)),
                RTM_DELLINK => {
                    return Some(Message::Removed {
                        index: u32_at(message, 4)?,
                    });
                }
                _ => {}
            }
        }
    })
}

fn link(message: &[u8]) -> Option<Link<'_>> {
    let mut link = Link {
        hardware_type: u16_at(message, 2)?,
        index: u32_at(message, 4)?,
        flags: u32_at(message, 8)?,
        ..Link::default()
    };
    for (kind, value) in attributes(message.get(INFO..)?) {
        match kind {
            IFLA_ADDRESS => link.address = value,
            IFLA_IFNAME => link.name = value.strip_suffix(&[0]).unwrap_or(value),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_NUM_RX_QUEUES => link.rx_queues = u32_at(value, 0)?,
            IFLA_NUM_TX_QUEUES => link.tx_queues = u32_at(value, 0)?,
            IFLA_STATS64 => link.counters = value,
            IFLA_XDP => link.xdp = xdp(value),
            _ => {}
        }
    }
    Some(link)
}

fn xdp(nested: &[u8]) -> Option<XdpProgram> {
    let (mut mode, mut main, mut of_mode) = (None, None, None);
    for (kind, value) in attributes(nested) {
        match kind {
            IFLA_XDP_ATTACHED => mode = XdpMode::from_kernel(*value.first()?),
            IFLA_XDP_PROG_ID => main = u32_at(value, 0),
            // More than one mode at once: the one that sees packets first is told last.
            IFLA_XDP_DRV_PROG_ID if of_mode.is_none() => {
                of_mode = u32_at(value, 0).map(|id| (XdpMode::Native, id));
            }
            IFLA_XDP_SKB_PROG_ID if of_mode.is_none() => {
                of_mode = u32_at(value, 0).map(|id| (XdpMode::Generic, id));
            }
            IFLA_XDP_HW_PROG_ID => of_mode = u32_at(value, 0).map(|id| (XdpMode::Offloaded, id)),
            _ => {}
        }
    }
    let (mode, id) = of_mode.or(mode.zip(main))?;
    Some(XdpProgram { mode, id })
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
            assert_eq!(link(&message[HEADER..]).unwrap().name, name.as_bytes());
        }
        assert_eq!(link(&get_link(7, "")[HEADER..]).unwrap().index, 7);
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
    fn the_program_of_an_interface_is_read_with_its_mode() {
        let told = |attributes: &[(u16, &[u8])]| {
            let mut nested = Vec::new();
            for (kind, value) in attributes {
                attribute(&mut nested, *kind, value);
            }
            let mut message = request(RTM_NEWLINK, 0, 3);
            attribute(&mut message, IFLA_XDP, &nested);
            link(&finished(message)[HEADER..]).unwrap().xdp
        };
        let id = 9_u32.to_ne_bytes();
        let program = |mode| Some(XdpProgram { mode, id: 9 });
        assert_eq!(told(&[(IFLA_XDP_ATTACHED, &[0])]), None);
        let native = [(IFLA_XDP_ATTACHED, &[1][..]), (IFLA_XDP_PROG_ID, &id)];
        assert_eq!(told(&native), program(XdpMode::Native));
        let generic = [(IFLA_XDP_ATTACHED, &[2][..]), (IFLA_XDP_SKB_PROG_ID, &id)];
        assert_eq!(told(&generic), program(XdpMode::Generic));
        let other = 8_u32.to_ne_bytes();
        let several = [
            (IFLA_XDP_ATTACHED, &[4][..]),
            (IFLA_XDP_DRV_PROG_ID, &other),
            (IFLA_XDP_HW_PROG_ID, &id),
        ];
        assert_eq!(told(&several), program(XdpMode::Offloaded));
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
