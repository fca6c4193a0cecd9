//! The interpreter.
//!
//! A load and the comparison behind it, or a mask and the comparison behind it, are one step; the
//! comparison keeps a step of its own, because jumps may lead to it. So steps and instructions have
//! the same places, and jump targets are those of the program.

mod step;

use std::hint::black_box;

use super::fact;
use super::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use crate::Packet;
use crate::kernel::filter::{BPF_MEMWORDS, SKF_LL_OFF, SKF_NET_OFF};
use step::{Fork, Step};

/// A checked program, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    steps: Box<[Step]>,
}

impl Machine {
    /// Prepares instructions that have passed the checks.
    pub(super) fn new(ops: &[Op]) -> Self {
        Self {
            steps: step::steps(ops),
        }
    }

    /// Runs the program: returns how many bytes of the packet to keep. Only a load beyond the
    /// packet and a division by 0 end a program early, with 0.
    #[inline]
    pub(super) fn run(&self, packet: &Packet<'_>) -> u32 {
        self.result(packet).unwrap_or(0)
    }

    /// Jumps lead forward only, so the program ends.
    fn result(&self, packet: &Packet<'_>) -> Option<u32> {
        let data = packet.data();
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        let mut memory = [0_u32; BPF_MEMWORDS as usize];
        loop {
            let step = self.steps.get(at)?;
            at += 1;
            match *step {
                Step::Byte(k) => a = byte(data, k)?,
                Step::Half(k) => a = half(data, k)?,
                Step::Word(k) => a = word(data, k)?,
                Step::ByteAtX(k) => a = at_x(packet, Width::Byte, x.wrapping_add(k))?,
                Step::HalfAtX(k) => a = at_x(packet, Width::Half, x.wrapping_add(k))?,
                Step::WordAtX(k) => a = at_x(packet, Width::Word, x.wrapping_add(k))?,
                Step::Behind(width, k) => a = behind_header(packet, width, k)?,
                Step::HeaderLengthBehind(k) => {
                    x = 4 * (behind_header(packet, Width::Byte, k)? & 15);
                }
                Step::HeaderLength(k) => x = 4 * (byte(data, k)? & 15),
                Step::ByteEq(k, fork) => {
                    a = byte(data, k)?;
                    at = branch(a == fork.k, fork);
                }
                Step::HalfEq(k, fork) => {
                    a = half(data, k)?;
                    at = branch(a == fork.k, fork);
                }
                Step::WordEq(k, fork) => {
                    a = word(data, k)?;
                    at = branch(a == fork.k, fork);
                }
                Step::HalfSet(k, fork) => {
                    a = half(data, k)?;
                    at = branch(a & fork.k != 0, fork);
                }
                Step::HalfAtXEq(k, fork) => {
                    a = at_x(packet, Width::Half, x.wrapping_add(k))?;
                    at = branch(a == fork.k, fork);
                }
                Step::WordAtXEq(k, fork) => {
                    a = at_x(packet, Width::Word, x.wrapping_add(k))?;
                    at = branch(a == fork.k, fork);
                }
                Step::ByteAtXSet(k, fork) => {
                    a = at_x(packet, Width::Byte, x.wrapping_add(k))?;
                    at = branch(a & fork.k != 0, fork);
                }
                Step::MaskEq(mask, fork) => {
                    a &= mask;
                    at = branch(a == fork.k, fork);
                }
                Step::Eq(fork) => at = branch(a == fork.k, fork),
                Step::Gt(fork) => at = branch(a > fork.k, fork),
                Step::Ge(fork) => at = branch(a >= fork.k, fork),
                Step::Set(fork) => at = branch(a & fork.k != 0, fork),
                Step::CompareX(cond, fork) => at = branch(holds(cond, a, x), fork),
                Step::Jump(to) => at = to.into(),
                Step::And(k) => a &= k,
                Step::Add(k) => a = a.wrapping_add(k),
                Step::Sub(k) => a = a.wrapping_sub(k),
                Step::Shl(k) => a = a.wrapping_shl(k),
                Step::Shr(k) => a = a.wrapping_shr(k),
                Step::AddX => a = a.wrapping_add(x),
                Step::SubX => a = a.wrapping_sub(x),
                Step::Compute(alu, Argument::K(k)) => a = compute(alu, a, k)?,
                Step::Compute(alu, Argument::X) => a = compute(alu, a, x)?,
                Step::Negate => a = a.wrapping_neg(),
                Step::Tax => x = a,
                Step::Txa => a = x,
                Step::Length(Register::A) => a = length(packet),
                Step::Length(Register::X) => x = length(packet),
                Step::Constant(Register::A, k) => a = k,
                Step::Constant(Register::X, k) => x = k,
                Step::Recall(Register::A, word) => a = memory[place(word)],
                Step::Recall(Register::X, word) => x = memory[place(word)],
                Step::Store(Register::A, word) => memory[place(word)] = a,
                Step::Store(Register::X, word) => memory[place(word)] = x,
                Step::Ancillary(Ancillary::XorX) => a ^= x,
                Step::Ancillary(fact) => a = ancillary(fact, packet)?,
                Step::Return(k) => return Some(k),
                Step::ReturnA => return Some(a),
            }
        }
    }
}

