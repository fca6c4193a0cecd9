//! An assembled program as an ELF object in memory, laid out as a compiler would and as loaders read it.

use std::ffi::CStr;
use std::panic::{UnwindSafe, catch_unwind};

use netring_sys::Error;
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use super::asm::Code;
use super::btf::{self, DEFINITION};

/// What the program may be used under. Some of the kernel's functions ask for a name that it knows; this crate's own
/// choice of MIT is one of the two here.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";

/// The object: the program in `section`, its maps in `.maps`, a relocation for each load of a map, and the types of all of it.
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
                object.add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data)
            });
            // What it is stands in the types; here is but its place.
            let at = object.append_section_data(maps, &[0; DEFINITION as usize], 8);
            let size = u64::from(DEFINITION);
            object.add_symbol(symbol(&map.name, at, size, SymbolKind::Data, maps))
        })
        .collect();
    let btf = btf::sections(name, section, code.maps());
    for (name, bytes) in [(".BTF", btf.types), (".BTF.ext", btf.functions)] {
        let section = object.add_section(Vec::new(), name.into(), SectionKind::Metadata);
        object.append_section_data(section, &bytes, 4);
    }
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

fn unwritable(error: object::write::Error) -> Error {
    Error::Source {
        what: "the program cannot be written as an object".into(),
        source: Box::new(error),
    }
}

/// Reads an object with aya, which takes it on trust: what it says over a damaged one is an error here, also where it panics.
pub(super) fn read<T>(with: impl FnOnce() -> T + UnwindSafe) -> Result<T, Error> {
    catch_unwind(with).map_err(|_| Error::Source {
        what: "the eBPF object is damaged".into(),
        source: "aya gave up reading it".into(),
    })
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
    fn load(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        read(|| {
            let mut object = aya_obj::Object::parse(bytes)?;
            let maps = object.maps.clone();
            let maps = maps.iter().map(|(name, map)| (name.as_str(), 3, map));
            let text: HashSet<usize> = object.functions.keys().map(|(at, _)| *at).collect();
            object.relocate_maps(maps, &text)?;
            object.relocate_calls(&text)?;
            Ok(())
        })?
    }

    #[test]
    fn a_generated_object_is_read() {
        load(&good()).unwrap();
        assert!(load(b"").is_err());
        assert!(load(b"\x7fELF").is_err());
    }

    #[test]
    fn an_object_that_is_cut_is_refused() {
        let good = good();
        for cut in 0..good.len() {
            assert!(load(&good[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_object_with_any_damage_is_read_or_refused(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let mut damaged = good();
            for (at, value) in damage {
                *at.get_mut(&mut damaged) = value;
            }
            let _ = load(&damaged);
        }
    }
}
