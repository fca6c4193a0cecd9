//! Addresses, networks, ports and protocol numbers, as their qualifiers say.

use super::cursor::Cursor;
use super::lex::{self, Mistake};
use super::tree::{Inside, Node, Primitive, Protocol, Side, Transport};
use super::{names, ports};

/// What stands before an address or number, and is inherited by those that follow it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    /// Where they begin.
    pub(super) begin: usize,
    pub(super) proto: Option<Protocol>,
    pub(super) dir: Side,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// None: an address.
    Default,
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
}

/// One of them, or several in parentheses.
pub(super) fn id(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Node, Mistake> {
    cursor.deeper()?;
    let node = if cursor.take_not() {
        id(cursor, qualifiers)?.negated()
    } else if cursor.take("(") {
        let mut node = id(cursor, qualifiers)?;
        let mut last = None;
        let mut depth = 0;
        while let Some(is_and) = cursor.take_joint() {
            if last.replace(is_and).is_some_and(|last| last != is_and) {
                cursor.deeper()?;
                depth += 1;
            }
            let next = id(cursor, qualifiers)?;
            node = if is_and {
                node.and(next)
            } else {
                node.or(next)
            };
        }
        cursor.expect(")")?;
        cursor.shallower(depth);
        node
    } else {
        Node::Is(one(cursor, qualifiers)?)
    };
    cursor.shallower(1);
    Ok(node)
}

fn one(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Primitive, Mistake> {
    match qualifiers.kind {
        Kind::Default | Kind::Host | Kind::Net => address(cursor, qualifiers),
        Kind::Port => {
            let transport = transport(qualifiers)?;
            let (port, transport) = port(cursor, transport)?;
            Ok(Primitive::Ports {
                transport,
                dir: qualifiers.dir,
                first: port,
                last: port,
            })
        }
        Kind::PortRange => range(cursor, qualifiers),
        Kind::Proto | Kind::ProtoChain => number(cursor, qualifiers),
    }
}

fn address(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Primitive, Mistake> {
    let (at, text) = (cursor.at(), cursor.text());
    match cursor.peek().kind {
        lex::Kind::Mac(address) => mac(cursor, qualifiers, address),
        lex::Kind::Ip6(address) => {
            cursor.next();
            net6(cursor, qualifiers, address, at)
        }
        lex::Kind::Number(_) | lex::Kind::Dotted { .. } => net4(cursor, qualifiers),
        lex::Kind::Word | lex::Kind::Escaped if !names::is_keyword(text) => {
            let why = format!(
                "{text:?} is not an address; names of hosts and networks are not looked up"
            );
            Err((at, why))
        }
        _ => Err(cursor.expected("an address")),
    }
}

fn mac(
    cursor: &mut Cursor<'_>,
    qualifiers: Qualifiers,
    address: [u8; 6],
) -> Result<Primitive, Mistake> {
    if qualifiers.proto != Some(Protocol::Ether) || qualifiers.kind == Kind::Net {
        let why = "a link-layer address follows `ether host`, `ether src` or `ether dst`";
        return Err((cursor.at(), why.into()));
    }
    cursor.next();
    Ok(Primitive::EtherHost {
        dir: qualifiers.dir,
        address,
    })
}

fn net4(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Primitive, Mistake> {
    let (at, text) = (cursor.at(), cursor.text());
    let is_net = qualifiers.kind == Kind::Net;
    let kind = cursor.peek().kind.clone();
    cursor.next();
    let has_mask = matches!(cursor.text(), "/" | "mask");
    let (address, mask) = match kind {
        lex::Kind::Number(number) if has_mask => {
            let why = format!("a network in short form has a dot: write {number}.0/…");
            return Err((at, why));
        }
        lex::Kind::Number(number) if is_net => short_net(number),
        lex::Kind::Dotted { value, .. } if has_mask && is_net => (value, mask4(cursor)?),
        _ if has_mask => {
            let why = "a mask follows a network: write `net` before the address";
            return Err((cursor.at(), why.into()));
        }
        lex::Kind::Dotted { bits, value } => (value, u32::MAX << (32 - bits)),
        lex::Kind::Number(number) => (number, u32::MAX),
        _ => return Err(cursor.expected("an address")),
    };
    let proto = qualifiers.proto;
    if !matches!(
        proto,
        None | Some(Protocol::Ip | Protocol::Arp | Protocol::Rarp)
    ) {
        let why = "only `ip`, `arp` and `rarp` qualify an IPv4 address";
        return Err((qualifiers.begin, why.into()));
    }
    if address & !mask != 0 {
        return Err((at, outside(text)));
    }
    Ok(Primitive::Net4 {
        proto,
        dir: qualifiers.dir,
        address,
        mask,
    })
}

fn outside(text: &str) -> String {
    format!("{text} has bits outside of its mask; a network address has none")
}

/// `net 10` is 10.0.0.0/8.
const fn short_net(number: u32) -> (u32, u32) {
    let zeros = if number == 0 {
        0
    } else {
        number.leading_zeros() / 8 * 8
    };
    (number << zeros, u32::MAX << zeros)
}

fn mask4(cursor: &mut Cursor<'_>) -> Result<u32, Mistake> {
    if cursor.take("/") {
        let at = cursor.at();
        return match cursor.number("the length of the prefix, 0 to 32")? {
            0 => Ok(0),
            len @ 1..=32 => Ok(u32::MAX << (32 - len)),
            len => Err((
                at,
                format!("a prefix of {len} bits; an IPv4 address has 32"),
            )),
        };
    }
    cursor.next();
    let lex::Kind::Dotted { value, .. } = cursor.peek().kind else {
        return Err(cursor.expected("a mask such as 255.255.0.0"));
    };
    cursor.next();
    Ok(value)
}

fn net6(
    cursor: &mut Cursor<'_>,
    qualifiers: Qualifiers,
    address: u128,
    at: usize,
) -> Result<Primitive, Mistake> {
    if !matches!(qualifiers.proto, None | Some(Protocol::Ip6)) {
        return Err((
            qualifiers.begin,
            "only `ip6` qualifies an IPv6 address".into(),
        ));
    }
    let mut mask = u128::MAX;
    if cursor.take("/") {
        let place = cursor.at();
        mask = match cursor.number("the length of the prefix, 0 to 128")? {
            0 => 0,
            len @ 1..=128 => u128::MAX << (128 - len),
            len => {
                return Err((
                    place,
                    format!("a prefix of {len} bits; an IPv6 address has 128"),
                ));
            }
        };
        if mask != u128::MAX && qualifiers.kind != Kind::Net {
            return Err((
                place,
                "a prefix follows a network: write `net` before the address".into(),
            ));
        }
    }
    if address & !mask != 0 {
        return Err((at, outside("the address")));
    }
    Ok(Primitive::Net6 {
        dir: qualifiers.dir,
        address,
        mask,
    })
}

fn transport(qualifiers: Qualifiers) -> Result<Transport, Mistake> {
    match qualifiers.proto {
        None => Ok(Transport::Any),
        Some(Protocol::Tcp) => Ok(Transport::Tcp),
        Some(Protocol::Udp) => Ok(Transport::Udp),
        Some(Protocol::Sctp) => Ok(Transport::Sctp),
        Some(_) => Err((
            qualifiers.begin,
            "only `tcp`, `udp` and `sctp` have ports".into(),
        )),
    }
}

fn port(cursor: &mut Cursor<'_>, asked: Transport) -> Result<(u16, Transport), Mistake> {
    let at = cursor.at();
    let found = match cursor.peek().kind {
        lex::Kind::Number(number) => (number_of_port(at, number)?, asked),
        lex::Kind::Word | lex::Kind::Escaped => name_of_port(at, cursor.text(), asked)?,
        _ => return Err(cursor.expected("a port: its number or its name")),
    };
    cursor.next();
    Ok(found)
}

fn number_of_port(at: usize, number: u32) -> Result<u16, Mistake> {
    u16::try_from(number).map_err(|_| (at, format!("{number} is not a port; ports are 0 to 65535")))
}

fn name_of_port(at: usize, text: &str, asked: Transport) -> Result<(u16, Transport), Mistake> {
    let name = text.trim_start_matches('\\');
    let Some((port, transports)) = ports::find(name) else {
        let nearest = names::nearest(name, ports::names().map(|(name, _)| name));
        let nearest = nearest.map_or(String::new(), |nearest| {
            format!("; the nearest is `{nearest}`")
        });
        return Err((at, format!("{name:?} is not the name of a port{nearest}")));
    };
    match transports.narrow(asked) {
        Some(transport) => Ok((port, transport)),
        None => Err((at, format!("{name:?} is not a port of this protocol"))),
    }
}

/// `1024-65535`, `http-https` or one port.
fn range(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Primitive, Mistake> {
    let asked = transport(qualifiers)?;
    let (at, text) = (cursor.at(), cursor.text());
    let mut parts = text.splitn(2, '-');
    let ends = match (parts.next(), parts.next()) {
        (Some(first), Some(last)) if cursor.peek().kind == lex::Kind::Word => {
            let end = |at: usize, text: &str| match text.parse::<u32>() {
                Ok(number) => Ok((number_of_port(at, number)?, asked)),
                Err(_) => name_of_port(at, text, asked),
            };
            let ends = [end(at, first)?, end(at + first.len() + 1, last)?];
            cursor.next();
            ends
        }
        _ => [port(cursor, asked)?; 2],
    };
    let [(first, one), (last, other)] = ends;
    let transport = if one == other { one } else { asked };
    Ok(Primitive::Ports {
        transport,
        dir: qualifiers.dir,
        first: first.min(last),
        last: first.max(last),
    })
}

fn number(cursor: &mut Cursor<'_>, qualifiers: Qualifiers) -> Result<Primitive, Mistake> {
    let is_chain = qualifiers.kind == Kind::ProtoChain;
    let inside = match qualifiers.proto {
        None => Inside::AnyIp,
        Some(Protocol::Ip) => Inside::Ip,
        Some(Protocol::Ip6) => Inside::Ip6,
        Some(_) if is_chain => {
            let why = "`protochain` follows `ip`, `ip6` or nothing";
            return Err((qualifiers.begin, why.into()));
        }
        Some(Protocol::Ether) => Inside::Link,
        Some(Protocol::Iso) => Inside::Iso,
        Some(_) => {
            let why = "`proto` follows `ether`, `ip`, `ip6`, `iso` or nothing";
            return Err((qualifiers.begin, why.into()));
        }
    };
    let number = match cursor.peek().kind {
        lex::Kind::Number(number) => number,
        lex::Kind::Word | lex::Kind::Escaped => named(cursor, inside)?,
        _ => return Err(cursor.expected("the number or name of a protocol")),
    };
    cursor.next();
    Ok(match is_chain {
        true => Primitive::Chain { inside, number },
        false => Primitive::Number { inside, number },
    })
}

fn named(cursor: &Cursor<'_>, inside: Inside) -> Result<u32, Mistake> {
    let (at, text) = (cursor.at(), cursor.text());
    let name = text.trim_start_matches('\\');
    if name == text && names::is_keyword(name) {
        return Err((
            at,
            format!("`{name}` is a keyword: write `\\{name}` for the protocol"),
        ));
    }
    let table = names::numbers_inside(inside);
    names::number(inside, name).ok_or_else(|| {
        let nearest = names::nearest(name, table.iter().map(|(name, _)| *name));
        let nearest = nearest.map_or(String::new(), |nearest| {
            format!("; the nearest is `{nearest}`")
        });
        (
            at,
            format!("{name:?} is not a protocol that can be here{nearest}"),
        )
    })
}
