//! From words to the tree: terms, and how `and`, `or` and `not` join them.

use super::arith;
use super::cursor::Cursor;
use super::id::{self, Kind, Qualifiers};
use super::lex::{self, Mistake};
use super::names;
use super::tree::{Arith, Binary, Layer, Node, Primitive, Protocol, Relation, Side};

const TERM: &str = "a term, such as `host`, `port` or `tcp`";

/// The longest text, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, Mistake> {
    if text.len() > MAX_TEXT {
        let why = format!(
            "{} bytes are too long for a filter; up to {MAX_TEXT} are",
            text.len()
        );
        return Err((0, why));
    }
    let mut cursor = Cursor::new(lex::tokens(text)?)?;
    if cursor.is_end() {
        return Err((
            0,
            "the filter is empty; without a filter all packets match".into(),
        ));
    }
    let (node, _) = expression(&mut cursor)?;
    if !cursor.is_end() {
        return Err(cursor.expected("`and`, `or` or the end"));
    }
    Ok(node)
}

/// Terms, and the qualifiers that a bare address or port after the last one would inherit.
fn expression(cursor: &mut Cursor<'_>) -> Result<(Node, Option<Qualifiers>), Mistake> {
    cursor.deeper()?;
    let (mut node, mut qualifiers) = term(cursor)?;
    let mut last = None;
    let mut depth = 0;
    while let Some(is_and) = cursor.take_joint() {
        // `and` and `or` bind alike, so each change from one to the other is one level more.
        if last.replace(is_and).is_some_and(|last| last != is_and) {
            cursor.deeper()?;
            depth += 1;
        }
        let next = if cursor.is_at_id() {
            let Some(inherited) = qualifiers else {
                if !cursor.word().is_empty() {
                    return Err(cursor.expected(TERM));
                }
                let what = "a term: only an address, port or protocol after one of its kind can \
                            leave out its keyword";
                return Err(cursor.expected(what));
            };
            id::id(cursor, inherited)?
        } else {
            let (next, own) = term(cursor)?;
            qualifiers = own;
            next
        };
        node = if is_and {
            node.and(next)
        } else {
            node.or(next)
        };
    }
    cursor.shallower(depth + 1);
    Ok((node, qualifiers))
}

fn term(cursor: &mut Cursor<'_>) -> Result<(Node, Option<Qualifiers>), Mistake> {
    if cursor.take_not() {
        cursor.deeper()?;
        let (node, qualifiers) = term(cursor)?;
        cursor.shallower(1);
        return Ok((node.negated(), qualifiers));
    }
    if cursor.is_at_arith() {
        return Ok((comparison(cursor)?, None));
    }
    if cursor.take("(") {
        let (node, _) = expression(cursor)?;
        cursor.expect(")")?;
        return Ok((node, None));
    }
    if matches!(cursor.word(), "less" | "greater") {
        return Ok((length(cursor)?, None));
    }
    if cursor.word() == "byte" {
        return Ok((byte(cursor)?, None));
    }
    if let Some(primitive) = keyword(cursor)? {
        return Ok((Node::Is(primitive), None));
    }
    qualified(cursor)
}

fn comparison(cursor: &mut Cursor<'_>) -> Result<Node, Mistake> {
    let left = arith::sum(cursor)?;
    let relation = match cursor.text() {
        "=" | "==" => Relation::Equal,
        "!=" => Relation::NotEqual,
        "<" => Relation::Less,
        "<=" => Relation::LessEqual,
        ">" => Relation::Greater,
        ">=" => Relation::GreaterEqual,
        _ => return Err(cursor.expected("a comparison: `=`, `!=`, `<`, `<=`, `>` or `>=`")),
    };
    cursor.next();
    let right = arith::sum(cursor)?;
    Ok(Node::Compare {
        left,
        relation,
        right,
    })
}

/// `less` and `greater`, which include the length itself.
fn length(cursor: &mut Cursor<'_>) -> Result<Node, Mistake> {
    let relation = match cursor.word() {
        "less" => Relation::LessEqual,
        _ => Relation::GreaterEqual,
    };
    cursor.next();
    Ok(Node::Compare {
        left: Arith::Length,
        relation,
        right: Arith::Number(cursor.number("a length in bytes")?),
    })
}

/// `byte 0 = 1`: the old form of `ether[0] = 1`.
fn byte(cursor: &mut Cursor<'_>) -> Result<Node, Mistake> {
    cursor.next();
    let offset = Arith::Number(cursor.number("the offset of a byte")?);
    let byte = Arith::load(Protocol::Ether, offset, 1);
    let operator = cursor.text();
    let (relation, binary) = match operator {
        "=" | "==" => (Relation::Equal, None),
        "<" => (Relation::Less, None),
        ">" => (Relation::Greater, None),
        "&" => (Relation::NotEqual, Some(Binary::And)),
        "|" => (Relation::NotEqual, Some(Binary::Or)),
        _ => return Err(cursor.expected("`=`, `<`, `>`, `&` or `|`")),
    };
    cursor.next();
    let right = Arith::Number(cursor.number("a number")?);
    let (left, right) = match binary {
        Some(binary) => (Arith::binary(binary, byte, right), Arith::Number(0)),
        None => (byte, right),
    };
    Ok(Node::Compare {
        left,
        relation,
        right,
    })
}

