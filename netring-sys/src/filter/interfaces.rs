//! One program for the packets of all interfaces, whatever their link types.

use super::Ancillary;
use super::compile::LINK_TYPES;
use crate::LinkType;
use crate::kernel::filter::{BPF_MAXINSNS, SKF_AD_OFF, SockFilter};

/// A program that dispatches on the hardware type of the interface to the program of each link
/// type. Packets of other hardware types are rejected.
pub(super) fn program(
    compile: impl Fn(LinkType) -> Result<Vec<SockFilter>, String>,
) -> Result<Vec<SockFilter>, String> {
    let mut parts: Vec<(Vec<SockFilter>, Vec<u16>)> = Vec::new();
    let known = LinkType::of_all_hardware().iter();
    for (hardware, link_type) in known.filter(|(_, link_type)| LINK_TYPES.contains(link_type)) {
        let part = compile(*link_type)?;
        match parts.iter_mut().find(|(other, _)| *other == part) {
            Some((_, types)) => types.push(*hardware),
            None => parts.push((part, vec![*hardware])),
        }
    }
    let mut program = vec![SockFilter::stmt(
        0x20,
        SKF_AD_OFF + Ancillary::HardwareType.number(),
    )];
    // Two instructions for each type, because the jump of a comparison has 8 bits only.
    let types: usize = parts.iter().map(|(_, types)| types.len()).sum();
    let mut begin = 1 + 2 * types + 1;
    for (part, types) in &parts {
        for hardware in types {
            let at = program.len() + 1;
            program.push(SockFilter::jump(0x15, (*hardware).into(), 0, 1));
            program.push(SockFilter::stmt(0x05, (begin - at - 1) as u32));
        }
        begin += part.len();
    }
    program.push(SockFilter::stmt(0x06, 0));
    program.extend(parts.into_iter().flat_map(|(part, _)| part));
    if program.len() > BPF_MAXINSNS {
        let len = program.len();
        return Err(format!(
            "for all interfaces it takes {len} instructions; a program has up to {BPF_MAXINSNS}"
        ));
    }
    Ok(program)
}
