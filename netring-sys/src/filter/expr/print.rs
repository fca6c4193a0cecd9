//! Expressions as text, which parses to the same tree.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Expr;
use super::names;
use super::tree::{
    Arith, Binary, Inside, Layer, LlcFrame, Node, Primitive, Protocol, Relation, Side, Transport,
};

/// What is printed in the place of a part that is nested too deep; it does not parse.
const TOO_DEEP: &str = "…";

/// The text of the expression, which parses to an equal one. An expression whose parts are not
/// possible, such as a VLAN identifier above 4095, prints as text that is refused for it.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all, _) => chain(f, all, " and "),
            Self::Or(any, _) => chain(f, any, " or "),
            Self::Not(inside, _) => {
                f.write_str("not ")?;
                single(f, inside)
            }
            Self::Is(primitive) => primitive.fmt(f),
            Self::Compare {
                left,
                relation,
                right,
            } => write!(f, "{left} {} {right}", sign(*relation)),
            Self::TooDeep => f.write_str(TOO_DEEP),
        }
    }
}

fn chain(f: &mut Formatter<'_>, parts: &[Node], joint: &str) -> fmt::Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(joint)?;
        }
        single(f, part)?;
    }
    Ok(())
}

/// A term, in parentheses if it is a chain: `and` and `or` bind alike.
fn single(f: &mut Formatter<'_>, node: &Node) -> fmt::Result {
    match node {
        Node::And(..) | Node::Or(..) => write!(f, "({node})"),
        _ => node.fmt(f),
    }
}

const fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Less => "<",
        Relation::LessEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterEqual => ">=",
    }
}

impl Display for Primitive {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Proto(proto) => f.write_str(name(proto)),
            Self::Net4 {
                proto,
                dir,
                address,
                mask,
            } => {
                let proto = proto.map_or("", name);
                net4(f, proto, side(dir), address, mask)
            }
            Self::Net6 { dir, address, mask } => net6(f, side(dir), address, mask),
            Self::EtherHost { dir, address } => {
                let [a, b, c, d, e, g] = address;
                write!(f, "ether {}host ", side(dir))?;
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Self::Ports {
                transport,
                dir,
                first,
                last,
            } => {
                let (transport, side) = (transport_name(transport), side(dir));
                match first == last {
                    true => write!(f, "{transport}{side}port {first}"),
                    false => write!(f, "{transport}{side}portrange {first}-{last}"),
                }
            }
            Self::Number { inside, number } => match inside {
                Inside::AnyIp => write!(f, "proto {number}"),
                Inside::Link => write!(f, "ether proto {number:#06x}"),
                Inside::Ip => write!(f, "ip proto {number}"),
                Inside::Ip6 => write!(f, "ip6 proto {number}"),
                Inside::Iso => write!(f, "iso proto {number:#04x}"),
            },
            Self::Chain { inside, number } => {
                let before = match inside {
                    Inside::AnyIp => "",
                    Inside::Link => "ether ",
                    Inside::Ip => "ip ",
                    Inside::Ip6 => "ip6 ",
                    Inside::Iso => "iso ",
                };
                write!(f, "{before}protochain {number}")
            }
            Self::Broadcast { ip: true } => f.write_str("ip broadcast"),
            Self::Broadcast { ip: false } => f.write_str("broadcast"),
            Self::Multicast(Layer::Link) => f.write_str("multicast"),
            Self::Multicast(Layer::Ip) => f.write_str("ip multicast"),
            Self::Multicast(Layer::Ip6) => f.write_str("ip6 multicast"),
            Self::Vlan(tag) => optional(f, "vlan", tag),
            Self::Mpls(label) => optional(f, "mpls", label),
            Self::PppoeSession(session) => optional(f, "pppoes", session),
            Self::Geneve(network) => optional(f, "geneve", network),
            Self::PppoeDiscovery => f.write_str("pppoed"),
            Self::Llc(frame) => {
                let is_it = |(_, known): &&(&str, LlcFrame)| Some(*known) == frame;
                let known = names::LLC_FRAMES.iter().find(is_it);
                optional(f, "llc", known.map(|(name, _)| name))
            }
            Self::Interface(index) => write!(f, "ifindex {index}"),
            Self::Outbound(true) => f.write_str("outbound"),
            Self::Outbound(false) => f.write_str("inbound"),
        }
    }
}

fn optional(f: &mut Formatter<'_>, word: &str, number: Option<impl Display>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{word} {number}"),
        None => f.write_str(word),
    }
}

fn net4(f: &mut Formatter<'_>, proto: &str, side: &str, address: u32, mask: u32) -> fmt::Result {
    if !proto.is_empty() {
        write!(f, "{proto} ")?;
    }
    let bits = mask.leading_ones();
    let address = Ipv4Addr::from_bits(address);
    if bits == 32 {
        return write!(f, "{side}host {address}");
    }
    write!(f, "{side}net {address}")?;
    match mask.count_ones() == bits {
        true => write!(f, "/{bits}"),
        false => write!(f, " mask {}", Ipv4Addr::from_bits(mask)),
    }
}

fn net6(f: &mut Formatter<'_>, side: &str, address: u128, mask: u128) -> fmt::Result {
    let address = Ipv6Addr::from_bits(address);
    match mask.leading_ones() {
        128 => write!(f, "{side}host {address}"),
        bits => write!(f, "{side}net {address}/{bits}"),
    }
}

/// The direction before the word that it qualifies.
const fn side(side: Side) -> &'static str {
    match side {
        Side::Src => "src ",
        Side::Dst => "dst ",
        Side::Either => "",
        Side::Both => "src and dst ",
    }
}

const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Any => "",
        Transport::Tcp => "tcp ",
        Transport::Udp => "udp ",
        Transport::Sctp => "sctp ",
    }
}

fn name(proto: Protocol) -> &'static str {
    let known = names::PROTOS.iter().find(|(_, known)| *known == proto);
    known.map_or("", |(name, _)| *name)
}

impl Display for Arith {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Length => f.write_str("len"),
            Self::Load {
                proto,
                offset,
                width,
                ..
            } => {
                write!(f, "{}[{offset}", name(*proto))?;
                match width {
                    1 => f.write_str("]"),
                    width => write!(f, ":{width}]"),
                }
            }
            Self::Binary(operator, left, right, _) => {
                operand(f, left)?;
                write!(f, " {} ", symbol(*operator))?;
                operand(f, right)
            }
            Self::Negate(inside, _) => {
                f.write_str("-")?;
                operand(f, inside)
            }
            Self::TooDeep => f.write_str(TOO_DEEP),
        }
    }
}

/// In parentheses unless it is one word, so that the ranks of operators do not matter.
fn operand(f: &mut Formatter<'_>, arith: &Arith) -> fmt::Result {
    match arith {
        Arith::Binary(..) | Arith::Negate(..) => write!(f, "({arith})"),
        _ => arith.fmt(f),
    }
}

const fn symbol(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::Mod => "%",
        Binary::And => "&",
        Binary::Or => "|",
        Binary::Xor => "^",
        Binary::Shl => "<<",
        Binary::Shr => ">>",
    }
}