/// The terms that take no qualifiers.
fn keyword(cursor: &mut Cursor<'_>) -> Result<Option<Primitive>, Mistake> {
    let at = cursor.at();
    let bounded = |number: Option<u32>, max: u32| match number {
        Some(number) if number > max => Err((at, format!("{number} is more than {max}"))),
        number => Ok(number),
    };
    let primitive = match cursor.word() {
        "vlan" => {
            cursor.next();
            let tag = bounded(cursor.optional_number()?, 0xfff)?;
            Primitive::Vlan(tag.map(|tag| tag as u16))
        }
        "mpls" => {
            cursor.next();
            Primitive::Mpls(bounded(cursor.optional_number()?, 0xf_ffff)?)
        }
        "pppoes" => {
            cursor.next();
            let session = bounded(cursor.optional_number()?, 0xffff)?;
            Primitive::PppoeSession(session.map(|session| session as u16))
        }
        "geneve" => {
            cursor.next();
            Primitive::Geneve(bounded(cursor.optional_number()?, 0xff_ffff)?)
        }
        "pppoed" => simple(cursor, Primitive::PppoeDiscovery),
        "llc" => {
            cursor.next();
            let frame = names::find(&names::LLC_FRAMES, cursor.word());
            if frame.is_some() {
                cursor.next();
            }
            Primitive::Llc(frame)
        }
        "ifindex" => {
            cursor.next();
            Primitive::Interface(cursor.number("the index of an interface")?)
        }
        "inbound" => simple(cursor, Primitive::Outbound(false)),
        "outbound" => simple(cursor, Primitive::Outbound(true)),
        "broadcast" => simple(cursor, Primitive::Broadcast { ip: false }),
        "multicast" => simple(cursor, Primitive::Multicast(Layer::Link)),
        "gateway" => return Err(gateway(at)),
        _ => return Ok(None),
    };
    Ok(Some(primitive))
}

fn simple(cursor: &mut Cursor<'_>, primitive: Primitive) -> Primitive {
    cursor.next();
    primitive
}

fn gateway(at: usize) -> Mistake {
    let why = "`gateway` is not part of this language: it needs names of hosts: use `ether host` \
               and `not host`";
    (at, why.into())
}

/// A protocol alone, or an address, port or protocol number with what qualifies it.
fn qualified(cursor: &mut Cursor<'_>) -> Result<(Node, Option<Qualifiers>), Mistake> {
    let begin = cursor.at();
    let proto = names::find(&names::PROTOS, cursor.word());
    if proto.is_some() {
        cursor.next();
    }
    if let Some(proto) = proto {
        let layer = |cursor: &Cursor<'_>| match (cursor.word(), proto) {
            ("broadcast", Protocol::Ether) => Some(Primitive::Broadcast { ip: false }),
            ("broadcast", Protocol::Ip) => Some(Primitive::Broadcast { ip: true }),
            ("multicast", Protocol::Ether) => Some(Primitive::Multicast(Layer::Link)),
            ("multicast", Protocol::Ip) => Some(Primitive::Multicast(Layer::Ip)),
            ("multicast", Protocol::Ip6) => Some(Primitive::Multicast(Layer::Ip6)),
            _ => None,
        };
        if let Some(primitive) = layer(cursor) {
            cursor.next();
            return Ok((Node::Is(primitive), None));
        }
        if matches!(cursor.word(), "broadcast" | "multicast") {
            let why = format!(
                "`{}` follows `ether`, `ip` or (multicast) `ip6`",
                cursor.word()
            );
            return Err((cursor.at(), why));
        }
    }
    let dir = direction(cursor);
    let kind = match cursor.word() {
        "host" => Some(Kind::Host),
        "net" => Some(Kind::Net),
        "port" => Some(Kind::Port),
        "portrange" => Some(Kind::PortRange),
        "proto" if dir.is_none() => Some(Kind::Proto),
        "protochain" if dir.is_none() => Some(Kind::ProtoChain),
        "gateway" => return Err(gateway(cursor.at())),
        _ => None,
    };
    if kind.is_some() {
        cursor.next();
    }
    match (proto, dir, kind) {
        (Some(Protocol::Ether), None, None) => {
            Err(cursor.expected("`host`, `src`, `dst`, `proto`, `broadcast`, `multicast` or `[`"))
        }
        (Some(proto), None, None) => Ok((Node::Is(Primitive::Proto(proto)), None)),
        (None, None, None) => Err(cursor.expected(TERM)),
        _ => {
            let qualifiers = Qualifiers {
                begin,
                proto,
                dir: dir.unwrap_or(Side::Either),
                kind: kind.unwrap_or(Kind::Default),
            };
            Ok((id::id(cursor, qualifiers)?, Some(qualifiers)))
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Option<Side> {
    let (dir, other) = match cursor.word() {
        "src" => (Side::Src, "dst"),
        "dst" => (Side::Dst, "src"),
        _ => return None,
    };
    cursor.next();
    if cursor.word_after() != other {
        return Some(dir);
    }
    match cursor.take_joint() {
        Some(is_and) => {
            cursor.next();
            Some(if is_and { Side::Both } else { Side::Either })
        }
        None => Some(dir),
    }
}
