//! Which interfaces carry a default route.

use std::os::fd::AsFd;

use super::exchange::dump;
use super::wire::{NLM_F_DUMP, NLM_F_REQUEST, attributes, finished, request, u16_at, u32_at};
use super::{Link, ask_all};
use crate::SyscallError;
use crate::syscall::netlink_socket;

// [`RTM_NEWROUTE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h#L45
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
// [`RTA_OIF`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
/// Bytes of `rtmsg`, and of the `rtnexthop` that begins each part of a multipath route.
// [`rtmsg`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h
const ROUTE: usize = 12;
const NEXT_HOP: usize = 8;
/// A route to a gateway or a link, as opposed to one that rejects packets.
// [`RTN_UNICAST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/rtnetlink.h
const RTN_UNICAST: u8 = 1;

/// Whether a default route leads through the interface with this index or through one that is
/// stacked on it.
pub(crate) fn carries_default_route(index: u32) -> Result<bool, SyscallError> {
    // Zeros ask for all routes of all families and tables.
    let request = finished(request(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, 0));
    let socket = netlink_socket(0)?;
    let routes = dump(socket.as_fd(), &request, |kind, message| {
        (kind == RTM_NEWROUTE).then(|| default_route(message))?
    })?;
    let direct: Vec<u32> = routes.concat();
    // A route by a nexthop object names no interface if `net.ipv4.nexthop_compat_mode` is 0. It may
    // be any.
    if direct.is_empty() || routes.iter().any(Vec::is_empty) {
        return Ok(!routes.is_empty());
    }
    let links = ask_all(socket.as_fd(), |link| Stacked::of(&link))?;
    Ok(with_those_below(direct, &links).contains(&index))
}

/// The interfaces that a route names, if it is a default route.
fn default_route(message: &[u8]) -> Option<Vec<u32>> {
    const FAMILIES: [u8; 2] = [libc::AF_INET as u8, libc::AF_INET6 as u8];
    let &[family, dst_len, _, _, _, _, _, kind] = message.first_chunk()?;
    if !FAMILIES.contains(&family) || dst_len != 0 || kind != RTN_UNICAST {
        return None;
    }
    let mut found = Vec::new();
    for (kind, value) in attributes(message.get(ROUTE..)?) {
        match kind {
            RTA_OIF => found.extend(u32_at(value, 0)),
            RTA_MULTIPATH => found.extend(next_hops(value)),
            _ => {}
        }
    }
    Some(found)
}

fn next_hops(mut bytes: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let (len, index) = (usize::from(u16_at(bytes, 0)?), u32_at(bytes, 4)?);
        bytes = bytes.get(len.max(NEXT_HOP).next_multiple_of(4)..)?;
        Some(index)
    })
}

/// An interface among others; 0 for none.
struct Stacked {
    index: u32,
    /// The bridge, bond or VRF that it is a port of.
    master: u32,
    /// The interface that it stands on, as a VLAN does.
    lower: u32,
}

impl Stacked {
    const fn of(link: &Link<'_>) -> Self {
        Self {
            index: link.index,
            master: link.master,
            lower: link.lower,
        }
    }
}

/// Adds the interfaces below these: what a bridge or a VLAN receives came through them.
fn with_those_below(mut found: Vec<u32>, links: &[Stacked]) -> Vec<u32> {
    let mut next = 0;
    while let Some(&upper) = found.get(next) {
        next += 1;
        for link in links {
            let below = match link {
                link if link.index == upper => link.lower,
                link if link.master == upper => link.index,
                _ => 0,
            };
            if below != 0 && !found.contains(&below) {
                found.push(below);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::wire::attribute;
    use super::*;

    fn route(family: i32, dst_len: u8, kind: u8) -> Vec<u8> {
        let mut message = vec![0; ROUTE];
        message[0] = family as u8;
        message[1] = dst_len;
        message[7] = kind;
        message
    }

    #[test]
    fn only_default_routes_that_carry_packets_count() {
        let mut through = route(libc::AF_INET, 0, RTN_UNICAST);
        attribute(&mut through, RTA_OIF, &7_u32.to_ne_bytes());
        assert_eq!(default_route(&through), Some(vec![7]));
        for (at, other) in [(0, libc::AF_MPLS as u8), (1, 24), (7, 7)] {
            let mut message = through.clone();
            message[at] = other;
            assert_eq!(default_route(&message), None);
        }
        let nexthop_object = route(libc::AF_INET6, 0, RTN_UNICAST);
        assert_eq!(default_route(&nexthop_object), Some(vec![]));
    }

    #[test]
    fn each_next_hop_of_a_multipath_route_is_found() {
        let hop = |index: u32, extra: &[u8]| {
            let len = (NEXT_HOP + extra.len()) as u16;
            let head = [&len.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes()];
            [&head.concat(), extra].concat()
        };
        let hops = [hop(3, &[8, 0, 5, 0, 10, 0, 0, 1]), hop(9, &[])].concat();
        let mut message = route(libc::AF_INET, 0, RTN_UNICAST);
        attribute(&mut message, RTA_MULTIPATH, &hops);
        assert_eq!(default_route(&message), Some(vec![3, 9]));
        // A forged length ends the walk.
        for len in 0..=u16::MAX {
            let mut forged = hops.clone();
            forged[..2].copy_from_slice(&len.to_ne_bytes());
            assert!(next_hops(&forged).count() <= 3, "{len}");
        }
    }

    #[test]
    fn ports_and_lower_interfaces_carry_what_their_uppers_do() {
        let links: Vec<_> = [(2, 5, 0), (3, 5, 0), (4, 0, 0), (5, 0, 0), (6, 0, 5)]
            .map(|(index, master, lower)| Stacked {
                index,
                master,
                lower,
            })
            .into();
        let mut found = with_those_below(vec![6], &links);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 5, 6]);
        assert_eq!(with_those_below(vec![2], &links), [2]);
    }
}
