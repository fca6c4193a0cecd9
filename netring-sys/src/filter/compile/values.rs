//! What a program computes: numbers, each kept once, and tests of them.

use std::collections::HashMap;

use crate::filter::expr::tree::Binary;
use crate::filter::op::{Comparison, Width};
use crate::kernel::filter::SKF_AD_OFF;

/// A number, by its place in [`Values`]; equal numbers have equal places.
pub(super) type Val = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Const(u32),
    Length,
    /// Metadata, by its number.
    Ancillary(u32),
    Abs(Width, u32),
    /// At the sum of a number and a constant.
    Ind(Width, Val, u32),
    /// The length of the IPv4 header at this offset.
    HeaderLength(u32),
    Binary(Binary, Val, Val),
    Negate(Val),
    /// The kind of the header behind one, and its place.
    NextKind(Hop),
    NextPlace(Hop),
}

/// A header in a chain, each of which names the kind of the next one and has its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    pub(super) kind: Val,
    /// To which `begin` is added.
    pub(super) place: Val,
    pub(super) begin: u32,
    /// Whether it can be an extension header of IPv6, not an authentication header only.
    pub(super) has_extensions: bool,
}

/// The number of the TPID of a tag aside.
pub(super) const VLAN_TPID: u32 = SKF_AD_OFF + 60;

#[derive(Debug, Default)]
pub(super) struct Values {
    /// What the offsets of new loads count from, if that is not the start of the packet.
    pub(super) base: Option<Val>,
    all: Vec<Value>,
    places: HashMap<Value, Val>,
}

impl Values {
    pub(super) fn get(&self, val: Val) -> Value {
        self.all[val]
    }

    pub(super) fn constant(&self, val: Val) -> Option<u32> {
        match self.all[val] {
            Value::Const(k) => Some(k),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, value: Value) -> Val {
        let value = match self.base {
            Some(base) => self.rebased(value, base),
            None => value,
        };
        self.place(value)
    }

    /// The sum of the base and a number.
    pub(super) fn behind_base(&mut self, val: Val) -> Val {
        match self.base {
            Some(base) => self.place(Value::Binary(Binary::Add, base, val)),
            None => val,
        }
    }

    /// The header behind one.
    pub(super) fn next_hop(&mut self, hop: Hop) -> Hop {
        Hop {
            kind: self.place(Value::NextKind(hop)),
            place: self.place(Value::NextPlace(hop)),
            ..hop
        }
    }

    /// The place of a number that is there.
    pub(super) fn known(&self, value: Value) -> Option<Val> {
        self.places.get(&value).copied()
    }

    fn rebased(&mut self, value: Value, base: Val) -> Value {
        match value {
            Value::Abs(width, at) => Value::Ind(width, base, at),
            Value::Ind(width, index, at) => Value::Ind(
                width,
                self.place(Value::Binary(Binary::Add, index, base)),
                at,
            ),
            Value::HeaderLength(at) => {
                let first = self.place(Value::Ind(Width::Byte, base, at));
                let mask = self.place(Value::Const(0x0f));
                let words = self.place(Value::Binary(Binary::And, first, mask));
                Value::Binary(Binary::Shl, words, self.place(Value::Const(2)))
            }
            value => value,
        }
    }

    fn place(&mut self, value: Value) -> Val {
        let value = self.folded(value);
        let next = self.all.len();
        let place = *self.places.entry(value).or_insert(next);
        if place == next {
            self.all.push(value);
        }
        place
    }

    pub(super) fn number(&mut self, k: u32) -> Val {
        self.add(Value::Const(k))
    }

    fn folded(&self, value: Value) -> Value {
        use Binary::{Add, And, Mul, Or, Sub, Xor};
        // Beyond 2³¹ the kernel has other meanings for an offset; no packet is that long.
        const BEYOND: u32 = 0x7fff_ffff;
        match value {
            Value::Abs(width, BEYOND..) => Value::Abs(width, BEYOND),
            Value::Ind(width, index, k) => match self.constant(index) {
                Some(index) => self.folded(Value::Abs(width, index.wrapping_add(k))),
                None => match self.all[index] {
                    // One offset holds all that is constant.
                    Value::Binary(Add, a, b) => match (self.constant(a), self.constant(b)) {
                        (Some(more), _) => self.folded(Value::Ind(width, b, k.wrapping_add(more))),
                        (_, Some(more)) => self.folded(Value::Ind(width, a, k.wrapping_add(more))),
                        _ => value,
                    },
                    _ => value,
                },
            },
            Value::Binary(operator, a, b) => match (self.constant(a), self.constant(b)) {
                (Some(a), Some(b)) => compute(operator, a, b).map_or(value, Value::Const),
                (Some(0), _) if !matches!(operator, Add | Sub | Or | Xor) => Value::Const(0),
                (_, Some(0)) if matches!(operator, Mul | And) => Value::Const(0),
                _ => value,
            },
            Value::Negate(a) => match self.constant(a) {
                Some(a) => Value::Const(a.wrapping_neg()),
                None => value,
            },
            value => value,
        }
    }
}

pub(super) const fn compute(operator: Binary, a: u32, b: u32) -> Option<u32> {
    Some(match operator {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => return a.checked_div(b),
        Binary::Mod => return a.checked_rem(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Shl => return a.checked_shl(b),
        Binary::Shr => return a.checked_shr(b),
    })
}

/// A comparison of a number with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) val: Val,
    pub(super) cond: Comparison,
    pub(super) with: With,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum With {
    Const(u32),
    Val(Val),
}

pub(super) const fn holds(cond: Comparison, a: u32, b: u32) -> bool {
    match cond {
        Comparison::Eq => a == b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
        Comparison::Set => a & b != 0,
    }
}

/// A condition on a packet, tried from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bool {
    Is(bool),
    Test(Test),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// Reads what the dialect cannot address: refused unless it turns out not to be reached.
    Unknown,
}

impl Bool {
    pub(super) fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::Is(true) => {}
                Self::Is(false) => {
                    all.push(Self::Is(false));
                    break;
                }
                Self::And(parts) => all.extend(parts),
                part => all.push(part),
            }
        }
        match all.len() {
            0 => Self::Is(true),
            1 => all.remove(0),
            // What is before a part that never holds decides nothing.
            _ if all.last() == Some(&Self::Is(false)) => Self::Is(false),
            _ => Self::And(all),
        }
    }

    pub(super) fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::Is(false) => {}
                Self::Is(true) => {
                    any.push(Self::Is(true));
                    break;
                }
                Self::Or(parts) => any.extend(parts),
                part => any.push(part),
            }
        }
        match any.len() {
            0 => Self::Is(false),
            1 => any.remove(0),
            _ if any.last() == Some(&Self::Is(true)) => Self::Is(true),
            _ => Self::Or(any),
        }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::Is(is) => Self::Is(!is),
            Self::Not(inside) => *inside,
            other => Self::Not(Box::new(other)),
        }
    }
}

