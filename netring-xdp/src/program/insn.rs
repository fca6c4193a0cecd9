//! One eBPF instruction: its fields, its eight bytes, and its text.

use std::fmt;

/// A register of the eBPF machine.
///
/// `R0` is the result of a call or of the program; `R1`–`R5` are arguments, which a call
/// overwrites; `R6`–`R9` survive a call; `R10` is the end of a stack of 512 bytes, and read-only.
#[expect(missing_docs, reason = "the names say everything")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How much memory an instruction accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// 4 bytes.
    Word = 0x00,
    /// 2 bytes.
    Half = 0x08,
    /// 1 byte.
    Byte = 0x10,
    /// 8 bytes.
    Double = 0x18,
}

impl Size {
    /// The size in bytes.
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// An operation. All are unsigned; dividing by 0 gives 0, and the remainder of that is the
/// dividend.
#[expect(missing_docs, reason = "the names are those of the instruction set")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Neg = 0x80,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
}

/// When a jump is taken: `Gt` … are unsigned, `Sgt` … signed, `Set` if the operands have a bit in
/// common.
#[expect(missing_docs, reason = "the names are those of the instruction set")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Set = 0x40,
    Ne = 0x50,
    Sgt = 0x60,
    Sge = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    Slt = 0xc0,
    Sle = 0xd0,
}

/// The second operand: a register, or a number that is sign-extended to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A number.
    Imm(i32),
}

/// An instruction as the kernel reads it (`struct bpf_insn`); a 64-bit load takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insn {
    /// Class, size or source, and operation.
    pub code: u8,
    /// The number of the register that is written to.
    pub dst: u8,
    /// The number of the register that is read, or a qualifier of `imm`.
    pub src: u8,
    /// A distance in bytes (memory) or instructions (jumps).
    pub off: i16,
    /// A number.
    pub imm: i32,
}

// Classes, modes and sources of `code`.
pub(super) const LD_IMM64: u8 = 0x18;
pub(super) const LDX_MEM: u8 = 0x61;
pub(super) const ST_MEM: u8 = 0x62;
pub(super) const STX_MEM: u8 = 0x63;
pub(super) const STX_ATOMIC: u8 = 0xc3;
pub(super) const ALU32: u8 = 0x04;
pub(super) const ALU64: u8 = 0x07;
pub(super) const TO_BE: u8 = 0xdc;
pub(super) const JMP: u8 = 0x05;
pub(super) const FROM_REG: u8 = 0x08;
pub(super) const CALL: u8 = 0x85;
pub(super) const EXIT: u8 = 0x95;
/// `src` of a 64-bit load of a map, and of a call of a kernel function.
pub(super) const PSEUDO_MAP_FD: u8 = 1;
pub(super) const PSEUDO_KFUNC_CALL: u8 = 2;

impl Insn {
    /// The eight bytes, in this machine's order.
    pub const fn to_bytes(self) -> [u8; 8] {
        // The two registers are bit fields, whose order follows the byte order.
        let registers = if cfg!(target_endian = "little") {
            self.src << 4 | self.dst
        } else {
            self.dst << 4 | self.src
        };
        let ([o0, o1], [i0, i1, i2, i3]) = (self.off.to_ne_bytes(), self.imm.to_ne_bytes());
        [self.code, registers, o0, o1, i0, i1, i2, i3]
    }
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Self::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Self {
        Self::Imm(imm)
    }
}

/// As the kernel's own disassembler writes it. A jump is written with its distance; the listing of
/// a whole program ([`Code`](super::asm::Code)) writes its destination.
impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            dst,
            src,
            off,
            imm,
        } = *self;
        match (code & 7, code) {
            (_, LD_IMM64) if src == PSEUDO_MAP_FD => write!(f, "r{dst} = map[{imm}]"),
            (_, LD_IMM64) => write!(f, "r{dst} = {imm:#x} ll"),
            (_, CALL) if src == PSEUDO_KFUNC_CALL => write!(f, "call kfunc#{imm}"),
            (_, CALL) => write!(f, "call {}", Helper(imm)),
            (_, EXIT) => f.write_str("exit"),
            (_, TO_BE) => write!(f, "r{dst} = be{imm} r{dst}"),
            (1, _) => write!(f, "r{dst} = {}", Memory(code, src, off)),
            (2, _) => write!(f, "{} = {imm}", Memory(code, dst, off)),
            (3, _) if code & 0xe0 == 0xc0 => {
                write!(f, "lock {} += r{src}", Memory(code, dst, off))
            }
            (3, _) => write!(f, "{} = r{src}", Memory(code, dst, off)),
            (5, _) => write!(f, "{}goto {off:+}", Condition(self)),
            (class, _) => {
                let reg = if class == 4 { 'w' } else { 'r' };
                match code & 0xf0 {
                    0x80 => write!(f, "{reg}{dst} = -{reg}{dst}"),
                    operation => write!(
                        f,
                        "{reg}{dst} {} {}",
                        alu_sign(operation),
                        Second(self, reg)
                    ),
                }
            }
        }
    }
}

/// The condition of a jump, with its `if`; empty for a jump that is always taken.
pub(super) struct Condition<'a>(pub(super) &'a Insn);

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0.code & 0xf0 {
            0x10 => "==",
            0x20 => ">",
            0x30 => ">=",
            0x40 => "&",
            0x50 => "!=",
            0x60 => "s>",
            0x70 => "s>=",
            0xa0 => "<",
            0xb0 => "<=",
            0xc0 => "s<",
            0xd0 => "s<=",
            _ => return Ok(()),
        };
        write!(f, "if r{} {sign} {} ", self.0.dst, Second(self.0, 'r'))
    }
}

struct Second<'a>(&'a Insn, char);

impl fmt::Display for Second<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.code & FROM_REG != 0 {
            write!(f, "{}{}", self.1, self.0.src)
        } else {
            write!(f, "{}", self.0.imm)
        }
    }
}

struct Memory(u8, u8, i16);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self.0 & 0x18 {
            0x00 => "u32",
            0x08 => "u16",
            0x10 => "u8",
            _ => "u64",
        };
        write!(f, "*({size} *)(r{} {:+})", self.1, self.2)
    }
}

struct Helper(i32);

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match super::helper::Helper::name(self.0) {
            Some(name) => write!(f, "{name}#{}", self.0),
            None => write!(f, "helper#{}", self.0),
        }
    }
}

const fn alu_sign(operation: u8) -> &'static str {
    match operation {
        0x00 => "+=",
        0x10 => "-=",
        0x20 => "*=",
        0x30 => "/=",
        0x40 => "|=",
        0x50 => "&=",
        0x60 => "<<=",
        0x70 => ">>=",
        0x90 => "%=",
        0xa0 => "^=",
        0xb0 => "=",
        _ => "?=",
    }
}
