//! Numbers that are computed from a packet.

use super::cursor::Cursor;
use super::lex::{Kind, Mistake};
use super::names;
use super::tree::{Arith, Binary};

/// The rank of an operator that takes the operand on its left at once, even from a minus.
const AT_ONCE: usize = usize::MAX;

/// A whole sum.
pub(super) fn sum(cursor: &mut Cursor<'_>) -> Result<Arith, Mistake> {
    binary(cursor, 0)
}

/// How strongly an operator binds. `%` and `^` are as in libpcap, whose grammar gives them no rank:
/// they take the operand on their left at once, and all that follows as their right one.
const fn rank(symbol: &str) -> Option<(Binary, usize, usize)> {
    Some(match symbol.as_bytes() {
        b"|" => (Binary::Or, 1, 2),
        b"&" => (Binary::And, 2, 3),
        b"<<" => (Binary::Shl, 3, 4),
        b">>" => (Binary::Shr, 3, 4),
        b"+" => (Binary::Add, 4, 5),
        b"-" => (Binary::Sub, 4, 5),
        b"*" => (Binary::Mul, 5, 6),
        b"/" => (Binary::Div, 5, 6),
        b"%" => (Binary::Mod, AT_ONCE, 0),
        b"^" => (Binary::Xor, AT_ONCE, 0),
        _ => return None,
    })
}

fn binary(cursor: &mut Cursor<'_>, least: usize) -> Result<Arith, Mistake> {
    cursor.deeper()?;
    let mut left = single(cursor)?;
    let mut depth = 1;
    while let Some((operator, own, inner)) = rank(cursor.text())
        && own >= least
    {
        cursor.next();
        let at = cursor.at();
        // A chain to the left is a level of the tree for each link.
        cursor.deeper()?;
        depth += 1;
        let right = binary(cursor, inner)?;
        match (operator, &right) {
            (Binary::Div | Binary::Mod, Arith::Number(0)) => {
                return Err((at, "a division by 0".into()));
            }
            (Binary::Shl | Binary::Shr, Arith::Number(bits @ 32..)) => {
                return Err((at, format!("a shift by {bits} bits; up to 31 are possible")));
            }
            _ => {}
        }
        left = Arith::binary(operator, left, right);
    }
    cursor.shallower(depth);
    Ok(left)
}

fn single(cursor: &mut Cursor<'_>) -> Result<Arith, Mistake> {
    if cursor.take("-") {
        let operand = binary(cursor, AT_ONCE)?;
        return Ok(operand.negated());
    }
    if cursor.take("(") {
        let inside = sum(cursor)?;
        cursor.expect(")")?;
        return Ok(inside);
    }
    if let Kind::Number(number) = cursor.peek().kind {
        cursor.next();
        return Ok(Arith::Number(number));
    }
    let word = cursor.word();
    if let Some(number) = names::find(&names::NUMBERS, word) {
        cursor.next();
        return Ok(Arith::Number(number));
    }
    if matches!(word, "len" | "length") {
        cursor.next();
        return Ok(Arith::Length);
    }
    let Some(proto) = names::find(&names::PROTOS, word) else {
        return Err(cursor.expected("a number, `len` or bytes such as `ip[0]`"));
    };
    cursor.next();
    cursor.expect("[")?;
    let offset = sum(cursor)?;
    let mut width = 1;
    if cursor.take(":") {
        let at = cursor.at();
        width = match cursor.number("how many bytes: 1, 2 or 4")? {
            width @ (1 | 2 | 4) => width as u8,
            other => {
                return Err((
                    at,
                    format!("{other} bytes cannot be loaded at once; 1, 2 or 4 can"),
                ));
            }
        };
    }
    cursor.expect("]")?;
    Ok(Arith::load(proto, offset, width))
}
