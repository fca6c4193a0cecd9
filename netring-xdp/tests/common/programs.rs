//! Programs as users write them: each is named `row`, with a map of sockets named `sockets`.

use netring_xdp::program::asm::{Alu, Assembler, Cond, Helper, MapDef, MapKind, MapRef, Reg, Size};

/// Offsets in the context, `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DATA_META: i16 = 8;
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// The last byte of the number of a [`frame`](super::pair::frame).
const NUMBER: i16 = 21;

/// Drops every second packet, beginning with the second.
pub(crate) fn drop_half(multi_buffer: bool) -> Vec<u8> {
    let mut asm = Assembler::new();
    let sockets = sockets(&mut asm);
    let dropped = asm.label();
    count(&mut asm);
    asm.alu(Alu::And, Reg::R6, 1);
    asm.mov(Reg::R0, XDP_DROP);
    asm.jump_if(Cond::Ne, Reg::R6, 0, dropped);
    asm.mov(Reg::R2, 0);
    redirect(&mut asm, sockets);
    asm.bind(dropped);
    asm.exit();
    object(asm, multi_buffer)
}

/// Redirects even packets to the first socket and odd ones to the second.
pub(crate) fn split() -> Vec<u8> {
    let mut asm = Assembler::new();
    let sockets = sockets(&mut asm);
    let short = asm.label();
    asm.mov(Reg::R0, XDP_DROP);
    asm.load(Size::Word, Reg::R2, Reg::R1, DATA);
    asm.load(Size::Word, Reg::R3, Reg::R1, DATA_END);
    asm.mov(Reg::R4, Reg::R2);
    asm.add(Reg::R4, i32::from(NUMBER) + 1);
    asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, short);
    asm.load(Size::Byte, Reg::R2, Reg::R2, NUMBER);
    asm.alu(Alu::And, Reg::R2, 1);
    redirect(&mut asm, sockets);
    asm.bind(short);
    asm.exit();
    object(asm, false)
}

/// Writes the number of preceding packets, 4 bytes, in front of each packet.
pub(crate) fn metadata(multi_buffer: bool) -> Vec<u8> {
    let mut asm = Assembler::new();
    let sockets = sockets(&mut asm);
    let refused = asm.label();
    asm.mov(Reg::R7, Reg::R1);
    count(&mut asm);
    asm.mov(Reg::R1, Reg::R7);
    asm.mov(Reg::R2, -4);
    asm.call(Helper::AdjustMeta);
    asm.mov(Reg::R3, Reg::R0);
    asm.mov(Reg::R0, XDP_DROP);
    asm.jump_if(Cond::Ne, Reg::R3, 0, refused);
    asm.load(Size::Word, Reg::R2, Reg::R7, DATA_META);
    asm.load(Size::Word, Reg::R3, Reg::R7, DATA);
    asm.mov(Reg::R4, Reg::R2);
    asm.add(Reg::R4, 4);
    asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, refused);
    asm.store(Size::Word, Reg::R2, 0, Reg::R6);
    asm.mov(Reg::R2, 0);
    redirect(&mut asm, sockets);
    asm.bind(refused);
    asm.exit();
    object(asm, multi_buffer)
}

/// Makes each packet longer or shorter at its end. If the kernel cannot (`EOPNOTSUPP`), the packet
/// stays as it is; on any other error it is dropped.
pub(crate) fn adjust_tail(by: i32, multi_buffer: bool) -> Vec<u8> {
    const EOPNOTSUPP: i32 = 95;
    let mut asm = Assembler::new();
    let sockets = sockets(&mut asm);
    let (done, refused) = (asm.label(), asm.label());
    asm.mov(Reg::R2, by);
    asm.call(Helper::AdjustTail);
    asm.jump_if(Cond::Eq, Reg::R0, 0, done);
    asm.mov(Reg::R3, Reg::R0);
    asm.mov(Reg::R0, XDP_DROP);
    asm.jump_if(Cond::Ne, Reg::R3, -EOPNOTSUPP, refused);
    asm.bind(done);
    asm.mov(Reg::R2, 0);
    redirect(&mut asm, sockets);
    asm.bind(refused);
    asm.exit();
    object(asm, multi_buffer)
}

/// Redirects everything to the first socket, or passes it to the kernel if there is none. Under
/// another name.
pub(crate) fn all_to_queue_0(name: &str) -> Vec<u8> {
    let mut asm = Assembler::new();
    let sockets = sockets(&mut asm);
    asm.mov(Reg::R2, 0);
    asm.load_map(Reg::R1, sockets);
    asm.mov(Reg::R3, XDP_PASS);
    asm.call(Helper::RedirectMap);
    asm.exit();
    asm.finish().unwrap().object(name, "xdp").unwrap()
}

/// The map of two sockets.
fn sockets(asm: &mut Assembler) -> MapRef {
    asm.map(MapDef {
        name: "sockets".into(),
        kind: MapKind::XskMap,
        key_size: 4,
        value_size: 4,
        max_entries: 2,
    })
}

/// Counts the packet: `r6` is the number of packets before it. Clobbers `r0` to `r5`.
fn count(asm: &mut Assembler) {
    let counts = asm.map(MapDef {
        name: "counts".into(),
        kind: MapKind::Array,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
    });
    let (none, counted) = (asm.label(), asm.label());
    asm.store(Size::Word, Reg::R10, -4, 0);
    asm.mov(Reg::R2, Reg::R10);
    asm.add(Reg::R2, -4);
    asm.load_map(Reg::R1, counts);
    asm.call(Helper::MapLookup);
    // Never taken, because the map has a value 0, but the verifier requires the check.
    asm.jump_if(Cond::Eq, Reg::R0, 0, none);
    asm.load(Size::Double, Reg::R6, Reg::R0, 0);
    asm.mov(Reg::R1, 1);
    asm.atomic_add(Reg::R0, 0, Reg::R1);
    asm.jump(counted);
    asm.bind(none);
    asm.mov(Reg::R6, 0);
    asm.bind(counted);
}

/// Redirects to the socket in the slot given by `r2`, or drops.
fn redirect(asm: &mut Assembler, sockets: MapRef) {
    asm.load_map(Reg::R1, sockets);
    asm.mov(Reg::R3, XDP_DROP);
    asm.call(Helper::RedirectMap);
}

fn object(asm: Assembler, multi_buffer: bool) -> Vec<u8> {
    let section = if multi_buffer { "xdp.frags" } else { "xdp" };
    asm.finish().unwrap().object("row", section).unwrap()
}
