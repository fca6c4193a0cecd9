//! Brings together alternatives that begin with the same test, or read the same bytes.

use std::collections::HashMap;

use super::values::{Bool, Test, Val, With};
use crate::filter::op::Comparison;

/// The same condition, with fewer tests on most ways through it.
pub(super) fn grouped(condition: Bool) -> Bool {
    match condition {
        Bool::Or(any) => Bool::or(by_value(by_head(any)).into_iter().map(grouped_inside)),
        Bool::And(all) => negated(all),
        Bool::Not(inside) => grouped(*inside).not(),
        single => single,
    }
}

fn grouped_inside(condition: Bool) -> Bool {
    match condition {
        Bool::Or(any) => Bool::or(any.into_iter().map(grouped)),
        other => grouped(other),
    }
}

/// `not a and not b` is `not (a or b)`.
fn negated(all: Vec<Bool>) -> Bool {
    let mut parts = Vec::new();
    let mut refused = Vec::new();
    let close = |parts: &mut Vec<Bool>, refused: &mut Vec<Bool>| {
        if !refused.is_empty() {
            parts.push(grouped(Bool::or(refused.drain(..))).not());
        }
    };
    for part in all {
        match part {
            Bool::Not(inside) => refused.push(*inside),
            part => {
                close(&mut parts, &mut refused);
                parts.push(grouped(part));
            }
        }
    }
    close(&mut parts, &mut refused);
    match Bool::and(parts) {
        Bool::And(parts) => Bool::and(side_by_side(parts)),
        single => single,
    }
}

/// How far back a condition is looked for that is repeated: any distance would make a long list
/// slow.
const NEAR: usize = 64;

/// `(a and x or b and y) and (a and v or b and w)` is `a and x and v or b and y and w`, if `a` and
/// `b` exclude each other; and what holds already is not tested again.
fn side_by_side(all: Vec<Bool>) -> Vec<Bool> {
    let mut parts: Vec<Bool> = Vec::new();
    for part in all {
        if parts.iter().rev().take(NEAR).any(|other| *other == part) {
            continue;
        }
        match (parts.last_mut(), part) {
            (Some(Bool::Or(one)), Bool::Or(other)) if has_heads(one, &other) => {
                for (one, other) in one.iter_mut().zip(other) {
                    let first = std::mem::replace(one, Bool::Is(true));
                    *one = match Bool::and([first, rest(other)]) {
                        Bool::And(both) => Bool::and(side_by_side(both)),
                        single => single,
                    };
                }
            }
            (_, part) => parts.push(part),
        }
    }
    parts
}

/// Whether the alternatives begin with the same equalities, which exclude each other.
fn has_heads(one: &[Bool], other: &[Bool]) -> bool {
    let heads = |any: &[Bool]| {
        any.iter()
            .map(|part| head(part).clone())
            .collect::<Vec<_>>()
    };
    let (one, other) = (heads(one), heads(other));
    let are_exclusive = one.iter().enumerate().all(|(n, head)| {
        equality(head).is_some() && one[n + 1..].iter().all(|next| excludes(head, next))
    });
    are_exclusive && one == other
}

/// Joins alternatives that begin with the same condition, if all between them begin with one that
/// excludes it: the order of the tests on each way stays the same.
fn by_head(any: Vec<Bool>) -> Vec<Bool> {
    let mut joined: Vec<(Bool, Vec<Bool>)> = Vec::new();
    // The last ones, if their heads exclude each other: the bytes that they compare, and the place
    // of each number.
    let mut exclusive: Option<(Val, HashMap<u32, usize>)> = None;
    for part in any {
        let place = match (equality(head(&part)), &mut exclusive) {
            (Some((val, k)), Some((same, places))) if val == *same => {
                *places.entry(k).or_insert(joined.len())
            }
            (Some((val, k)), last) => {
                *last = Some((val, HashMap::from([(k, joined.len())])));
                joined.len()
            }
            (None, last) => {
                *last = None;
                let is_same = joined.last().is_some_and(|(other, _)| other == head(&part));
                joined.len() - usize::from(is_same)
            }
        };
        match joined.get_mut(place) {
            Some((_, parts)) => parts.push(part),
            None => joined.push((head(&part).clone(), vec![part])),
        }
    }
    let join = |(head, mut parts): (Bool, Vec<Bool>)| match parts.len() {
        1 => parts.remove(0),
        _ => {
            let rests = parts.into_iter().map(rest);
            Bool::and([head, grouped(Bool::or(rests))])
        }
    };
    joined.into_iter().map(join).collect()
}

/// What an alternative begins with.
fn head(part: &Bool) -> &Bool {
    match part {
        Bool::And(all) => all.first().unwrap_or(part),
        part => part,
    }
}

/// Whether the same bytes equal two different numbers.
fn excludes(one: &Bool, other: &Bool) -> bool {
    match (equality(one), equality(other)) {
        (Some((val, k)), Some((other_val, other_k))) => val == other_val && k != other_k,
        _ => false,
    }
}

fn equality(condition: &Bool) -> Option<(Val, u32)> {
    match condition {
        Bool::Test(Test {
            val,
            cond: Comparison::Eq,
            with: With::Const(k),
        }) => Some((*val, *k)),
        _ => None,
    }
}

fn rest(part: Bool) -> Bool {
    match part {
        Bool::And(mut all) => {
            all.remove(0);
            Bool::and(all)
        }
        _ => Bool::Is(true),
    }
}

/// Alternatives that are equalities only, those of the same bytes together. In a packet that is too
/// short for some of the bytes, others then decide first; libpcap does the same.
fn by_value(any: Vec<Bool>) -> Vec<Bool> {
    let vals: Option<Vec<Val>> = any
        .iter()
        .map(|part| equality(part).map(|(val, _)| val))
        .collect();
    let Some(vals) = vals else {
        return any;
    };
    let mut first: HashMap<Val, usize> = HashMap::new();
    let first = vals
        .iter()
        .enumerate()
        .map(|(n, val)| *first.entry(*val).or_insert(n));
    let mut places: Vec<_> = first.zip(any).collect();
    places.sort_by_key(|(first, _)| *first);
    places.into_iter().map(|(_, part)| part).collect()
}
