//! The kernel's rules for classic BPF: `bpf_check_classic` in `net/core/filter.c`.

use super::op::{Ancillary, Argument, Arithmetic, Comparison, Op, Register, Width};
use crate::Error;
use crate::kernel::filter::{BPF_MAXINSNS, BPF_MEMWORDS, SKF_AD_OFF, SockFilter};

/// Decodes a program, or reports which instruction breaks which rule.
// [`bpf_check_classic`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/filter.c#L1072
pub(super) fn program(program: &[SockFilter]) -> Result<Vec<Op>, Error> {
    if !(1..=BPF_MAXINSNS).contains(&program.len()) {
        return Err(refused(format!(
            "{} instructions; a program has 1 to {BPF_MAXINSNS}",
            program.len()
        )));
    }
    let read = |(at, insn): (usize, &SockFilter)| {
        instruction(at, *insn, program.len()).map_err(|why| refused_at(at, Some(*insn), &why))
    };
    let ops: Vec<Op> = program
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    if !matches!(ops.last(), Some(Op::Return(_) | Op::ReturnA)) {
        return Err(refused("the last instruction does not return".into()));
    }
    check_memory(&ops).map_err(|at| {
        let why = "it loads a word of memory that was not stored on every path that leads here";
        refused_at(at, program.get(at).copied(), why)
    })?;
    Ok(ops)
}

/// Decodes instruction `at` of a program of `len` instructions.
pub(super) fn instruction(at: usize, insn: SockFilter, len: usize) -> Result<Op, String> {
    let SockFilter { code, k, .. } = insn;
    let operand = if code & 0x08 == 0 {
        Argument::K(k)
    } else {
        Argument::X
    };
    let target = |distance: u32| {
        let target = (distance as usize).checked_add(at + 1);
        target
            .filter(|target| *target < len)
            .ok_or_else(|| "it jumps out of the program".to_owned())
    };
    Ok(match code {
        0x20 | 0x28 | 0x30 if k >= SKF_AD_OFF => Op::LoadAncillary(ancillary(k)?),
        0x20 | 0x28 | 0x30 => Op::LoadAbsolute(width(code), k),
        0x40 | 0x48 | 0x50 => Op::LoadIndirect(width(code), k),
        0xb1 => Op::LoadHeaderLength(k),
        0x80 => Op::LoadLength(Register::A),
        0x81 => Op::LoadLength(Register::X),
        0x00 => Op::LoadConstant(Register::A, k),
        0x01 => Op::LoadConstant(Register::X, k),
        0x60 => Op::LoadMemory(Register::A, word(k)?),
        0x61 => Op::LoadMemory(Register::X, word(k)?),
        0x02 => Op::StoreMemory(Register::A, word(k)?),
        0x03 => Op::StoreMemory(Register::X, word(k)?),
        0x84 => Op::Negate,
        0x05 => Op::Jump(target(k)?),
        0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => Op::Branch {
            cond: match code & 0xf0 {
                0x10 => Comparison::Eq,
                0x20 => Comparison::Gt,
                0x30 => Comparison::Ge,
                _ => Comparison::Set,
            },
            with: operand,
            yes: target(insn.jt.into())?,
            no: target(insn.jf.into())?,
        },
        0x06 => Op::Return(k),
        0x16 => Op::ReturnA,
        0x07 => Op::Tax,
        0x87 => Op::Txa,
        _ => match alu(code) {
            Some(alu) => Op::Compute(alu, in_range(alu, operand)?),
            None => return Err("it is not an instruction of classic BPF".into()),
        },
    })
}

/// The operation of a `BPF_ALU` code, with a constant or X.
const fn alu(code: u16) -> Option<Arithmetic> {
    Some(match code {
        0x04 | 0x0c => Arithmetic::Add,
        0x14 | 0x1c => Arithmetic::Sub,
        0x24 | 0x2c => Arithmetic::Mul,
        0x34 | 0x3c => Arithmetic::Div,
        0x44 | 0x4c => Arithmetic::Or,
        0x54 | 0x5c => Arithmetic::And,
        0x64 | 0x6c => Arithmetic::Lsh,
        0x74 | 0x7c => Arithmetic::Rsh,
        0x94 | 0x9c => Arithmetic::Mod,
        0xa4 | 0xac => Arithmetic::Xor,
        _ => return None,
    })
}

const fn width(code: u16) -> Width {
    match code & 0x18 {
        0x00 => Width::Word,
        0x08 => Width::Half,
        _ => Width::Byte,
    }
}

fn ancillary(k: u32) -> Result<Ancillary, String> {
    let number = k - SKF_AD_OFF;
    Ancillary::of(number).ok_or_else(|| {
        format!(
            "it loads what the kernel knows about a packet (SKF_AD_OFF + {number}), and the \
             kernel has nothing of this number"
        )
    })
}

fn word(k: u32) -> Result<u32, String> {
    if k < BPF_MEMWORDS {
        return Ok(k);
    }
    Err(format!("memory has {BPF_MEMWORDS} words"))
}

/// No division by a constant 0, no shift by a constant of more than 31 bits.
fn in_range(alu: Arithmetic, operand: Argument) -> Result<Argument, String> {
    match (alu, operand) {
        (Arithmetic::Div | Arithmetic::Mod, Argument::K(0)) => Err("it divides by 0".into()),
        (Arithmetic::Lsh | Arithmetic::Rsh, Argument::K(32..)) => {
            Err("it shifts by more than 31 bits".into())
        }
        _ => Ok(operand),
    }
}

/// Checks that each word that is loaded was stored on every path that leads there, as the kernel
/// counts paths (`check_load_and_stores`). Otherwise returns the index of the load.
// [`check_load_and_stores`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/filter.c#L928
fn check_memory(ops: &[Op]) -> Result<(), usize> {
    const ALL: u16 = u16::MAX;
    // The words that are stored at each instruction, whichever jump leads there.
    let mut stored = vec![ALL; ops.len()];
    let mut now = 0;
    for (at, op) in ops.iter().enumerate() {
        now &= stored[at];
        match *op {
            Op::StoreMemory(_, word) => now |= 1 << word,
            Op::LoadMemory(_, word) if now & (1 << word) == 0 => return Err(at),
            Op::Jump(target) => {
                stored[target] &= now;
                now = ALL;
            }
            Op::Branch { yes, no, .. } => {
                stored[yes] &= now;
                stored[no] &= now;
                now = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}

fn refused(why: String) -> Error {
    Error::Config {
        setting: "filter",
        why,
    }
}

pub(super) fn refused_at(at: usize, insn: Option<SockFilter>, why: &str) -> Error {
    let Some(SockFilter { code, k, .. }) = insn else {
        return refused(format!("instruction {at}: {why}"));
    };
    refused(format!(
        "instruction {at} (code {code:#04x}, k {k:#x}): {why}"
    ))
}
