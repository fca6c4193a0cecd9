//! Programs as text, in the syntax of the kernel's `bpf_asm`.

use std::fmt;

use super::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use super::{Program, decode};
use crate::kernel::filter::{SKF_AD_OFF, SockFilter};

/// One instruction per line, each with a label. An invalid instruction becomes a comment with its
/// fields; such a listing does not assemble.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, insn) in self.instructions().iter().enumerate() {
            // A jump out of the program is listed as it is; only `check` refuses it.
            match decode::instruction(at, *insn, usize::MAX) {
                Ok(op) => writeln!(f, "l{at}: {op}")?,
                Err(why) => {
                    let SockFilter { code, jt, jf, k } = insn;
                    write!(f, "l{at}: ; code {code:#04x}, jt {jt}, jf {jf}, k {k:#x}")?;
                    writeln!(f, ": {why}")?;
                }
            }
        }
        Ok(())
    }
}

/// The instruction in the syntax of `bpf_asm`; jump targets are labels `l0`, `l1` ….
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LoadAbsolute(width, k) => write!(f, "{} [{}]", load(width), Offset(k)),
            Self::LoadIndirect(width, k) => write!(f, "{} [x + {}]", load(width), Offset(k)),
            Self::LoadHeaderLength(k) => write!(f, "ldxb 4*([{}]&0xf)", Offset(k)),
            Self::LoadAncillary(fact) => match keyword(fact) {
                Some(word) => write!(f, "ld {word}"),
                None => write!(f, "ld [{:#x}]", SKF_AD_OFF + fact.number()),
            },
            Self::LoadLength(Register::A) => f.write_str("ld len"),
            Self::LoadLength(Register::X) => f.write_str("ldx len"),
            Self::LoadConstant(Register::A, k) => write!(f, "ld #{}", Hex(k)),
            Self::LoadConstant(Register::X, k) => write!(f, "ldx #{}", Hex(k)),
            Self::LoadMemory(Register::A, word) => write!(f, "ld M[{word}]"),
            Self::LoadMemory(Register::X, word) => write!(f, "ldx M[{word}]"),
            Self::StoreMemory(Register::A, word) => write!(f, "st M[{word}]"),
            Self::StoreMemory(Register::X, word) => write!(f, "stx M[{word}]"),
            Self::Compute(alu, with) => write!(f, "{} {with}", mnemonic(alu)),
            Self::Negate => f.write_str("neg"),
            Self::Jump(to) => write!(f, "jmp l{to}"),
            Self::Branch {
                cond,
                with,
                yes,
                no,
            } => write!(f, "{} {with}, l{yes}, l{no}", jump(cond)),
            Self::Return(k) => write!(f, "ret #{}", Hex(k)),
            Self::ReturnA => f.write_str("ret a"),
            Self::Tax => f.write_str("tax"),
            Self::Txa => f.write_str("txa"),
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::K(k) => write!(f, "#{}", Hex(k)),
            Self::X => f.write_str("x"),
        }
    }
}

/// An offset: decimal inside a packet, hexadecimal for the kernel's negative ones.
struct Offset(u32);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            k if k > i32::MAX as u32 => write!(f, "{k:#x}"),
            k => write!(f, "{k}"),
        }
    }
}

/// A value: small ones are more readable in decimal.
struct Hex(u32);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            k @ 0..10 => write!(f, "{k}"),
            k => write!(f, "{k:#x}"),
        }
    }
}

const fn load(width: Width) -> &'static str {
    match width {
        Width::Byte => "ldb",
        Width::Half => "ldh",
        Width::Word => "ld",
    }
}

const fn mnemonic(alu: Arithmetic) -> &'static str {
    match alu {
        Arithmetic::Add => "add",
        Arithmetic::Sub => "sub",
        Arithmetic::Mul => "mul",
        Arithmetic::Div => "div",
        Arithmetic::Mod => "mod",
        Arithmetic::And => "and",
        Arithmetic::Or => "or",
        Arithmetic::Xor => "xor",
        Arithmetic::Lsh => "lsh",
        Arithmetic::Rsh => "rsh",
    }
}

