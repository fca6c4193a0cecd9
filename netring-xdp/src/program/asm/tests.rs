//! Encodings against bytes that clang and the kernel's own tools give for the same text.

use super::*;

fn bytes(build: impl FnOnce(&mut Assembler)) -> Vec<u8> {
    let mut asm = Assembler::new();
    build(&mut asm);
    asm.finish().unwrap().to_bytes()
}

#[test]
#[cfg(target_endian = "little")]
fn each_instruction_has_its_known_bytes() {
    use Reg::*;
    type Case = (fn(&mut Assembler), &'static [u8], &'static str);
    let cases: &[Case] = &[
        (
            |a| a.mov(R6, R1),
            &[0xbf, 0x16, 0, 0, 0, 0, 0, 0],
            "r6 = r1",
        ),
        (|a| a.mov(R0, 2), &[0xb7, 0, 0, 0, 2, 0, 0, 0], "r0 = 2"),
        (
            |a| a.add(R2, -4),
            &[0x07, 0x02, 0, 0, 0xfc, 0xff, 0xff, 0xff],
            "r2 += -4",
        ),
        (
            |a| a.alu32(Alu::And, R3, 0xff),
            &[0x54, 0x03, 0, 0, 0xff, 0, 0, 0],
            "w3 &= 255",
        ),
        (
            |a| a.alu32(Alu::Sub, R3, R4),
            &[0x1c, 0x43, 0, 0, 0, 0, 0, 0],
            "w3 -= w4",
        ),
        (
            |a| a.alu(Alu::Rsh, R7, 32),
            &[0x77, 0x07, 0, 0, 32, 0, 0, 0],
            "r7 >>= 32",
        ),
        (
            |a| a.alu(Alu::Neg, R7, 0),
            &[0x87, 0x07, 0, 0, 0, 0, 0, 0],
            "r7 = -r7",
        ),
        (
            |a| a.to_host(R5, Size::Half),
            &[0xdc, 0x05, 0, 0, 16, 0, 0, 0],
            "r5 = be16 r5",
        ),
        (
            |a| a.load(Size::Word, R6, R1, 16),
            &[0x61, 0x16, 16, 0, 0, 0, 0, 0],
            "r6 = *(u32 *)(r1 +16)",
        ),
        (
            |a| a.load(Size::Byte, R0, R3, -1),
            &[0x71, 0x30, 0xff, 0xff, 0, 0, 0, 0],
            "r0 = *(u8 *)(r3 -1)",
        ),
        (
            |a| a.load(Size::Half, R0, R3, 12),
            &[0x69, 0x30, 12, 0, 0, 0, 0, 0],
            "r0 = *(u16 *)(r3 +12)",
        ),
        (
            |a| a.load(Size::Double, R0, R3, 8),
            &[0x79, 0x30, 8, 0, 0, 0, 0, 0],
            "r0 = *(u64 *)(r3 +8)",
        ),
        (
            |a| a.store(Size::Word, R10, -4, R6),
            &[0x63, 0x6a, 0xfc, 0xff, 0, 0, 0, 0],
            "*(u32 *)(r10 -4) = r6",
        ),
        (
            |a| a.store(Size::Double, R10, -8, 7),
            &[0x7a, 0x0a, 0xf8, 0xff, 7, 0, 0, 0],
            "*(u64 *)(r10 -8) = 7",
        ),
        (
            |a| a.atomic_add(R0, 8, R1),
            &[0xdb, 0x10, 8, 0, 0, 0, 0, 0],
            "lock *(u64 *)(r0 +8) += r1",
        ),
        (
            |a| a.load_u64(R3, 0x1122_3344_5566_7788),
            &[
                0x18, 0x03, 0, 0, 0x88, 0x77, 0x66, 0x55, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11,
            ],
            "r3 = 0x1122334455667788 ll",
        ),
        (
            |a| a.call(Helper::RedirectMap),
            &[0x85, 0, 0, 0, 51, 0, 0, 0],
            "call bpf_redirect_map#51",
        ),
        (
            |a| a.call_kfunc(0x1234),
            &[0x85, 0x20, 0, 0, 0x34, 0x12, 0, 0],
            "call kfunc#4660",
        ),
        (|a| a.exit(), &[0x95, 0, 0, 0, 0, 0, 0, 0], "exit"),
    ];
    for (build, known, text) in cases {
        assert_eq!(bytes(*build), *known, "{text}");
        let mut asm = Assembler::new();
        build(&mut asm);
        assert_eq!(asm.finish().unwrap().to_string(), format!("   0: {text}\n"));
    }
}

