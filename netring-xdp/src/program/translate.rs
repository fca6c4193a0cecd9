//! A filter, in classic BPF, as a part of an XDP program, in eBPF.
//!
//! | classic BPF | eBPF |
//! |---|---|
//! | A, X | `r7`, `r8`, the high halves 0 |
//! | M | 16 words of the stack |
//! | tag beside the bytes | a double word of the stack, if the driver is asked for it |
//! | packet | from `r4` to `r5`; further buffers by a call |
//!
//! A load outside the packet and a division by an X of 0 end a filter with 0: the packet is
//! rejected. Operations that an XDP program cannot do are refused ([`reach`]).

mod reach;

#[cfg(test)]
mod tests;

use netring_sys::Error;
use netring_sys::filter::{
    Ancillary, Argument, Arithmetic, Comparison, Op, Program, Register, Width,
};

use super::asm::{Assembler, Helper, Label};
use super::insn::{self, Reg, Size};
use reach::{REACH, read};

const A: Reg = Reg::R7;
const X: Reg = Reg::R8;
const CONTEXT: Reg = Reg::R9;
const BEGIN: Reg = Reg::R4;
const END: Reg = Reg::R5;
/// Offsets in the context, `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
/// Where a call puts bytes of a packet, from the end of the stack; the memory words are below.
const BYTES: i16 = -8;
/// Where the tag beside the bytes is, below the memory words: whether there is one, its TPID in
/// network order, and its TCI.
const TAG_PRESENT: i16 = place(15) - 8;
const TAG_TPID: i16 = TAG_PRESENT + 4;
const TAG_TCI: i16 = TAG_PRESENT + 6;

/// Where a rejected packet goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct JumpTarget {
    pub(super) label: Label,
    /// The value of `r7` there.
    pub(super) verdict: i32,
    /// The value of `r8` there.
    pub(super) counter: i32,
}

/// How the program loads bytes of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoadStrategy {
    /// A packet may lie in several buffers: a call loads bytes outside the first.
    pub(super) multi_buffer: bool,
    /// A call always loads bytes at X + k: adding a variable to a pointer into the packet takes
    /// CAP_PERFMON.
    pub(super) indirect_by_call: bool,
    /// The kernel's function that returns the VLAN tag beside the bytes. Without one a filter that
    /// loads it is refused.
    pub(super) tags: Option<i32>,
}

/// Adds a filter to an XDP program, which continues with the packets for which the filter does not
/// return 0, and jumps with the others. The context is in `r1`, before and after; `r6` is not
/// touched.
pub(super) fn add(
    asm: &mut Assembler,
    filter: &Program,
    loads: LoadStrategy,
    not_chosen: JumpTarget,
) -> Result<(), Error> {
    let ops = read(filter, loads.tags.is_some())?;
    translate(asm, &ops, loads, not_chosen);
    Ok(())
}

fn translate(asm: &mut Assembler, ops: &[Op], loads: LoadStrategy, not_chosen: JumpTarget) {
    let mut to = Translation {
        places: ops.iter().map(|_| asm.label()).collect(),
        none: asm.label(),
        decide: asm.label(),
        fails: false,
        loads,
        asm,
    };
    to.asm.mov(CONTEXT, Reg::R1);
    if let Some(kfunc) = loads.tags {
        to.find_tag(kfunc);
    }
    to.find_packet();
    to.asm.mov(A, 0);
    to.asm.mov(X, 0);
    // The verifier refuses unreachable instructions.
    let mut reached = vec![false; ops.len()];
    reached[0] = true;
    for (at, op) in ops.iter().enumerate() {
        if reached[at] {
            to.asm.bind(to.places[at]);
            to.one(at, *op);
            match *op {
                Op::Return(_) | Op::ReturnA => {}
                Op::Jump(to) => reached[to] = true,
                Op::Branch { yes, no, .. } => (reached[yes], reached[no]) = (true, true),
                _ => reached[at + 1] = true,
            }
        }
    }
    if to.fails {
        to.asm.bind(to.none);
        to.asm.mov(Reg::R0, 0);
    }
    to.asm.bind(to.decide);
    asm.mov(Reg::R7, not_chosen.verdict);
    asm.mov(Reg::R8, not_chosen.counter);
    asm.jump_if(insn::Cond::Eq, Reg::R0, 0, not_chosen.label);
    asm.mov(Reg::R1, CONTEXT);
}

struct Translation<'a> {
    asm: &'a mut Assembler,
    /// Where each instruction of the filter begins.
    places: Vec<Label>,
    /// The filter returns 0.
    none: Label,
    /// The filter's result is in `r0`.
    decide: Label,
    /// Whether anything jumps to `none`.
    fails: bool,
    loads: LoadStrategy,
}

