//! The program that is attached to an interface, as another program sees it.

use netring_sys::kernel::bpf::bpf_insn;
use netring_sys::{Error, Interface};
use netring_xdp::program::asm::{Assembler, Reg};
use netring_xdp::program::{AttachMode, Attachment, Program};
use xtask::netns::ip_says;

/// The output of `ip -d link show`: an observer that is not ours.
pub(crate) fn shown(interface: &str) -> String {
    ip_says(&format!("-d link show {interface}")).unwrap()
}

/// The id of the XDP program that `ip` shows, and its mode (`xdp`, `xdpgeneric`).
pub(crate) fn program_of(interface: &str) -> Option<(String, u32)> {
    let text = shown(interface);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "prog/xdp")?;
    let mode = words
        .iter()
        .find(|word| matches!(**word, "xdp" | "xdpgeneric" | "xdpdrv"))?;
    assert_eq!(words[at + 1], "id");
    Some(((*mode).to_owned(), words[at + 2].parse().unwrap()))
}

pub(crate) fn interface(name: &str) -> Interface {
    Interface::by_name(name).unwrap()
}

pub(crate) fn redirect(on: &str, mode: AttachMode) -> Result<Attachment, Error> {
    Program::redirect().load()?.attach(&interface(on), mode)
}

/// A foreign program: passes everything.
pub(crate) fn foreign_program() -> [bpf_insn; 2] {
    let insn = |code, imm| bpf_insn {
        code,
        imm,
        ..bpf_insn::default()
    };
    [insn(0xb7, 2), insn(0x95, 0)]
}

/// A foreign program under the name of libxdp's dispatcher: passes everything.
pub(crate) fn dispatcher() -> Vec<u8> {
    let mut asm = Assembler::new();
    asm.mov(Reg::R0, 2);
    asm.exit();
    asm.finish()
        .unwrap()
        .object("xdp_dispatcher", "xdp")
        .unwrap()
}
