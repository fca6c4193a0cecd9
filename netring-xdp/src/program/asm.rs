//! A small assembler for eBPF: typed instructions, labels and maps, without text to parse and
//! without a compiler.
//!
//! ```
//! use netring_xdp::program::asm::{Assembler, Cond, Reg, Size};
//!
//! // Drops frames shorter than 64 bytes, passes the others.
//! let mut asm = Assembler::new();
//! let short = asm.label();
//! asm.load(Size::Word, Reg::R2, Reg::R1, 4); // xdp_md.data_end
//! asm.load(Size::Word, Reg::R1, Reg::R1, 0); // xdp_md.data
//! asm.add(Reg::R1, 64);
//! asm.mov(Reg::R0, 1); // XDP_DROP
//! asm.jump_if(Cond::Gt, Reg::R1, Reg::R2, short);
//! asm.mov(Reg::R0, 2); // XDP_PASS
//! asm.bind(short);
//! asm.exit();
//! let listing = [
//!     "   0: r2 = *(u32 *)(r1 +4)",
//!     "   1: r1 = *(u32 *)(r1 +0)",
//!     "   2: r1 += 64",
//!     "   3: r0 = 1",
//!     "   4: if r1 > r2 goto 6",
//!     "   5: r0 = 2",
//!     "   6: exit",
//! ];
//! let code = asm.finish()?;
//! assert!(code.to_string().lines().eq(listing));
//! # Ok::<(), netring_xdp::program::asm::AssembleError>(())
//! ```

mod code;

pub use code::Code;

pub use super::helper::Helper;
use super::insn::{
    ALU32, ALU64, CALL, Condition, EXIT, FROM_REG, JMP, LD_IMM64, LDX_MEM, PSEUDO_KFUNC_CALL,
    PSEUDO_MAP_FD, ST_MEM, STX_ATOMIC, STX_MEM, TO_BE,
};
pub use super::insn::{Alu, Cond, Insn, Operand, Reg, Size};
pub use super::map::{MapDef, MapKind};

/// Assembles instructions one after the other.
///
/// Jumps go forward only: a program without loops ends, and its longest path is as long as the
/// program.
#[derive(Debug, Default)]
pub struct Assembler {
    insns: Vec<Insn>,
    /// Where each label is, once it is bound.
    labels: Vec<Option<usize>>,
    /// Jumps, and the label of each.
    jumps: Vec<(usize, Label)>,
    maps: Vec<MapDef>,
    /// Loads of a map: which instruction, and which of `maps`.
    map_loads: Vec<(usize, MapRef)>,
    error: Option<AssembleError>,
}

/// A place in the program, which may be used before it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A map of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRef(usize);

/// Why a program cannot be assembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The label of a jump was never bound.
    #[error("the label of the jump at instruction {jump} was never bound")]
    Unbound {
        /// The jump.
        jump: usize,
    },
    /// A jump goes backward.
    #[error("the jump at instruction {jump} goes backward; only forward jumps are possible")]
    Backward {
        /// The jump.
        jump: usize,
    },
    /// A jump is longer than its 16 bits can express.
    #[error("the jump at instruction {jump} is longer than 32767 instructions")]
    TooFar {
        /// The jump.
        jump: usize,
    },
    /// A label is bound twice.
    #[error("a label is bound a second time, at instruction {at}")]
    BoundTwice {
        /// The second place.
        at: usize,
    },
}

impl Assembler {
    /// A program without instructions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new label, to be bound at its place.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds the label: its jumps go to the next instruction.
    pub fn bind(&mut self, label: Label) {
        let at = self.insns.len();
        if let Some(place) = self.labels.get_mut(label.0)
            && place.replace(at).is_some()
        {
            self.error.get_or_insert(AssembleError::BoundTwice { at });
        }
    }

    /// A map that the program uses.
    pub fn map(&mut self, map: MapDef) -> MapRef {
        self.maps.push(map);
        MapRef(self.maps.len() - 1)
    }

