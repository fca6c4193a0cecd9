//! Classic BPF, the language of socket filters: read, and held against the rules that the kernel has for it.
//!
//! The rules are those of `bpf_check_classic`: what the kernel refuses on a socket is refused here, and in words. Beyond them is refused what a
//! socket filter may ask and an XDP program cannot answer. Nothing is left out: a filter means what it says, or is an error.

mod translate;

#[cfg(test)]
mod tests;

use netring_sys::Error;
use netring_sys::kernel::filter::{BPF_MAXINSNS, SockFilter};

use super::asm::Assembler;
use super::insn::{Alu, Cond, Size};

pub(super) use translate::{Aim, Loads};

/// How many words of memory a program has.
const WORDS: u32 = 16;
/// Offsets from here on are not in the packet, but in what the kernel knows of it.
const ANCILLARY: u32 = -0x1000_i32 as u32;
/// Offsets from here on count from the network header.
const NETWORK: u32 = -0x0010_0000_i32 as u32;
/// Offsets from here on count from the link header.
const LINK: u32 = -0x0020_0000_i32 as u32;
/// As far as an XDP program reaches into a packet, in bytes.
const REACH: u32 = 0xffff;

/// The two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    A,
    X,
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    K(u32),
    X,
}

/// An instruction that was read. Jumps have their aims, counted from the begin of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// `A = packet[k]`
    Absolute(Size, u32),
    /// `A = packet[X + k]`
    Indirect(Size, u32),
    /// `X = 4 * (packet[k] & 15)`
    HeaderLength(u32),
    /// The length of the packet.
    Length(Register),
    Constant(Register, u32),
    Load(Register, u32),
    Store(Register, u32),
    /// `A = A op value`
    Compute(Alu, Value),
    Negate,
    Jump(usize),
    Branch {
        cond: Cond,
        with: Value,
        yes: usize,
        no: usize,
    },
    ReturnConstant(u32),
    ReturnA,
    /// `X = A`
    Tax,
    /// `A = X`
    Txa,
}

/// The part of an XDP program that goes on with the packets for which this classic program does not return 0, and jumps with the rest. The
/// context is in `r1`, before and after; `r6` is left alone.
pub(super) fn add(
    asm: &mut Assembler,
    program: &[SockFilter],
    loads: Loads,
    not_chosen: Aim,
) -> Result<(), Error> {
    translate::translate(asm, &read(program)?, loads, not_chosen);
    Ok(())
}

/// Reads a program.
fn read(program: &[SockFilter]) -> Result<Vec<Op>, Error> {
    if !(1..=BPF_MAXINSNS).contains(&program.len()) {
        return Err(refused(format!(
            "{} instructions; a program has 1 to {BPF_MAXINSNS}",
            program.len()
        )));
    }
    let read = |(at, insn): (usize, &SockFilter)| {
        one(at, *insn, program.len()).map_err(|why| refused_at(at, *insn, &why))
    };
    let ops: Vec<Op> = program
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    if !matches!(ops.last(), Some(Op::ReturnConstant(_) | Op::ReturnA)) {
        return Err(refused("the last instruction does not return".into()));
    }
    check_memory(&ops).map_err(|at| {
        let why = "it loads a word of memory that was not stored to on every way there";
        refused_at(at, program[at], why)
    })?;
    Ok(ops)
}

