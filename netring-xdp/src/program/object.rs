//! An assembled program as an ELF object in memory, laid out as a compiler would and as loaders read it.

use netring_sys::Error;
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use super::asm::{Code, MapDef};

/// What the program may be used under. Some of the kernel's functions ask for a name that it knows; this crate's own
/// choice of MIT is one of the two here.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// The object: the program in `section`, its maps in `maps`, and a relocation for each load of a map.
pub(super) fn elf(name: &str, section: &str, code: &Code) -> Result<Vec<u8>, Error> {
    let order = if cfg!(target_endian = "little") {
        Endianness::Little
    } else {
        Endianness::Big
    };
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, order);
    let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
    object.append_section_data(text, &code.to_bytes(), 8);
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, LICENSE, 1);

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
    let size = (code.insns().len() * 8) as u64;
    object.add_symbol(symbol(name, 0, size, SymbolKind::Text, text));
    let mut map_section = None;
    let map_symbols: Vec<SymbolId> = code
        .maps()
        .iter()
        .map(|map| {
            let maps = *map_section.get_or_insert_with(|| {
                object.add_section(Vec::new(), b"maps".to_vec(), SectionKind::Data)
            });
            let definition = definition(map);
            let at = object.append_section_data(maps, &definition, 4);
            let size = definition.len() as u64;
            object.add_symbol(symbol(&map.name, at, size, SymbolKind::Data, maps))
        })
        .collect();
    for (insn, map) in code.map_loads() {
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

/// `struct bpf_map_def` in this machine's order.
fn definition(map: &MapDef) -> Vec<u8> {
    const FLAGS: u32 = 0;
    let fields = [
        map.kind as u32,
        map.key_size,
        map.value_size,
        map.max_entries,
        FLAGS,
    ];
    fields.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn unwritable(error: object::write::Error) -> Error {
    Error::Source {
        what: "the program cannot be written as an object".into(),
        source: Box::new(error),
    }
}