impl Translation<'_> {
    fn one(&mut self, at: usize, op: Op) {
        match op {
            Op::LoadAbsolute(width, k) => self.absolute(A, size(width), k),
            Op::LoadIndirect(width, k) => self.indirect(size(width), k),
            Op::LoadHeaderLength(k) => {
                self.absolute(X, Size::Byte, k);
                self.asm.alu32(insn::Alu::And, X, 15);
                self.asm.alu32(insn::Alu::Lsh, X, 2);
            }
            Op::LoadAncillary(Ancillary::VlanTagPresent) if self.loads.tags.is_some() => {
                self.asm.load(Size::Word, A, Reg::R10, TAG_PRESENT);
            }
            Op::LoadAncillary(Ancillary::VlanTag) if self.loads.tags.is_some() => {
                self.asm.load(Size::Half, A, Reg::R10, TAG_TCI);
            }
            Op::LoadAncillary(Ancillary::VlanTpid) if self.loads.tags.is_some() => {
                self.asm.load(Size::Half, A, Reg::R10, TAG_TPID);
                self.asm.to_host(A, Size::Half);
            }
            // Refused by `read`; if it were not, the filter would choose nothing by it.
            Op::LoadAncillary(_) => self.go_to_none(),
            Op::LoadLength(register) => {
                self.asm.mov(Reg::R1, CONTEXT);
                self.asm.call(Helper::XdpGetBuffLen);
                self.asm.alu32(insn::Alu::Mov, reg(register), Reg::R0);
                self.find_packet();
            }
            Op::LoadConstant(register, k) => {
                self.asm.alu32(insn::Alu::Mov, reg(register), k as i32);
            }
            Op::LoadMemory(register, word) => {
                self.asm
                    .load(Size::Word, reg(register), Reg::R10, place(word));
            }
            Op::StoreMemory(register, word) => {
                self.asm
                    .store(Size::Word, Reg::R10, place(word), reg(register));
            }
            Op::Compute(alu, with) => {
                if matches!(
                    (alu, with),
                    (Arithmetic::Div | Arithmetic::Mod, Argument::X)
                ) {
                    let none = self.none();
                    self.asm.jump_if(insn::Cond::Eq, X, 0, none);
                }
                self.asm.alu32(arithmetic(alu), A, operand(with));
            }
            Op::Negate => self.asm.alu32(insn::Alu::Neg, A, 0),
            Op::Jump(to) => self.go(at, to),
            Op::Branch {
                cond,
                with,
                yes,
                no,
            } => self.branch(at, cond, with, yes, no),
            Op::Return(0) => self.go_to_none(),
            Op::Return(_) => {
                self.asm.mov(Reg::R0, 1);
                self.asm.jump(self.decide);
            }
            Op::ReturnA => {
                self.asm.mov(Reg::R0, A);
                self.asm.jump(self.decide);
            }
            Op::Tax => self.asm.mov(X, A),
            Op::Txa => self.asm.mov(A, X),
        }
    }

    fn none(&mut self) -> Label {
        self.fails = true;
        self.none
    }

    fn go_to_none(&mut self) {
        let none = self.none();
        self.asm.jump(none);
    }

    /// Puts the tag beside the bytes onto the stack, or zeros.
    fn find_tag(&mut self, kfunc: i32) {
        let without = self.asm.label();
        self.asm.store(Size::Double, Reg::R10, TAG_PRESENT, 0);
        self.asm.mov(Reg::R1, CONTEXT);
        for (register, place) in [(Reg::R2, TAG_TPID), (Reg::R3, TAG_TCI)] {
            self.asm.mov(register, Reg::R10);
            self.asm.add(register, i32::from(place));
        }
        self.asm.call_kfunc(kfunc);
        self.asm.jump_if(insn::Cond::Ne, Reg::R0, 0, without);
        self.asm.store(Size::Word, Reg::R10, TAG_PRESENT, 1);
        self.asm.bind(without);
    }

    fn find_packet(&mut self) {
        self.asm.load(Size::Word, BEGIN, CONTEXT, DATA);
        self.asm.load(Size::Word, END, CONTEXT, DATA_END);
    }

    /// `to` = the bytes at `k`.
    fn absolute(&mut self, to: Reg, size: Size, k: u32) {
        let (k, len) = (k as i32, size.bytes() as i32);
        let near = i16::try_from(k);
        self.asm.mov(Reg::R0, BEGIN);
        self.asm.add(Reg::R0, k + len);
        let next_buffer = self.if_outside(Reg::R0);
        match near {
            Ok(k) => self.asm.load(size, to, BEGIN, k),
            Err(_) => {
                self.asm.mov(Reg::R3, BEGIN);
                self.asm.add(Reg::R3, k);
                self.asm.load(size, to, Reg::R3, 0);
            }
        }
        if let Some(label) = next_buffer {
            self.by_call(label, to, size, Some(k));
        }
        self.asm.to_host(to, size);
    }

    /// `A` = the bytes at X + k, modulo 2³²: X - 4 is written as X + (2³² - 4).
    fn indirect(&mut self, size: Size, k: u32) {
        self.asm.alu32(insn::Alu::Mov, Reg::R2, X);
        self.asm.alu32(insn::Alu::Add, Reg::R2, k as i32);
        let none = self.none();
        let (len, last) = (size.bytes() as i32, (REACH - size.bytes()) as i32);
        self.asm.jump_if(insn::Cond::Gt, Reg::R2, last, none);
        if self.loads.indirect_by_call {
            self.call(A, size);
            self.asm.to_host(A, size);
            return;
        }
        self.asm.mov(Reg::R3, BEGIN);
        self.asm.add(Reg::R3, Reg::R2);
        self.asm.mov(Reg::R0, Reg::R3);
        self.asm.add(Reg::R0, len);
        let next_buffer = self.if_outside(Reg::R0);
        self.asm.load(size, A, Reg::R3, 0);
        if let Some(label) = next_buffer {
            self.by_call(label, A, size, None);
        }
        self.asm.to_host(A, size);
    }

    /// Jumps if bytes that end at `end` are not in the first buffer: nowhere, or in a further one,
    /// at the returned label.
    fn if_outside(&mut self, end: Reg) -> Option<Label> {
        let next_buffer = self.loads.multi_buffer.then(|| self.asm.label());
        let none = self.none();
        self.asm
            .jump_if(insn::Cond::Gt, end, END, next_buffer.unwrap_or(none));
        next_buffer
    }

    /// The load by a call, from the label on: the bytes at `k`, or at `r2`.
    fn by_call(&mut self, from: Label, to: Reg, size: Size, k: Option<i32>) {
        let loaded = self.asm.label();
        self.asm.jump(loaded);
        self.asm.bind(from);
        if let Some(k) = k {
            self.asm.mov(Reg::R2, k);
        }
        self.call(to, size);
        self.asm.bind(loaded);
    }

    /// `to` = the bytes at `r2`, whichever buffer they are in.
    fn call(&mut self, to: Reg, size: Size) {
        let none = self.none();
        self.asm.mov(Reg::R1, CONTEXT);
        self.asm.mov(Reg::R3, Reg::R10);
        self.asm.add(Reg::R3, i32::from(BYTES));
        self.asm.mov(Reg::R4, size.bytes() as i32);
        self.asm.call(Helper::XdpLoadBytes);
        self.asm.jump_if(insn::Cond::Ne, Reg::R0, 0, none);
        self.find_packet();
        self.asm.load(size, to, Reg::R10, BYTES);
    }

    fn branch(&mut self, at: usize, cond: Comparison, with: Argument, yes: usize, no: usize) {
        if yes == no {
            return self.go(at, yes);
        }
        let with = match with {
            // eBPF would extend this constant with its sign.
            Argument::K(k) if i32::try_from(k).is_err() => {
                self.asm.alu32(insn::Alu::Mov, Reg::R2, k as i32);
                insn::Operand::Reg(Reg::R2)
            }
            other => operand(other),
        };
        let (cond, opposite) = condition(cond);
        match (opposite, yes == at + 1) {
            (Some(opposite), true) => self.asm.jump_if(opposite, A, with, self.places[no]),
            _ => {
                self.asm.jump_if(cond, A, with, self.places[yes]);
                self.go(at, no);
            }
        }
    }

    fn go(&mut self, at: usize, to: usize) {
        if to != at + 1 {
            self.asm.jump(self.places[to]);
        }
    }
}

