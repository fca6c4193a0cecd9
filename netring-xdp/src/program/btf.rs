//! Type information for an object: the definitions of its maps, and the signature of its program.
//!
//! Loaders since libbpf 1.0 read maps only from it, and a dispatcher needs it to run a program. The
//! format is that of `Documentation/bpf/btf.rst`.

use super::asm::MapDef;

/// The two sections.
pub(super) struct Sections {
    /// `.BTF`: the types.
    pub(super) types: Vec<u8>,
    /// `.BTF.ext`: which instructions belong to which function.
    pub(super) functions: Vec<u8>,
}

/// Bytes of a map's definition in `.maps`: four pointers that nobody follows, because their types
/// carry the values.
pub(super) const DEFINITION: u32 = 32;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
/// Global linkage of a variable or a function.
const GLOBAL: u32 = 1;
const SIGNED: u32 = 1 << 24;

/// The types of a program `name` in `section` with these maps.
pub(super) fn sections(name: &str, section: &str, maps: &[MapDef]) -> Sections {
    let mut btf = Btf::default();
    let int = btf.integer("int", SIGNED);
    let u32_ = btf.integer("unsigned int", 0);
    let variables: Vec<u32> = maps.iter().map(|map| btf.map(map, int)).collect();
    if !variables.is_empty() {
        let size = DEFINITION * variables.len() as u32;
        let places = variables.iter().zip(0..);
        let entries = places.flat_map(|(variable, at)| [*variable, at * DEFINITION, DEFINITION]);
        btf.add(".maps", DATASEC, variables.len() as u32, size, entries);
    }
    let context = btf.context(u32_);
    let argument = btf.string("ctx");
    let prototype = btf.add("", FUNC_PROTO, 1, int, [argument, context]);
    let function = btf.add(name, FUNC, GLOBAL, prototype, []);
    let section = btf.string(section);
    Sections {
        types: btf.section(),
        functions: functions(section, function),
    }
}

#[derive(Default)]
struct Btf {
    types: Vec<u32>,
    count: u32,
    strings: Vec<u8>,
}

impl Btf {
    /// Adds a type. Returns its ID.
    fn add(
        &mut self,
        name: &str,
        kind: u32,
        len: u32,
        size_or_type: u32,
        more: impl IntoIterator<Item = u32>,
    ) -> u32 {
        let name = self.string(name);
        self.types.extend([name, kind << 24 | len, size_or_type]);
        self.types.extend(more);
        self.count += 1;
        self.count
    }

    /// The offset of a string; the empty one is the first.
    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn integer(&mut self, name: &str, encoding: u32) -> u32 {
        self.add(name, INT, 0, 4, [encoding | 32])
    }

    /// A variable whose struct defines a map by its members: each points to an array whose length
    /// is the value.
    fn map(&mut self, map: &MapDef, int: u32) -> u32 {
        let fields = [
            ("type", map.kind as u32),
            ("key_size", map.key_size),
            ("value_size", map.value_size),
            ("max_entries", map.max_entries),
        ];
        let pointers = fields.map(|(_, number)| {
            let array = self.add("", ARRAY, 0, 0, [int, int, number]);
            self.add("", PTR, 0, array, [])
        });
        let names = fields.map(|(name, _)| self.string(name));
        let members: Vec<u32> = (0..4)
            .flat_map(|at| [names[at], pointers[at], at as u32 * 64])
            .collect();
        let definition = self.add("", STRUCT, 4, DEFINITION, members);
        self.add(&map.name, VAR, 0, definition, [GLOBAL])
    }

    /// A pointer to the context of an XDP program.
    fn context(&mut self, u32_: u32) -> u32 {
        let fields = [
            "data",
            "data_end",
            "data_meta",
            "ingress_ifindex",
            "rx_queue_index",
            "egress_ifindex",
        ];
        let names = fields.map(|name| self.string(name));
        let members: Vec<u32> = (0..fields.len())
            .flat_map(|at| [names[at], u32_, at as u32 * 32])
            .collect();
        let context = self.add("xdp_md", STRUCT, fields.len() as u32, 24, members);
        self.add("", PTR, 0, context, [])
    }

    fn section(self) -> Vec<u8> {
        let types = self.types.len() as u32 * 4;
        let parts = [0, types, types, self.strings.len() as u32];
        let mut bytes = header(&parts);
        bytes.extend(self.types.into_iter().flat_map(u32::to_ne_bytes));
        bytes.extend(self.strings);
        bytes
    }
}

/// The record that makes all instructions of `section` one function.
fn functions(section: u32, function: u32) -> Vec<u8> {
    const RECORD: u32 = 8;
    let records = [RECORD, section, 1, 0, function];
    let len = records.len() as u32 * 4;
    // No line information, because there is no source.
    let mut bytes = header(&[0, len, len, 0]);
    bytes.extend(records.into_iter().flat_map(u32::to_ne_bytes));
    bytes
}

/// Magic number, version and length; then the offsets and lengths of the two parts.
fn header(parts: &[u32; 4]) -> Vec<u8> {
    const MAGIC: u16 = 0xeb9f;
    const LEN: u32 = 24;
    let mut bytes = MAGIC.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    bytes.extend(LEN.to_ne_bytes());
    bytes.extend(parts.iter().flat_map(|part| part.to_ne_bytes()));
    bytes
}
