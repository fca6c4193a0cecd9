//! The live dialect: the kernel takes the outermost VLAN tag out of the bytes and keeps it aside.
//!
//! A frame means the same with its tag in the bytes or aside, so that one filter gives one verdict
//! for a socket, an XDP program and a file. For a packet with a tag aside, loads from the bytes
//! behind the addresses are moved by the length of the tag, and loads of the tag read it where the
//! kernel keeps it.

use super::values::{Bool, Hop, Test, VLAN_TPID, Val, Value, Values, With};
use crate::filter::expr::tree::Binary;
use crate::filter::op::{Comparison, Width};
use crate::kernel::filter::SKF_AD_OFF;

const VLAN_TAG: u32 = SKF_AD_OFF + 44;
const VLAN_TAG_PRESENT: u32 = SKF_AD_OFF + 48;
/// Where the tag would be, and its length.
const TAG: u32 = 12;
const LEN: u32 = 4;

/// The condition for packets with a tag aside or without one.
pub(super) fn live(condition: Bool, values: &mut Values) -> Bool {
    let aside = moved(&condition, values);
    if aside == condition {
        return condition;
    }
    let is_aside = values.add(Value::Ancillary(VLAN_TAG_PRESENT));
    let is_aside = values.test(is_aside, Comparison::Eq, 0).not();
    Bool::or([
        Bool::and([is_aside.clone(), aside]),
        Bool::and([is_aside.not(), condition]),
    ])
}

fn moved(condition: &Bool, values: &mut Values) -> Bool {
    match condition {
        Bool::Is(_) | Bool::Unknown => condition.clone(),
        Bool::And(all) => Bool::and(
            all.iter()
                .map(|part| moved(part, values))
                .collect::<Vec<_>>(),
        ),
        Bool::Or(any) => Bool::or(
            any.iter()
                .map(|part| moved(part, values))
                .collect::<Vec<_>>(),
        ),
        Bool::Not(inside) => moved(inside, values).not(),
        Bool::Test(test) => moved_test(*test, values).unwrap_or(Bool::Unknown),
    }
}

fn moved_test(test: Test, values: &mut Values) -> Option<Bool> {
    let val = moved_value(test.val, values)?;
    Some(match test.with {
        With::Const(k) => values.test(val, test.cond, k),
        With::Val(with) => Bool::Test(Test {
            val,
            with: With::Val(moved_value(with, values)?),
            ..test
        }),
    })
}

fn moved_value(val: Val, values: &mut Values) -> Option<Val> {
    let value = match values.get(val) {
        same @ (Value::Const(_) | Value::Ancillary(_)) => same,
        Value::Abs(width, at) if at + width.bytes() <= TAG => Value::Abs(width, at),
        Value::Abs(width, at) if at >= TAG + LEN => Value::Abs(width, at - LEN),
        Value::Abs(Width::Half, TAG) => Value::Ancillary(VLAN_TPID),
        Value::Abs(Width::Half, at) if at == TAG + 2 => Value::Ancillary(VLAN_TAG),
        Value::Abs(..) => return None,
        Value::HeaderLength(at) => {
            Value::HeaderLength(at.checked_sub(LEN).filter(|at| *at >= TAG)?)
        }
        Value::Ind(width, index, at) => {
            let at = at.checked_sub(LEN).filter(|at| *at >= TAG)?;
            Value::Ind(width, moved_value(index, values)?, at)
        }
        Value::Length => {
            let len = values.number(LEN);
            Value::Binary(Binary::Add, val, len)
        }
        Value::Binary(operator, a, b) => {
            Value::Binary(operator, moved_value(a, values)?, moved_value(b, values)?)
        }
        Value::Negate(a) => Value::Negate(moved_value(a, values)?),
        Value::NextKind(hop) => return Some(moved_hop(hop, values)?.kind),
        Value::NextPlace(hop) => return Some(moved_hop(hop, values)?.place),
    };
    Some(values.add(value))
}

/// The header behind one that moves.
fn moved_hop(hop: Hop, values: &mut Values) -> Option<Hop> {
    let hop = Hop {
        kind: moved_value(hop.kind, values)?,
        place: moved_value(hop.place, values)?,
        begin: hop.begin.checked_sub(LEN).filter(|at| *at >= TAG)?,
        ..hop
    };
    Some(values.next_hop(hop))
}
