//! Brings together alternatives that begin with the same test, or read the same bytes.

use super::values::{Bool, Test, Val, With};
use crate::filter::op::Cond;

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
    Bool::and(parts)
}

/// Joins alternatives that begin with the same comparison, if all between them begin with one that
/// excludes it: the order of the tests on each way stays the same.
fn by_head(any: Vec<Bool>) -> Vec<Bool> {
    let mut heads: Vec<Option<Test>> = Vec::new();
    let mut joined: Vec<Vec<Bool>> = Vec::new();
    for part in any {
        let head = head(&part);
        let place = head.and_then(|head| {
            let is_other = |other: &Option<Test>| other.is_some_and(|other| other.val == head.val);
            let begin = heads
                .iter()
                .rposition(|other| !is_other(other))
                .map_or(0, |n| n + 1);
            let same = heads[begin..].iter().position(|other| *other == Some(head));
            same.map(|n| begin + n)
        });
        match place {
            Some(place) => joined[place].push(part),
            None => {
                heads.push(head);
                joined.push(vec![part]);
            }
        }
    }
    let join = |(head, mut parts): (Option<Test>, Vec<Bool>)| match head {
        Some(head) if parts.len() > 1 => {
            let rests = parts.into_iter().map(rest);
            Bool::and([Bool::Test(head), grouped(Bool::or(rests))])
        }
        _ => parts.remove(0),
    };
    heads.into_iter().zip(joined).map(join).collect()
}

/// The equality that an alternative begins with.
fn head(part: &Bool) -> Option<Test> {
    match part {
        Bool::Test(test) if test.cond == Cond::Eq && matches!(test.with, With::Const(_)) => {
            Some(*test)
        }
        Bool::And(all) => match all.first()? {
            first @ Bool::Test(_) => head(first),
            _ => None,
        },
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
        .map(|part| match part {
            Bool::Test(_) => Some(head(part)?.val),
            _ => None,
        })
        .collect();
    let Some(vals) = vals else {
        return any;
    };
    let first = |val: &Val| vals.iter().position(|other| other == val);
    let mut places: Vec<_> = vals.iter().map(first).zip(any).collect();
    places.sort_by_key(|(first, _)| *first);
    places.into_iter().map(|(_, part)| part).collect()
}
