//! Instructions as steps.

use crate::filter::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use crate::kernel::filter::SKF_LL_OFF;

/// One instruction, or two that follow each other: 16 bytes. The frequent ones have a variant each,
/// so that one jump finds the code of a step; the others share some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Byte(u32),
    Half(u32),
    Word(u32),
    ByteAtX(u32),
    HalfAtX(u32),
    WordAtX(u32),
    HeaderLength(u32),
    /// At one of the kernel's negative offsets.
    Behind(Width, u32),
    HeaderLengthBehind(u32),
    ByteEq(u32, Fork),
    HalfEq(u32, Fork),
    WordEq(u32, Fork),
    HalfSet(u32, Fork),
    HalfAtXEq(u32, Fork),
    WordAtXEq(u32, Fork),
    ByteAtXSet(u32, Fork),
    MaskEq(u32, Fork),
    Eq(Fork),
    Gt(Fork),
    Ge(Fork),
    Set(Fork),
    CompareX(Comparison, Fork),
    Jump(u16),
    And(u32),
    Add(u32),
    Sub(u32),
    Shl(u32),
    Shr(u32),
    AddX,
    SubX,
    Compute(Arithmetic, Argument),
    Negate,
    Tax,
    Txa,
    Length(Register),
    Constant(Register, u32),
    Recall(Register, u32),
    Store(Register, u32),
    Ancillary(Ancillary),
    Return(u32),
    ReturnA,
}

const _: () = assert!(size_of::<Step>() == 16);

/// A comparison with `k`, and where it leads; a program has at most 4096 instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) k: u32,
    pub(super) yes: u16,
    pub(super) no: u16,
}

/// The step of each instruction.
pub(super) fn steps(ops: &[Op]) -> Box<[Step]> {
    let step = |(n, op): (usize, &Op)| {
        let joined = ops.get(n + 1).and_then(|next| joined(*op, *next));
        joined.unwrap_or_else(|| single(*op))
    };
    ops.iter().enumerate().map(step).collect()
}

/// An instruction and the comparison behind it as one step, if there is one for them.
fn joined(op: Op, next: Op) -> Option<Step> {
    let Op::Branch {
        cond,
        with: Argument::K(k),
        yes,
        no,
    } = next
    else {
        return None;
    };
    let fork = fork(k, yes, no);
    Some(match (op, cond) {
        (Op::LoadAbsolute(_, SKF_LL_OFF..), _) => return None,
        (Op::LoadAbsolute(Width::Byte, at), Comparison::Eq) => Step::ByteEq(at, fork),
        (Op::LoadAbsolute(Width::Half, at), Comparison::Eq) => Step::HalfEq(at, fork),
        (Op::LoadAbsolute(Width::Word, at), Comparison::Eq) => Step::WordEq(at, fork),
        (Op::LoadAbsolute(Width::Half, at), Comparison::Set) => Step::HalfSet(at, fork),
        (Op::LoadIndirect(Width::Half, at), Comparison::Eq) => Step::HalfAtXEq(at, fork),
        (Op::LoadIndirect(Width::Word, at), Comparison::Eq) => Step::WordAtXEq(at, fork),
        (Op::LoadIndirect(Width::Byte, at), Comparison::Set) => Step::ByteAtXSet(at, fork),
        (Op::Compute(Arithmetic::And, Argument::K(mask)), Comparison::Eq) => {
            Step::MaskEq(mask, fork)
        }
        _ => return None,
    })
}

const fn fork(k: u32, yes: usize, no: usize) -> Fork {
    Fork {
        k,
        yes: yes as u16,
        no: no as u16,
    }
}

fn single(op: Op) -> Step {
    match op {
        Op::LoadAbsolute(width, k @ SKF_LL_OFF..) => Step::Behind(width, k),
        Op::LoadHeaderLength(k @ SKF_LL_OFF..) => Step::HeaderLengthBehind(k),
        Op::LoadAbsolute(Width::Byte, k) => Step::Byte(k),
        Op::LoadAbsolute(Width::Half, k) => Step::Half(k),
        Op::LoadAbsolute(Width::Word, k) => Step::Word(k),
        Op::LoadIndirect(Width::Byte, k) => Step::ByteAtX(k),
        Op::LoadIndirect(Width::Half, k) => Step::HalfAtX(k),
        Op::LoadIndirect(Width::Word, k) => Step::WordAtX(k),
        Op::LoadHeaderLength(k) => Step::HeaderLength(k),
        Op::LoadAncillary(fact) => Step::Ancillary(fact),
        Op::LoadLength(register) => Step::Length(register),
        Op::LoadConstant(register, k) => Step::Constant(register, k),
        Op::LoadMemory(register, word) => Step::Recall(register, word),
        Op::StoreMemory(register, word) => Step::Store(register, word),
        Op::Compute(Arithmetic::And, Argument::K(k)) => Step::And(k),
        Op::Compute(Arithmetic::Add, Argument::K(k)) => Step::Add(k),
        Op::Compute(Arithmetic::Sub, Argument::K(k)) => Step::Sub(k),
        Op::Compute(Arithmetic::Lsh, Argument::K(k)) => Step::Shl(k),
        Op::Compute(Arithmetic::Rsh, Argument::K(k)) => Step::Shr(k),
        Op::Compute(Arithmetic::Add, Argument::X) => Step::AddX,
        Op::Compute(Arithmetic::Sub, Argument::X) => Step::SubX,
        Op::Compute(alu, with) => Step::Compute(alu, with),
        Op::Negate => Step::Negate,
        Op::Jump(to) => Step::Jump(to as u16),
        Op::Branch {
            cond,
            with: Argument::X,
            yes,
            no,
        } => Step::CompareX(cond, fork(0, yes, no)),
        Op::Branch {
            cond,
            with: Argument::K(k),
            yes,
            no,
        } => {
            let fork = fork(k, yes, no);
            match cond {
                Comparison::Eq => Step::Eq(fork),
                Comparison::Gt => Step::Gt(fork),
                Comparison::Ge => Step::Ge(fork),
                Comparison::Set => Step::Set(fork),
            }
        }
        Op::Return(k) => Step::Return(k),
        Op::ReturnA => Step::ReturnA,
        Op::Tax => Step::Tax,
        Op::Txa => Step::Txa,
    }
}
