//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use super::exchange::dump;
use super::wire::{NLM_F_DUMP, NLM_F_REQUEST, finished, request, u32_at, value_of};
use crate::SyscallError;
use crate::syscall::netlink_socket;

// [`RTM_NEWADDR`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L38
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// The address; with a peer, that of the other end.
// [`IFA_ADDRESS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_addr.h#L28
const IFA_ADDRESS: u16 = 1;
/// The interface's own address, if the two differ.
const IFA_LOCAL: u16 = 2;

/// Bytes of `ifaddrmsg`.
// [`ifaddrmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_addr.h#L8
const INFO: usize = 8;

/// An address of an interface and its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits, 0 to 32 or 128.
    pub prefix_len: u8,
}

/// The addresses of the interface with this index.
pub(crate) fn addresses(index: u32) -> Result<Vec<InterfaceAddress>, SyscallError> {
    // The request reserves more room than `ifaddrmsg` needs, and zeros ask for all addresses of
    // both families.
    let request = finished(request(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 0));
    let socket = netlink_socket(0)?;
    dump(socket.as_fd(), &request, |kind, message| {
        let of = (kind == RTM_NEWADDR).then(|| u32_at(message, 4))??;
        (of == index).then(|| read(message))?
    })
}

fn read(message: &[u8]) -> Option<InterfaceAddress> {
    let attributes = message.get(INFO..)?;
    let address = |kind| value_of(attributes, kind).and_then(ip);
    Some(InterfaceAddress {
        ip: address(IFA_LOCAL).or_else(|| address(IFA_ADDRESS))?,
        prefix_len: message[1],
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|v6| Ipv6Addr::from(v6).into())
}

#[cfg(test)]
mod tests {
    use super::super::wire::attribute;
    use super::*;

    #[test]
    fn the_own_address_is_read_and_not_that_of_the_peer() {
        let mut message = vec![2, 30, 0, 0, 7, 0, 0, 0];
        attribute(&mut message, IFA_ADDRESS, &[10, 0, 0, 2]);
        let peer = message.len();
        attribute(&mut message, IFA_LOCAL, &[10, 0, 0, 1]);
        let reported = |ip: [u8; 4]| InterfaceAddress {
            ip: ip.into(),
            prefix_len: 30,
        };
        assert_eq!(read(&message), Some(reported([10, 0, 0, 1])));
        assert_eq!(read(&message[..peer]), Some(reported([10, 0, 0, 2])));
        for cut in 0..peer {
            assert_eq!(read(&message[..cut]), None);
        }
    }
}
