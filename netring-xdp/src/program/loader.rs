//! Loads an assembled program: its maps, which are aya's, and then the program by one system call.
//!
//! aya 0.14 would need an ELF object for this, and cannot bind a program to an interface
//! (`prog_ifindex`), without which the verifier refuses calls that ask the driver ("metadata kfuncs
//! require device-bound program").

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::maps::MapData;
use netring_sys::Error;
use netring_sys::kernel::bpf::bpf_insn;
use netring_sys::syscall::{XdpLoad, bpf_load_xdp_with};

use super::asm::Code;
use super::{error, object};
use crate::permit;

/// Creates the maps of a program and loads it. Returns the program, and the maps in their order.
pub(super) fn load(
    code: &Code,
    name: &str,
    with: XdpLoad,
) -> Result<(OwnedFd, Vec<MapData>), Error> {
    let maps = code
        .maps()
        .iter()
        .map(|map| {
            let (kind, entries) = (map.kind as u32, map.max_entries);
            let definition =
                aya_obj::Map::new_from_params(kind, map.key_size, map.value_size, entries, 0);
            MapData::create(definition, &map.name, None)
                .map_err(|error| error::map("bpf(BPF_MAP_CREATE)", error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut insns: Vec<bpf_insn> = code
        .insns()
        .iter()
        .map(|insn| bpf_insn {
            code: insn.code,
            regs: insn.to_bytes()[1],
            off: insn.off,
            imm: insn.imm,
        })
        .collect();
    for (at, map) in code.map_loads() {
        insns[at].imm = maps[map].fd().as_fd().as_raw_fd();
    }
    let mut with = with;
    for (to, from) in with.name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    let program = bpf_load_xdp_with(&insns, object::LICENSE, &with);
    let program = program.map_err(permit::explained_for_program)?;
    Ok((program, maps))
}
