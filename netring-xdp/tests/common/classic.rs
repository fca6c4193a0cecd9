//! A machine for classic BPF, as its manual has it, and programs for it.

use std::ops::Range;

use netring_sys::kernel::filter::SockFilter;
use proptest::prelude::*;
use proptest::sample::select;

/// What a program returns for a packet. The program has to be a valid one.
pub(crate) fn interpret(program: &[SockFilter], packet: &[u8]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
    let load = |offset: u32, code: u16| {
        let len = match code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        // A negative offset is outside of what these programs may see.
        let begin = i32::try_from(offset).ok()? as usize;
        let bytes = packet.get(begin..begin.checked_add(len)?)?;
        Some(
            bytes
                .iter()
                .fold(0, |value, byte| value << 8 | u32::from(*byte)),
        )
    };
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        at += 1;
        let operand = if code & 8 == 0 { k } else { x };
        match code & 7 {
            0 => {
                let loaded = match code & 0xe0 {
                    0x00 => Some(k),
                    0x20 => load(k, code),
                    0x40 => load(x.wrapping_add(k), code),
                    0x60 => Some(memory[k as usize]),
                    _ => Some(packet.len() as u32),
                };
                let Some(loaded) = loaded else { return 0 };
                a = loaded;
            }
            1 => {
                let loaded = match code & 0xe0 {
                    0x00 => Some(k),
                    0x60 => Some(memory[k as usize]),
                    0x80 => Some(packet.len() as u32),
                    _ => load(k, 0x10).map(|byte| 4 * (byte & 15)),
                };
                let Some(loaded) = loaded else { return 0 };
                x = loaded;
            }
            2 => memory[k as usize] = a,
            3 => memory[k as usize] = x,
            4 => {
                a = match code & 0xf0 {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x20 => a.wrapping_mul(operand),
                    0x30 | 0x90 if operand == 0 => return 0,
                    0x30 => a / operand,
                    0x40 => a | operand,
                    0x50 => a & operand,
                    0x60 => a << (operand & 31),
                    0x70 => a >> (operand & 31),
                    0x80 => a.wrapping_neg(),
                    0x90 => a % operand,
                    _ => a ^ operand,
                };
            }
            5 => {
                let holds = match code & 0xf0 {
                    0x00 => {
                        at += k as usize;
                        continue;
                    }
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    _ => a & operand != 0,
                };
                at += usize::from(if holds { jt } else { jf });
            }
            6 if code == 0x16 => return a,
            6 => return k,
            _ if code == 0x07 => x = a,
            _ => a = x,
        }
    }
}

/// Numbers at the edges of what a packet, an instruction and a register hold.
fn constants() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..80_u32,
        1 => select(vec![0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x1_0000]),
        1 => select(vec![i32::MAX as u32, 1 << 31, u32::MAX - 4, u32::MAX]),
        1 => any::<u32>(),
    ]
}

/// Where to load from: mostly there, else anywhere in reach.
fn offsets(mostly: Range<u32>) -> impl Strategy<Value = u32> {
    prop_oneof![8 => mostly, 1 => 0..0xfff0_u32, 1 => select(vec![0x7ffc, 0x7fff, 0x8000])]
}

/// An instruction that does not jump, out of all that there are.
fn straight(mostly: Range<u32>) -> impl Strategy<Value = SockFilter> {
    let alu = select(vec![
        0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xa4,
    ]);
    let alu = (alu, any::<bool>(), constants()).prop_map(|(code, by_x, k)| {
        let k = match code {
            0x34 | 0x94 => k.max(1),
            0x64 | 0x74 => k % 32,
            _ => k,
        };
        let by_x = by_x && code != 0x84;
        SockFilter::stmt(if by_x { code | 8 } else { code }, k)
    });
    let absolute = select(vec![0x20, 0x28, 0x30, 0xb1]);
    let base = prop_oneof![
        2 => select(vec![0, 1, 4, 14, 80, u32::MAX - 3]),
        1 => mostly.clone(),
    ];
    let stmt = |(code, k)| SockFilter::stmt(code, k);
    prop_oneof![
        6 => (absolute, offsets(mostly.clone())).prop_map(stmt),
        3 => (select(vec![0x40, 0x48, 0x50]), base).prop_map(stmt),
        6 => alu,
        2 => (select(vec![0x00, 0x01]), constants()).prop_map(stmt),
        1 => (select(vec![0x80, 0x81]), Just(0)).prop_map(stmt),
        3 => (select(vec![0x02, 0x03, 0x60, 0x61]), 0..16_u32).prop_map(stmt),
        2 => (select(vec![0x07, 0x87]), Just(0)).prop_map(stmt),
    ]
}

/// A jump: its code, its operand, and two fractions of the way to the end.
type Jump = (u16, u32, f64, f64);

/// Programs that the kernel takes: every word is stored first, jumps stay inside. They load mostly from `mostly`.
pub(crate) fn programs(mostly: Range<u32>) -> impl Strategy<Value = Vec<SockFilter>> {
    let jump = (
        select(vec![0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d]),
        constants(),
        0.0..1.0,
        0.0..1.0,
    );
    let body = prop_oneof![
        5 => straight(mostly).prop_map(Ok),
        2 => jump.prop_map(Err::<SockFilter, Jump>),
        1 => select(vec![0x06, 0x16]).prop_map(|code| Ok(SockFilter::stmt(code, 0))),
    ];
    (prop::collection::vec(body, 0..60), any::<bool>(), 0..3_u32).prop_map(
        |(body, by_a, returned)| {
            let mut program: Vec<_> = (0..16).map(|k| SockFilter::stmt(0x02, k)).collect();
            let len = program.len() + body.len() + 2;
            for (n, insn) in body.into_iter().enumerate() {
                let left = (len - 17 - n - 1).min(255) as f64;
                let distance = |part: f64| (part * part * left) as u8;
                program.push(match insn {
                    Ok(insn) => insn,
                    Err((0x05, _, part, _)) => SockFilter::stmt(0x05, u32::from(distance(part))),
                    Err((code, k, jt, jf)) => SockFilter::jump(code, k, distance(jt), distance(jf)),
                });
            }
            program.push(SockFilter::stmt(0x06, returned));
            program.push(SockFilter::stmt(if by_a { 0x16 } else { 0x06 }, u32::MAX));
            program
        },
    )
}

/// Packets of these lengths, of bytes that are often alike.
pub(crate) fn packets(len: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => 0..4_u8, 1 => any::<u8>()];
    (len, prop::collection::vec(byte, 61)).prop_map(|(len, bytes)| {
        // 61 is prime: the same bytes are at other offsets each time.
        bytes.into_iter().cycle().take(len).collect()
    })
}