fn one(at: usize, insn: SockFilter, len: usize) -> Result<Op, String> {
    let SockFilter { code, k, .. } = insn;
    let size = match code & 0x18 {
        0x00 => Size::Word,
        0x08 => Size::Half,
        _ => Size::Byte,
    };
    let value = if code & 0x08 == 0 {
        Value::K(k)
    } else {
        Value::X
    };
    let aim = |distance: u32| {
        let aim = (distance as usize).checked_add(at + 1);
        aim.filter(|aim| *aim < len)
            .ok_or_else(|| "it jumps out of the program".to_owned())
    };
    Ok(match code {
        0x20 | 0x28 | 0x30 => Op::Absolute(size, in_reach(k, size)?),
        0x40 | 0x48 | 0x50 => Op::Indirect(size, of_the_packet(k)?),
        0xb1 => Op::HeaderLength(in_reach(k, Size::Byte)?),
        0x80 => Op::Length(Register::A),
        0x81 => Op::Length(Register::X),
        0x00 => Op::Constant(Register::A, k),
        0x01 => Op::Constant(Register::X, k),
        0x60 => Op::Load(Register::A, word(k)?),
        0x61 => Op::Load(Register::X, word(k)?),
        0x02 => Op::Store(Register::A, word(k)?),
        0x03 => Op::Store(Register::X, word(k)?),
        0x84 => Op::Negate,
        0x04 | 0x0c => Op::Compute(Alu::Add, value),
        0x14 | 0x1c => Op::Compute(Alu::Sub, value),
        0x24 | 0x2c => Op::Compute(Alu::Mul, value),
        0x34 | 0x3c => Op::Compute(Alu::Div, not_zero(value)?),
        0x44 | 0x4c => Op::Compute(Alu::Or, value),
        0x54 | 0x5c => Op::Compute(Alu::And, value),
        0x64 | 0x6c => Op::Compute(Alu::Lsh, below_32(value)?),
        0x74 | 0x7c => Op::Compute(Alu::Rsh, below_32(value)?),
        0x94 | 0x9c => Op::Compute(Alu::Mod, not_zero(value)?),
        0xa4 | 0xac => Op::Compute(Alu::Xor, value),
        0x05 => Op::Jump(aim(k)?),
        0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => Op::Branch {
            cond: match code & 0xf0 {
                0x10 => Cond::Eq,
                0x20 => Cond::Gt,
                0x30 => Cond::Ge,
                _ => Cond::Set,
            },
            with: value,
            yes: aim(insn.jt.into())?,
            no: aim(insn.jf.into())?,
        },
        0x06 => Op::ReturnConstant(k),
        0x16 => Op::ReturnA,
        0x07 => Op::Tax,
        0x87 => Op::Txa,
        _ => return Err("it is no instruction of classic BPF".into()),
    })
}

fn word(k: u32) -> Result<u32, String> {
    if k < WORDS {
        return Ok(k);
    }
    Err(format!("memory has {WORDS} words"))
}

fn not_zero(value: Value) -> Result<Value, String> {
    match value {
        Value::K(0) => Err("it divides by 0".into()),
        other => Ok(other),
    }
}

fn below_32(value: Value) -> Result<Value, String> {
    match value {
        Value::K(bits) if bits >= 32 => Err("it shifts by more than 31 bits".into()),
        other => Ok(other),
    }
}

/// What begins at one of the kernel's magic offsets is no part of the packet.
fn of_the_packet(k: u32) -> Result<u32, String> {
    let (what, from) = match k {
        NETWORK..ANCILLARY => ("counts from the network header (SKF_NET_OFF", NETWORK),
        LINK..NETWORK => ("counts from the link header (SKF_LL_OFF", LINK),
        _ => return Ok(k),
    };
    Err(format!(
        "it {what} + {}), which an XDP program does not know; a packet socket does",
        k - from
    ))
}

/// An offset that is known, at which the bytes of this size are in reach.
fn in_reach(k: u32, size: Size) -> Result<u32, String> {
    if k >= ANCILLARY {
        return Err(format!(
            "it loads what the kernel knows of a packet (SKF_AD_OFF + {}), which an XDP program does not have; a packet socket does",
            k - ANCILLARY
        ));
    }
    of_the_packet(k)?;
    if k > REACH - bytes(size) {
        return Err(format!(
            "an XDP program reaches the first {REACH} bytes of a packet; a packet socket does all"
        ));
    }
    Ok(k)
}

const fn bytes(size: Size) -> u32 {
    match size {
        Size::Byte => 1,
        Size::Half => 2,
        Size::Word => 4,
        Size::Double => 8,
    }
}

/// Each word that is loaded was stored on every way that leads there, as the kernel counts ways; if not, where.
fn check_memory(ops: &[Op]) -> Result<(), usize> {
    const ALL: u16 = u16::MAX;
    // What is stored at each instruction, whichever jump leads there.
    let mut stored = vec![ALL; ops.len()];
    let mut now = 0;
    for (at, op) in ops.iter().enumerate() {
        now &= stored[at];
        match *op {
            Op::Store(_, word) => now |= 1 << word,
            Op::Load(_, word) if now & (1 << word) == 0 => return Err(at),
            Op::Jump(aim) => {
                stored[aim] &= now;
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

fn refused_at(at: usize, insn: SockFilter, why: &str) -> Error {
    refused(format!(
        "instruction {at} (code {:#04x}, k {:#x}): {why}",
        insn.code, insn.k
    ))
}
