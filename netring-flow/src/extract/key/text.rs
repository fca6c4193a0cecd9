//! Keys as text, and back.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::{FromStr, SplitAsciiWhitespace};

use netring_sys::ParseError;

use super::FiveTupleKey;
use crate::extract::TunnelKind;

const NAMES: [(u8, &str); 5] = [
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (58, "icmp6"),
    (132, "sctp"),
];

impl fmt::Display for FiveTupleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.protocol()) {
            Some((_, name)) => f.write_str(name)?,
            None => write!(f, "proto {}", self.protocol())?,
        }
        for end in [self.a(), self.b()] {
            match end {
                _ if self.ports_known() => write!(f, " {end}")?,
                SocketAddr::V4(end) => write!(f, " {}:-", end.ip())?,
                SocketAddr::V6(end) => write!(f, " [{}]:-", end.ip())?,
            }
        }
        for (name, id) in [("vlan", self.vlan()), ("inner vlan", self.inner_vlan())] {
            if id != 0 {
                write!(f, " {name} {id}")?;
            }
        }
        match (self.tunnel(), self.tunnel_id()) {
            (None, _) => Ok(()),
            (Some(kind), 0) => write!(f, " in {kind}"),
            (Some(kind), id) => write!(f, " in {kind} {id}"),
        }
    }
}

impl fmt::Debug for FiveTupleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FiveTupleKey({self})")
    }
}

/// Parses the displayed form of a key. The ends may be in either order.
impl FromStr for FiveTupleKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text)
            .ok_or_else(|| ParseError::new(text, "flow key", "tcp 192.0.2.1:80 192.0.2.9:40000"))
    }
}

fn parse(text: &str) -> Option<FiveTupleKey> {
    let mut words = text.split_ascii_whitespace();
    let protocol = match words.next()? {
        "proto" => words.next()?.parse().ok()?,
        name => NAMES.iter().find(|(_, known)| *known == name)?.0,
    };
    let (a, a_known) = end(words.next()?)?;
    let (b, b_known) = end(words.next()?)?;
    if a_known != b_known || a.is_ipv4() != b.is_ipv4() {
        return None;
    }
    let (mut key, _) = FiveTupleKey::new(protocol, a, b);
    let (ids, tunnel) = tags(words)?;
    key.tags = ids;
    if let Some(kind) = tunnel {
        key = key.in_tunnel(kind);
    }
    Some(key.with_unknown_ports(!a_known))
}

/// An end, and whether its port is known.
fn end(word: &str) -> Option<(SocketAddr, bool)> {
    let Some(addr) = word.strip_suffix(":-") else {
        return Some((word.parse().ok()?, true));
    };
    let inside = addr.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let addr: IpAddr = match inside {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => IpAddr::V4(addr.parse().ok()?),
    };
    Some((SocketAddr::new(addr, 0), false))
}

/// The VLANs and the tunnel at the end, in the order in which they are displayed.
fn tags(words: SplitAsciiWhitespace<'_>) -> Option<(u64, Option<TunnelKind>)> {
    let mut words = words.peekable();
    let mut tags = 0;
    for (name, shift) in [(&["vlan"][..], 16), (&["inner", "vlan"], 0)] {
        if words.next_if_eq(&name[0]).is_some() {
            for word in &name[1..] {
                words.next_if_eq(word)?;
            }
            let id: u16 = words.next()?.parse().ok().filter(|id| *id != 0)?;
            tags |= u64::from(id) << shift;
        }
    }
    let mut tunnel = None;
    if words.next_if_eq(&"in").is_some() {
        let name = words.next()?;
        let (kind, _) = TunnelKind::ALL.iter().find(|(_, known)| *known == name)?;
        tunnel = Some(*kind);
        if let Some(id) = words.next() {
            let id: u32 = id.parse().ok().filter(|id| *id != 0)?;
            tags |= u64::from(id) << 32;
        }
    }
    words.next().is_none().then_some((tags, tunnel))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_is_read_as_it_is_displayed(
            protocol in any::<u8>(),
            ends in any::<([u8; 16], [u8; 16], bool)>(),
            ports in any::<Option<(u16, u16)>>(),
            vlans in (0_u16..4096, 0_u16..4096),
            tunnel in any::<Option<(prop::sample::Index, u32)>>(),
        ) {
            let (a, b, is_v6) = ends;
            let addr = |bytes: [u8; 16]| match is_v6 {
                true => IpAddr::from(bytes),
                false => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
            };
            let (a_port, b_port) = ports.unwrap_or_default();
            let (a, b) = (SocketAddr::new(addr(a), a_port), SocketAddr::new(addr(b), b_port));
            let (mut key, _) = FiveTupleKey::new(protocol, a, b);
            key.tags = u64::from(vlans.0) << 16 | u64::from(vlans.1);
            if let Some((kind, id)) = tunnel {
                key = key.in_tunnel(kind.get(&TunnelKind::ALL).0);
                key.tags |= u64::from(id) << 32;
            }
            let key = key.with_unknown_ports(ports.is_none());
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn the_order_of_the_ends_makes_no_difference() {
        let read = |text: &str| text.parse::<FiveTupleKey>();
        assert_eq!(
            read("tcp 192.0.2.9:40000 192.0.2.1:80"),
            read("proto 6  192.0.2.1:80 192.0.2.9:40000")
        );
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for text in [
            "",
            "tcp",
            "tcp 192.0.2.1:80",
            "tcp 192.0.2.1 192.0.2.9",
            "tcp 192.0.2.1:80 [::1]:80",
            "tcp 192.0.2.1:80 192.0.2.9:-",
            "tcp ::1:- ::2:-",
            "proto 256 192.0.2.1:80 192.0.2.9:80",
            "http 192.0.2.1:80 192.0.2.9:80",
            "tcp 192.0.2.1:80 192.0.2.9:80 vlan",
            "tcp 192.0.2.1:80 192.0.2.9:80 vlan 0",
            "tcp 192.0.2.1:80 192.0.2.9:80 inner vlan 5 vlan 6",
            "tcp 192.0.2.1:80 192.0.2.9:80 more",
            "tcp 192.0.2.1:80 192.0.2.9:80 in",
            "tcp 192.0.2.1:80 192.0.2.9:80 in string 5",
            "tcp 192.0.2.1:80 192.0.2.9:80 in vxlan 0",
            "tcp 192.0.2.1:80 192.0.2.9:80 in vxlan 5 vlan 6",
        ] {
            assert!(text.parse::<FiveTupleKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_order_by_address_then_port() {
        let texts = [
            "tcp 192.0.2.1:80 192.0.2.2:7",
            "tcp 192.0.2.1:80 192.0.2.3:5",
            "tcp 192.0.2.1:80 192.0.2.3:6",
            "tcp 192.0.2.1:81 192.0.2.3:6",
            "tcp 192.0.2.2:1 192.0.2.3:1",
        ];
        let keys = texts.map(|text| text.parse::<FiveTupleKey>().unwrap());
        assert!(keys.is_sorted());
    }
}