impl Values {
    /// A comparison, decided at once if it can be.
    pub(super) fn test(&mut self, val: Val, cond: Comparison, k: u32) -> Bool {
        // Of tags aside the kernel knows two kinds.
        let possible: &[u32] = match self.get(val) {
            Value::Const(a) => return Bool::Is(holds(cond, a, k)),
            Value::Ancillary(VLAN_TPID) => &[0x8100, 0x88a8],
            Value::Abs(Width::Byte, _) | Value::NextKind(_)
                if cond == Comparison::Eq && k > 0xff =>
            {
                return Bool::Is(false);
            }
            Value::Abs(Width::Half, _) if cond == Comparison::Eq && k > 0xffff => {
                return Bool::Is(false);
            }
            _ => &[],
        };
        let mut outcomes = possible.iter().map(|a| holds(cond, *a, k));
        if let Some(first) = outcomes.next()
            && outcomes.all(|outcome| outcome == first)
        {
            return Bool::Is(first);
        }
        if let Value::Binary(Binary::And, inside, mask) = self.get(val)
            && let Some(mask) = self.constant(mask)
            && k == 0
            && matches!(cond, Comparison::Eq | Comparison::Gt)
        {
            let set = self.test(inside, Comparison::Set, mask);
            return if cond == Comparison::Gt {
                set
            } else {
                set.not()
            };
        }
        if cond == Comparison::Ge && k == 0 {
            return Bool::Is(true);
        }
        Bool::Test(Test {
            val,
            cond,
            with: With::Const(k),
        })
    }

    pub(super) fn equal(&mut self, width: Width, at: u32, k: u32) -> Bool {
        let val = self.add(Value::Abs(width, at));
        self.test(val, Comparison::Eq, k)
    }

    /// Compares the bits of the mask.
    pub(super) fn masked(&mut self, width: Width, at: u32, mask: u32, k: u32) -> Bool {
        let val = self.add(Value::Abs(width, at));
        self.masked_value(val, mask, k)
    }

    pub(super) fn masked_value(&mut self, val: Val, mask: u32, k: u32) -> Bool {
        match mask {
            0 => Bool::Is(k == 0),
            u32::MAX => self.test(val, Comparison::Eq, k),
            _ => {
                let mask = self.number(mask);
                let val = self.add(Value::Binary(Binary::And, val, mask));
                self.test(val, Comparison::Eq, k)
            }
        }
    }
}