const fn reg(register: Register) -> Reg {
    match register {
        Register::A => A,
        Register::X => X,
    }
}

const fn operand(operand: Argument) -> insn::Operand {
    match operand {
        Argument::K(k) => insn::Operand::Imm(k as i32),
        Argument::X => insn::Operand::Reg(X),
    }
}

const fn size(width: Width) -> Size {
    match width {
        Width::Byte => Size::Byte,
        Width::Half => Size::Half,
        Width::Word => Size::Word,
    }
}

const fn arithmetic(alu: Arithmetic) -> insn::Alu {
    match alu {
        Arithmetic::Add => insn::Alu::Add,
        Arithmetic::Sub => insn::Alu::Sub,
        Arithmetic::Mul => insn::Alu::Mul,
        Arithmetic::Div => insn::Alu::Div,
        Arithmetic::Mod => insn::Alu::Mod,
        Arithmetic::And => insn::Alu::And,
        Arithmetic::Or => insn::Alu::Or,
        Arithmetic::Xor => insn::Alu::Xor,
        Arithmetic::Lsh => insn::Alu::Lsh,
        Arithmetic::Rsh => insn::Alu::Rsh,
    }
}

/// The condition of a jump, and its opposite if eBPF has one.
const fn condition(cond: Comparison) -> (insn::Cond, Option<insn::Cond>) {
    match cond {
        Comparison::Eq => (insn::Cond::Eq, Some(insn::Cond::Ne)),
        Comparison::Gt => (insn::Cond::Gt, Some(insn::Cond::Le)),
        Comparison::Ge => (insn::Cond::Ge, Some(insn::Cond::Lt)),
        Comparison::Set => (insn::Cond::Set, None),
    }
}

/// Where a word of memory is, from the end of the stack.
const fn place(word: u32) -> i16 {
    BYTES - 4 * (word as i16 + 1)
}