/// A branch of the processor too, which predicts it: as a conditional move the compiler would make
/// the next step, and so the jump to its code, wait for the comparison.
#[inline(always)]
fn branch(holds: bool, fork: Fork) -> usize {
    if holds {
        black_box(());
        usize::from(fork.yes)
    } else {
        usize::from(fork.no)
    }
}

/// A load at an offset that is known only now, and may be one of the kernel's negative ones.
#[inline(always)]
fn at_x(packet: &Packet<'_>, width: Width, offset: u32) -> Option<u32> {
    let data = packet.data();
    let loaded = match width {
        Width::Byte => byte(data, offset),
        Width::Half => half(data, offset),
        Width::Word => word(data, offset),
    };
    loaded.or_else(|| behind_header(packet, width, offset))
}

#[inline(always)]
fn byte(data: &[u8], offset: u32) -> Option<u32> {
    data.get(offset as usize).map(|byte| u32::from(*byte))
}

#[inline(always)]
fn half(data: &[u8], offset: u32) -> Option<u32> {
    bytes(data, offset).map(|bytes| u16::from_be_bytes(bytes).into())
}

#[inline(always)]
fn word(data: &[u8], offset: u32) -> Option<u32> {
    bytes(data, offset).map(u32::from_be_bytes)
}

#[inline(always)]
fn bytes<const N: usize>(data: &[u8], offset: u32) -> Option<[u8; N]> {
    let begin = offset as usize;
    data.get(begin..begin.checked_add(N)?)?.try_into().ok()
}

/// Out of line, so that the loop stays small.
#[cold]
#[inline(never)]
fn ancillary(fact: Ancillary, packet: &Packet<'_>) -> Option<u32> {
    fact::value(fact, packet)
}

/// Loads at one of the kernel's negative offsets, relative to a header. No packet is long enough to
/// contain such an offset from its start.
#[cold]
#[inline(never)]
fn behind_header(packet: &Packet<'_>, width: Width, offset: u32) -> Option<u32> {
    let begin = match offset {
        // The link header is where the captured bytes begin.
        SKF_LL_OFF..SKF_NET_OFF => offset - SKF_LL_OFF,
        SKF_NET_OFF.. => fact::network_header(packet)? + (offset - SKF_NET_OFF),
        _ => return None,
    };
    let data = packet.data();
    match width {
        Width::Byte => byte(data, begin),
        Width::Half => half(data, begin),
        Width::Word => word(data, begin),
    }
}

#[inline(never)]
fn length(packet: &Packet<'_>) -> u32 {
    packet.frame_len()
}

/// The checks guarantee that the word exists; the remainder saves a bounds check.
const fn place(word: u32) -> usize {
    (word % BPF_MEMWORDS) as usize
}

const fn compute(alu: Arithmetic, a: u32, with: u32) -> Option<u32> {
    Some(match alu {
        Arithmetic::Add => a.wrapping_add(with),
        Arithmetic::Sub => a.wrapping_sub(with),
        Arithmetic::Mul => a.wrapping_mul(with),
        Arithmetic::Div => return a.checked_div(with),
        Arithmetic::Mod => return a.checked_rem(with),
        Arithmetic::And => a & with,
        Arithmetic::Or => a | with,
        Arithmetic::Xor => a ^ with,
        Arithmetic::Lsh => a.wrapping_shl(with),
        Arithmetic::Rsh => a.wrapping_shr(with),
    })
}

const fn holds(cond: Comparison, a: u32, with: u32) -> bool {
    match cond {
        Comparison::Eq => a == with,
        Comparison::Gt => a > with,
        Comparison::Ge => a >= with,
        Comparison::Set => a & with != 0,
    }
}