const fn jump(cond: Comparison) -> &'static str {
    match cond {
        Comparison::Eq => "jeq",
        Comparison::Gt => "jgt",
        Comparison::Ge => "jge",
        Comparison::Set => "jset",
    }
}

/// The keyword of an extension in `bpf_asm`, which has none for the exclusive or.
const fn keyword(fact: Ancillary) -> Option<&'static str> {
    Some(match fact {
        Ancillary::Protocol => "proto",
        Ancillary::PacketType => "type",
        Ancillary::Interface => "ifidx",
        Ancillary::NetlinkAttribute => "nla",
        Ancillary::NestedAttribute => "nlan",
        Ancillary::Mark => "mark",
        Ancillary::Queue => "queue",
        Ancillary::HardwareType => "hatype",
        Ancillary::RxHash => "rxhash",
        Ancillary::Cpu => "cpu",
        Ancillary::XorX => return None,
        Ancillary::VlanTag => "vlan_tci",
        Ancillary::VlanTagPresent => "vlan_avail",
        Ancillary::PayloadOffset => "poff",
        Ancillary::Random => "rand",
        Ancillary::VlanTpid => "vlan_tpid",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_has_its_text() {
        let stmt = SockFilter::stmt;
        let rows = [
            (stmt(0x20, 26), "ld [26]"),
            (stmt(0x28, 12), "ldh [12]"),
            (stmt(0x30, 0xfff0_0009), "ldb [0xfff00009]"),
            (stmt(0x40, 14), "ld [x + 14]"),
            (stmt(0x48, 16), "ldh [x + 16]"),
            (stmt(0x50, 0xffff_fffc), "ldb [x + 0xfffffffc]"),
            (stmt(0xb1, 14), "ldxb 4*([14]&0xf)"),
            (stmt(0x80, 0), "ld len"),
            (stmt(0x81, 0), "ldx len"),
            (stmt(0x00, 9), "ld #9"),
            (stmt(0x01, 10), "ldx #0xa"),
            (stmt(0x60, 15), "ld M[15]"),
            (stmt(0x61, 1), "ldx M[1]"),
            (stmt(0x02, 2), "st M[2]"),
            (stmt(0x03, 3), "stx M[3]"),
            (stmt(0x04, 1), "add #1"),
            (stmt(0x1c, 1), "sub x"),
            (stmt(0x24, 255), "mul #0xff"),
            (stmt(0x3c, 0), "div x"),
            (stmt(0x94, 7), "mod #7"),
            (stmt(0x54, 15), "and #0xf"),
            (stmt(0x4c, 0), "or x"),
            (stmt(0xa4, 0), "xor #0"),
            (stmt(0x64, 2), "lsh #2"),
            (stmt(0x7c, 0), "rsh x"),
            (stmt(0x84, 0), "neg"),
            (stmt(0x05, 1), "jmp l2"),
            (SockFilter::jump(0x15, 0x800, 0, 3), "jeq #0x800, l1, l4"),
            (SockFilter::jump(0x2d, 0, 1, 0), "jgt x, l2, l1"),
            (SockFilter::jump(0x35, 1, 2, 0), "jge #1, l3, l1"),
            (
                SockFilter::jump(0x45, 0x1fff, 255, 0),
                "jset #0x1fff, l256, l1",
            ),
            (stmt(0x06, 0), "ret #0"),
            (stmt(0x16, 0), "ret a"),
            (stmt(0x07, 0), "tax"),
            (stmt(0x87, 0), "txa"),
            (stmt(0x28, SKF_AD_OFF), "ld proto"),
            (stmt(0x20, SKF_AD_OFF + 40), "ld [0xfffff028]"),
            (stmt(0x20, SKF_AD_OFF + 48), "ld vlan_avail"),
            (
                stmt(0x34, 0),
                "; code 0x34, jt 0, jf 0, k 0x0: it divides by 0",
            ),
        ];
        for (insn, text) in rows {
            assert_eq!(Program::from([insn]).to_string(), format!("l0: {text}\n"));
        }
    }
}
