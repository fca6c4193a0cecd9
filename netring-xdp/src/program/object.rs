//! An assembled program as an ELF object in memory, laid out as a compiler would and as loaders
//! read it.

use std::ffi::CStr;

use netring_sys::Error;
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use super::asm::Code;
use super::btf::{self, DEFINITION};

/// The licence of the program. Some of the kernel's functions require one that is compatible with
/// the GPL; the MIT half is this crate's own.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";

impl Code {
    /// The program as an ELF object for a loader: `program` is its name, and `section` its type
    /// (`xdp`, `xdp.frags`). [`Program::from_elf`](super::Program::from_elf) loads it.
    ///
    /// The maps are in `.maps`, each load of a map has a relocation, and `.BTF` has all types.
    ///
    /// # Errors
    /// [`Error::Source`] if the object cannot be written, because it is too large.
    pub fn object(&self, program: &str, section: &str) -> Result<Vec<u8>, Error> {
        let order = if cfg!(target_endian = "little") {
            Endianness::Little
        } else {
            Endianness::Big
        };
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, order);
        let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
        object.append_section_data(text, &self.to_bytes(), 8);
        let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        object.append_section_data(license, LICENSE.to_bytes_with_nul(), 1);

        let symbol = |name: &str, value, size, kind, section| Symbol {
            name: name.into(),
            value,
            size,
            kind,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        };
        let size = (self.insns().len() * 8) as u64;
        object.add_symbol(symbol(program, 0, size, SymbolKind::Text, text));
        let mut map_section = None;
        let map_symbols: Vec<SymbolId> = self
            .maps()
            .iter()
            .map(|map| {
                let maps = *map_section.get_or_insert_with(|| {
                    object.add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data)
                });
                // The types describe the map; this only reserves its place.
                let at = object.append_section_data(maps, &[0; DEFINITION as usize], 8);
                let size = u64::from(DEFINITION);
                object.add_symbol(symbol(&map.name, at, size, SymbolKind::Data, maps))
            })
            .collect();
        let btf = btf::sections(program, section, self.maps());
        for (name, bytes) in [(".BTF", btf.types), (".BTF.ext", btf.functions)] {
            let section = object.add_section(Vec::new(), name.into(), SectionKind::Metadata);
            object.append_section_data(section, &bytes, 4);
        }
        for (insn, map) in self.map_loads() {
            let relocation = Relocation {
                offset: (insn * 8) as u64,
                symbol: map_symbols[map],
                addend: 0,
                flags: RelocationFlags::Elf {
                    r_type: elf::R_BPF_64_64,
                },
            };
            object
                .add_relocation(text, relocation)
                .map_err(unwritable)?;
        }
        object.write().map_err(unwritable)
    }
}

fn unwritable(error: object::write::Error) -> Error {
    Error::Source {
        what: "the program cannot be written as an object".into(),
        source: Box::new(error),
    }
}
