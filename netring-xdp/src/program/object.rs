//! An assembled program as an ELF object in memory, laid out as a compiler would and as loaders read it.

use std::ffi::CStr;

use netring_sys::Error;
use object::read::{File, Object as _, ObjectSection as _, ObjectSymbol as _};
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use super::asm::{Code, MapDef};

/// What the program may be used under. Some of the kernel's functions ask for a name that it knows; this crate's own
/// choice of MIT is one of the two here.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";

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

/// Refuses an object that aya would panic over: aya takes the places of symbols on trust.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let damaged = |source: Box<dyn std::error::Error + Send + Sync>| Error::Source {
        what: "the eBPF object is damaged".into(),
        source,
    };
    let file = File::parse(bytes).map_err(|error| damaged(error.into()))?;
    for symbol in file.symbols() {
        let Some(section) = symbol.section_index() else {
            continue;
        };
        let inside = file
            .section_by_index(section)
            .and_then(|section| Ok((section.address(), section.data().map(|_| section.size())?)))
            .is_ok_and(|(address, len)| {
                address == 0 && symbol.address() <= len && symbol.size() <= len - symbol.address()
            });
        if !inside {
            return Err(damaged("a symbol is not inside its section".into()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn good() -> Vec<u8> {
        Program::redirect().queues(4).object().unwrap()
    }

    /// What aya does with an object before it asks the kernel.
    fn read(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        check(bytes)?;
        let mut object = aya_obj::Object::parse(bytes)?;
        let maps = object.maps.clone();
        let maps = maps.iter().map(|(name, map)| (name.as_str(), 3, map));
        let text: HashSet<usize> = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        object.relocate_maps(maps, &text)?;
        object.relocate_calls(&text)?;
        Ok(())
    }

    #[test]
    fn a_generated_object_is_read() {
        read(&good()).unwrap();
        assert!(check(b"").is_err());
        assert!(check(b"\x7fELF").is_err());
    }

    #[test]
    fn an_object_that_is_cut_or_damaged_is_read_or_refused_without_a_panic() {
        let good = good();
        for cut in 0..good.len() {
            assert!(read(&good[..cut]).is_err(), "{cut}");
        }
        for at in 0..good.len() {
            for mask in [0x01, 0x04, 0x10, 0x7f, 0x80, 0xff] {
                let mut damaged = good.clone();
                damaged[at] ^= mask;
                let _ = read(&damaged);
            }
        }
    }

    proptest! {
        #[test]
        fn an_object_with_any_damage_is_read_or_refused_without_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let mut damaged = good();
            for (at, value) in damage {
                *at.get_mut(&mut damaged) = value;
            }
            let _ = read(&damaged);
        }
    }
}