#[test]
#[cfg(target_endian = "little")]
fn every_condition_has_its_known_code() {
    let known = [
        (Cond::Eq, 0x15, "=="),
        (Cond::Gt, 0x25, ">"),
        (Cond::Ge, 0x35, ">="),
        (Cond::Set, 0x45, "&"),
        (Cond::Ne, 0x55, "!="),
        (Cond::Sgt, 0x65, "s>"),
        (Cond::Sge, 0x75, "s>="),
        (Cond::Lt, 0xa5, "<"),
        (Cond::Le, 0xb5, "<="),
        (Cond::Slt, 0xc5, "s<"),
        (Cond::Sle, 0xd5, "s<="),
    ];
    for (cond, code, sign) in known {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump_if(cond, Reg::R1, 5, end);
        asm.jump_if(cond, Reg::R1, Reg::R2, end);
        asm.bind(end);
        asm.exit();
        let built = asm.finish().unwrap();
        assert_eq!(built.to_bytes()[..8], [code, 0x01, 1, 0, 5, 0, 0, 0]);
        assert_eq!(built.to_bytes()[8..16], [code | 8, 0x21, 0, 0, 0, 0, 0, 0]);
        let text = built.to_string();
        assert!(text.contains(&format!("if r1 {sign} 5 goto 2")), "{text}");
        assert!(text.contains(&format!("if r1 {sign} r2 goto 2")), "{text}");
    }
}

#[test]
fn a_load_of_a_map_is_two_instructions_and_one_reference() {
    let mut asm = Assembler::new();
    let map = asm.map(MapDef {
        name: "xsks".into(),
        kind: MapKind::XskMap,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
    });
    asm.mov(Reg::R0, 0);
    asm.load_map(Reg::R1, map);
    asm.exit();
    let code = asm.finish().unwrap();
    assert_eq!(code.insns().len(), 4);
    assert_eq!(code.map_loads().collect::<Vec<_>>(), [(1, 0)]);
    assert_eq!((code.insns()[1].code, code.insns()[1].src), (0x18, 1));
    assert_eq!(
        code.to_string(),
        "   0: r0 = 0\n   1: r1 = map xsks\n   3: exit\n"
    );
}

#[test]
fn a_jump_that_cannot_be_is_refused() {
    let mut asm = Assembler::new();
    let nowhere = asm.label();
    asm.mov(Reg::R0, 0);
    asm.jump(nowhere);
    assert_eq!(asm.finish(), Err(AssembleError::Unbound { jump: 1 }));

    let mut asm = Assembler::new();
    let back = asm.label();
    asm.bind(back);
    asm.jump(back);
    assert_eq!(asm.finish(), Err(AssembleError::Backward { jump: 0 }));

    let mut asm = Assembler::new();
    let twice = asm.label();
    asm.bind(twice);
    asm.exit();
    asm.bind(twice);
    assert_eq!(asm.finish(), Err(AssembleError::BoundTwice { at: 1 }));
}

#[test]
fn the_longest_jump_is_32767_instructions() {
    let far = |distance: usize| {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump(end);
        for _ in 0..distance {
            asm.mov(Reg::R0, 0);
        }
        asm.bind(end);
        asm.exit();
        asm.finish().map(|code| code.insns()[0].off)
    };
    assert_eq!(far(32_767), Ok(32_767));
    assert_eq!(far(32_768), Err(AssembleError::TooFar { jump: 0 }));
    assert_eq!(far(0), Ok(0));
}
