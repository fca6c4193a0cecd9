//! Comparisons of computed numbers.

use super::layers::{IP, IP6};
use super::terms::Terms;
use super::values::{Bool, Test, Val, Value, With};
use crate::filter::expr::depth;
use crate::filter::expr::tree::{Arith, Binary, Protocol, Relation};
use crate::filter::op::{Comparison, Width};

/// A comparison; loads from a header imply that the packet has it.
pub(super) fn compare(
    terms: &mut Terms,
    left: &Arith,
    relation: Relation,
    right: &Arith,
) -> Result<Bool, String> {
    let (checks_left, a) = number(terms, left)?;
    let (checks_right, b) = number(terms, right)?;
    let (cond, is_negated) = match relation {
        Relation::Equal => (Comparison::Eq, false),
        Relation::NotEqual => (Comparison::Eq, true),
        Relation::Greater => (Comparison::Gt, false),
        Relation::LessEqual => (Comparison::Gt, true),
        Relation::GreaterEqual => (Comparison::Ge, false),
        Relation::Less => (Comparison::Ge, true),
    };
    let test = match terms.values.constant(b) {
        Some(k) => terms.values.test(a, cond, k),
        None => Bool::Test(Test {
            val: a,
            cond,
            with: With::Val(b),
        }),
    };
    let test = if is_negated { test.not() } else { test };
    Ok(Bool::and([checks_left, checks_right, test]))
}

/// A number, and the condition under which it can be loaded.
fn number(terms: &mut Terms, arith: &Arith) -> Result<(Bool, Val), String> {
    Ok(match arith {
        Arith::Number(k) => (Bool::Is(true), terms.values.number(*k)),
        Arith::Length => (Bool::Is(true), terms.values.add(Value::Length)),
        Arith::Binary(operator, left, right, _) => {
            let (checks, left) = number(terms, left)?;
            // As in libpcap, only the left operand implies its protocol.
            let (_, right) = number(terms, right)?;
            match (operator, terms.values.constant(right)) {
                (Binary::Div | Binary::Mod, Some(0)) => return Err("it divides by 0".into()),
                (Binary::Shl | Binary::Shr, Some(bits @ 32..)) => {
                    return Err(format!("it shifts by {bits} bits; up to 31 are possible"));
                }
                _ => {}
            }
            (
                checks,
                terms.values.add(Value::Binary(*operator, left, right)),
            )
        }
        Arith::TooDeep => return Err(too_deep()),
        Arith::Negate(inside, _) => {
            let (checks, inside) = number(terms, inside)?;
            (checks, terms.values.add(Value::Negate(inside)))
        }
        Arith::Load {
            proto,
            offset,
            width,
            ..
        } => {
            let (checks, offset) = number(terms, offset)?;
            let width = match width {
                1 => Width::Byte,
                2 => Width::Half,
                _ => Width::Word,
            };
            load(terms, *proto, width, checks, offset)?
        }
    })
}

pub(super) fn too_deep() -> String {
    format!("nested more than {} levels deep", depth::MOST)
}

fn load(
    terms: &mut Terms,
    proto: Protocol,
    width: Width,
    checks: Bool,
    offset: Val,
) -> Result<(Bool, Val), String> {
    let begin = terms.layers.network();
    Ok(match proto {
        Protocol::Ether => {
            let begin = terms.layers.link_header;
            (checks, terms.values.add(Value::Ind(width, offset, begin)))
        }
        Protocol::Tcp
        | Protocol::Udp
        | Protocol::Sctp
        | Protocol::Icmp
        | Protocol::Igmp
        | Protocol::Igrp
        | Protocol::Pim
        | Protocol::Vrrp
        | Protocol::Carp => behind_ip(terms, proto, width, checks, offset)?,
        Protocol::Icmp6 => {
            let number = terms.values.equal(Width::Byte, begin + 6, 58);
            let all = [terms.carries(IP6)?, checks, number];
            let val = Value::Ind(width, offset, begin + 40);
            (Bool::and(all), terms.values.add(val))
        }
        Protocol::Ip
        | Protocol::Ip6
        | Protocol::Arp
        | Protocol::Rarp
        | Protocol::Atalk
        | Protocol::Aarp
        | Protocol::Decnet
        | Protocol::Lat
        | Protocol::Sca
        | Protocol::Moprc
        | Protocol::Mopdl => {
            let all = [terms.proto(proto)?, checks];
            (
                Bool::and(all),
                terms.values.add(Value::Ind(width, offset, begin)),
            )
        }
        Protocol::Ah
        | Protocol::Esp
        | Protocol::Iso
        | Protocol::Esis
        | Protocol::Isis
        | Protocol::Clnp
        | Protocol::L1
        | Protocol::L2
        | Protocol::Iih
        | Protocol::Lsp
        | Protocol::Snp
        | Protocol::Csnp
        | Protocol::Psnp
        | Protocol::Stp
        | Protocol::Ipx
        | Protocol::Netbeui => {
            return Err(
                "the header of this protocol has no fixed place: use `ip[…]` or `ether[…]`".into(),
            );
        }
    })
}

/// Bytes of a header that follows that of IPv4, whose length varies.
fn behind_ip(
    terms: &mut Terms,
    proto: Protocol,
    width: Width,
    checks: Bool,
    offset: Val,
) -> Result<(Bool, Val), String> {
    let begin = terms.layers.network();
    let all = [
        terms.carries(IP)?,
        checks,
        terms.proto(proto)?,
        terms.is_first_fragment(),
    ];
    let length = terms.values.add(Value::HeaderLength(begin));
    let val = match terms.values.constant(offset) {
        Some(k) => Value::Ind(width, length, begin.wrapping_add(k)),
        None => {
            let index = terms.values.add(Value::Binary(Binary::Add, offset, length));
            Value::Ind(width, index, begin)
        }
    };
    Ok((Bool::and(all), terms.values.add(val)))
}
