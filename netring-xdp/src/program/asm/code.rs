//! An assembled program, and its listing.

use std::fmt;

use super::{CALL, Condition, EXIT, Insn, JMP, LD_IMM64, MapDef, MapRef};

/// An assembled program. Its `Display` is a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub(super) insns: Vec<Insn>,
    pub(super) maps: Vec<MapDef>,
    pub(super) map_loads: Vec<(usize, MapRef)>,
}

impl Code {
    /// The instructions; loads of maps have no map yet.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// The maps, in the order in which they were added.
    pub fn maps(&self) -> &[MapDef] {
        &self.maps
    }

    /// Loads of maps: which instruction, and which of [`maps`](Self::maps).
    pub fn map_loads(&self) -> impl Iterator<Item = (usize, usize)> {
        self.map_loads.iter().map(|&(at, map)| (at, map.0))
    }

    /// The bytes of all instructions, as they are in memory.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.insns.iter().flat_map(|insn| insn.to_bytes()).collect()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        while let Some(insn) = self.insns.get(at) {
            write!(f, "{at:4}: ")?;
            match (insn.code, self.map_loads().find(|(load, _)| *load == at)) {
                (_, Some((_, map))) => writeln!(f, "r{} = map {}", insn.dst, self.maps[map].name)?,
                (LD_IMM64, None) => {
                    let high = self.insns.get(at + 1).map_or(0, |half| half.imm);
                    let number = (high as u32 as u64) << 32 | insn.imm as u32 as u64;
                    writeln!(f, "r{} = {number:#x} ll", insn.dst)?;
                }
                (code, None) if code & 7 == JMP && code != CALL && code != EXIT => {
                    let aim = at + 1 + insn.off as usize;
                    writeln!(f, "{}goto {aim}", Condition(insn))?;
                }
                _ => writeln!(f, "{insn}")?,
            }
            at += if insn.code == LD_IMM64 { 2 } else { 1 };
        }
        Ok(())
    }
}