    /// `dst = operand`, all 64 bits.
    pub fn mov(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Mov, dst, operand);
    }

    /// `dst += operand`, all 64 bits.
    pub fn add(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Add, dst, operand);
    }

    /// Computes with all 64 bits.
    pub fn alu(&mut self, operation: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.compute(ALU64, operation, dst, operand.into());
    }

    /// Computes with the low 32 bits; the high ones become 0.
    pub fn alu32(&mut self, operation: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.compute(ALU32, operation, dst, operand.into());
    }

    /// Converts the low 16, 32 or 64 bits of a register from network order to the host's; the
    /// others become 0.
    pub fn to_host(&mut self, dst: Reg, size: Size) {
        let bits = match size {
            Size::Byte => return,
            Size::Half => 16,
            Size::Word => 32,
            Size::Double => 64,
        };
        self.push(TO_BE, dst as u8, 0, 0, bits);
    }

    /// `dst = number`, all 64 bits; takes the room of two instructions.
    pub fn load_u64(&mut self, dst: Reg, number: u64) {
        self.push(LD_IMM64, dst as u8, 0, 0, number as u32 as i32);
        self.push(0, 0, 0, 0, (number >> 32) as i32);
    }

    /// `dst = map`; takes the room of two instructions.
    pub fn load_map(&mut self, dst: Reg, map: MapRef) {
        self.map_loads.push((self.insns.len(), map));
        self.push(LD_IMM64, dst as u8, PSEUDO_MAP_FD, 0, 0);
        self.push(0, 0, 0, 0, 0);
    }

    /// `dst = *(base + offset)`; the bits above `size` become 0.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, offset: i16) {
        self.push(LDX_MEM | size as u8, dst as u8, base as u8, offset, 0);
    }

    /// `*(base + offset) = operand`.
    pub fn store(&mut self, size: Size, base: Reg, offset: i16, operand: impl Into<Operand>) {
        match operand.into() {
            Operand::Reg(src) => {
                self.push(STX_MEM | size as u8, base as u8, src as u8, offset, 0);
            }
            Operand::Imm(imm) => self.push(ST_MEM | size as u8, base as u8, 0, offset, imm),
        }
    }

    /// `*(base + offset) += src` in 8 bytes, as one step for all processors.
    pub fn atomic_add(&mut self, base: Reg, offset: i16, src: Reg) {
        let code = STX_ATOMIC | Size::Double as u8;
        self.push(code, base as u8, src as u8, offset, 0);
    }

    /// Continues at `label`.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(JMP, 0, 0, 0, 0);
    }

    /// Continues at `label` if the condition holds for all 64 bits.
    pub fn jump_if(&mut self, cond: Cond, dst: Reg, operand: impl Into<Operand>, label: Label) {
        self.jumps.push((self.insns.len(), label));
        let code = JMP | cond as u8;
        match operand.into() {
            Operand::Reg(src) => self.push(code | FROM_REG, dst as u8, src as u8, 0, 0),
            Operand::Imm(imm) => self.push(code, dst as u8, 0, 0, imm),
        }
    }

    /// Calls a helper: arguments in `R1` …, the result in `R0`; `R1`–`R5` are lost.
    pub fn call(&mut self, helper: Helper) {
        self.push(CALL, 0, 0, 0, helper as i32);
    }

    /// Calls a function of the kernel by its number in the running kernel's type information
    /// (`kfunc`).
    pub fn call_kfunc(&mut self, btf_id: i32) {
        self.push(CALL, 0, PSEUDO_KFUNC_CALL, 0, btf_id);
    }

    /// Ends the program; `R0` is its verdict.
    pub fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// The program, with every jump resolved.
    ///
    /// # Errors
    /// A label is not bound, bound twice, bound before its jump, or too far away.
    pub fn finish(mut self) -> Result<Code, AssembleError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for &(jump, label) in &self.jumps {
            let aim = self.labels.get(label.0).copied().flatten();
            let aim = aim.ok_or(AssembleError::Unbound { jump })?;
            // A jump counts from the instruction after it.
            let distance = aim.checked_sub(jump + 1);
            let distance = distance.ok_or(AssembleError::Backward { jump })?;
            self.insns[jump].off =
                i16::try_from(distance).map_err(|_| AssembleError::TooFar { jump })?;
        }
        Ok(Code {
            insns: self.insns,
            maps: self.maps,
            map_loads: self.map_loads,
        })
    }

    fn compute(&mut self, class: u8, operation: Alu, dst: Reg, operand: Operand) {
        let code = class | operation as u8;
        match operand {
            Operand::Reg(src) => self.push(code | FROM_REG, dst as u8, src as u8, 0, 0),
            Operand::Imm(imm) => self.push(code, dst as u8, 0, 0, imm),
        }
    }

    fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.insns.push(Insn {
            code,
            dst,
            src,
            off,
            imm,
        });
    }
}

#[cfg(test)]
mod tests;
