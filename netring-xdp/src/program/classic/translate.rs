//! A classic program as a part of an XDP program.
//!
//! | classic | here |
//! |---|---|
//! | A, X | `r7`, `r8`, the high halves 0 |
//! | M | 16 words of the stack |
//! | packet | from `r4` to `r5`, and by a call what lies in further buffers |
//!
//! A load outside of the packet, and a division by an X of 0, end a classic program with 0: nothing was chosen.

use super::super::asm::{Assembler, Helper, Label};
use super::super::insn::{Alu, Cond, Operand, Reg, Size};
use super::{Op, REACH, Register, Value, bytes};

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

/// Where a packet goes that was not chosen.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Aim {
    pub(in super::super) label: Label,
    /// What `r7` is there.
    pub(in super::super) verdict: i32,
    /// What `r8` is there.
    pub(in super::super) counter: i32,
}

pub(super) fn translate(asm: &mut Assembler, ops: &[Op], loads: Loads, not_chosen: Aim) {
    let mut to = Translation {
        places: ops.iter().map(|_| asm.label()).collect(),
        none: asm.label(),
        decide: asm.label(),
        fails: false,
        loads,
        asm,
    };
    to.asm.mov(CONTEXT, Reg::R1);
    to.find_packet();
    to.asm.mov(A, 0);
    to.asm.mov(X, 0);
    // The verifier takes no instruction that nothing leads to.
    let mut reached = vec![false; ops.len()];
    reached[0] = true;
    for (at, op) in ops.iter().enumerate() {
        if reached[at] {
            to.asm.bind(to.places[at]);
            to.one(at, *op);
            match *op {
                Op::ReturnConstant(_) | Op::ReturnA => {}
                Op::Jump(aim) => reached[aim] = true,
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
    asm.jump_if(Cond::Eq, Reg::R0, 0, not_chosen.label);
    asm.mov(Reg::R1, CONTEXT);
}

/// How bytes of a packet are to be had.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Loads {
    /// A packet may lie in several buffers: what is not in the first is had by a call.
    pub(in super::super) multi_buffer: bool,
    /// Bytes at X + k are always had by a call: to reckon with a pointer into the packet takes CAP_PERFMON.
    pub(in super::super) indirect_by_call: bool,
}

struct Translation<'a> {
    asm: &'a mut Assembler,
    /// Where each classic instruction begins.
    places: Vec<Label>,
    /// The program returns 0.
    none: Label,
    /// What it returns is in `r0`.
    decide: Label,
    /// Something jumps to `none`.
    fails: bool,
    loads: Loads,
}

impl Translation<'_> {
    fn one(&mut self, at: usize, op: Op) {
        match op {
            Op::Absolute(size, k) => self.absolute(A, size, k),
            Op::Indirect(size, k) => self.indirect(size, k),
            Op::HeaderLength(k) => {
                self.absolute(X, Size::Byte, k);
                self.asm.alu32(Alu::And, X, 15);
                self.asm.alu32(Alu::Lsh, X, 2);
            }
            Op::Length(register) => {
                self.asm.mov(Reg::R1, CONTEXT);
                self.asm.call(Helper::XdpGetBuffLen);
                self.asm.alu32(Alu::Mov, reg(register), Reg::R0);
                self.find_packet();
            }
            Op::Constant(register, k) => self.asm.alu32(Alu::Mov, reg(register), k as i32),
            Op::Load(register, word) => {
                self.asm
                    .load(Size::Word, reg(register), Reg::R10, place(word));
            }
            Op::Store(register, word) => {
                self.asm
                    .store(Size::Word, Reg::R10, place(word), reg(register));
            }
            Op::Compute(operation, value) => {
                if matches!((operation, value), (Alu::Div | Alu::Mod, Value::X)) {
                    let none = self.none();
                    self.asm.jump_if(Cond::Eq, X, 0, none);
                }
                self.asm.alu32(operation, A, operand(value));
            }
            Op::Negate => self.asm.alu32(Alu::Neg, A, 0),
            Op::Jump(aim) => self.go(at, aim),
            Op::Branch {
                cond,
                with,
                yes,
                no,
            } => self.branch(at, cond, with, yes, no),
            Op::ReturnConstant(0) => {
                let none = self.none();
                self.asm.jump(none);
            }
            Op::ReturnConstant(_) => {
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

    fn find_packet(&mut self) {
        self.asm.load(Size::Word, BEGIN, CONTEXT, DATA);
        self.asm.load(Size::Word, END, CONTEXT, DATA_END);
    }

    /// `to` = the bytes at `k`.
    fn absolute(&mut self, to: Reg, size: Size, k: u32) {
        let (k, len) = (k as i32, bytes(size) as i32);
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

    /// A = the bytes at X + k, modulo 2³²: X - 4 is written as X + (2³² - 4).
    fn indirect(&mut self, size: Size, k: u32) {
        self.asm.alu32(Alu::Mov, Reg::R2, X);
        self.asm.alu32(Alu::Add, Reg::R2, k as i32);
        let none = self.none();
        let (len, last) = (bytes(size) as i32, (REACH - bytes(size)) as i32);
        self.asm.jump_if(Cond::Gt, Reg::R2, last, none);
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

    /// What ends at `end` is not in the first buffer: it is nowhere, or in one of the next, for which there is the label.
    fn if_outside(&mut self, end: Reg) -> Option<Label> {
        let next_buffer = self.loads.multi_buffer.then(|| self.asm.label());
        let none = self.none();
        self.asm
            .jump_if(Cond::Gt, end, END, next_buffer.unwrap_or(none));
        next_buffer
    }

    /// The other way to load, from the label on: bytes at `k`, or at what `r2` says.
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

    /// `to` = the bytes at `r2`, in whichever buffer.
    fn call(&mut self, to: Reg, size: Size) {
        let none = self.none();
        self.asm.mov(Reg::R1, CONTEXT);
        self.asm.mov(Reg::R3, Reg::R10);
        self.asm.add(Reg::R3, i32::from(BYTES));
        self.asm.mov(Reg::R4, bytes(size) as i32);
        self.asm.call(Helper::XdpLoadBytes);
        self.asm.jump_if(Cond::Ne, Reg::R0, 0, none);
        self.find_packet();
        self.asm.load(size, to, Reg::R10, BYTES);
    }

    fn branch(&mut self, at: usize, cond: Cond, with: Value, yes: usize, no: usize) {
        if yes == no {
            return self.go(at, yes);
        }
        let with = match with {
            // A number that the instruction would take for a negative one.
            Value::K(k) if i32::try_from(k).is_err() => {
                self.asm.alu32(Alu::Mov, Reg::R2, k as i32);
                Operand::Reg(Reg::R2)
            }
            other => operand(other),
        };
        match (opposite(cond), yes == at + 1) {
            (Some(opposite), true) => self.asm.jump_if(opposite, A, with, self.places[no]),
            _ => {
                self.asm.jump_if(cond, A, with, self.places[yes]);
                self.go(at, no);
            }
        }
    }

    fn go(&mut self, at: usize, aim: usize) {
        if aim != at + 1 {
            self.asm.jump(self.places[aim]);
        }
    }
}

const fn reg(register: Register) -> Reg {
    match register {
        Register::A => A,
        Register::X => X,
    }
}

const fn operand(value: Value) -> Operand {
    match value {
        Value::K(k) => Operand::Imm(k as i32),
        Value::X => Operand::Reg(X),
    }
}

/// Where a word of memory is, from the end of the stack.
const fn place(word: u32) -> i16 {
    BYTES - 4 * (word as i16 + 1)
}

const fn opposite(cond: Cond) -> Option<Cond> {
    match cond {
        Cond::Eq => Some(Cond::Ne),
        Cond::Gt => Some(Cond::Le),
        Cond::Ge => Some(Cond::Lt),
        _ => None,
    }
}
