//! Random valid programs of classic BPF, and packets for them.

use std::ops::Range;

use netring_sys::kernel::filter::SockFilter;
use proptest::prelude::*;
use proptest::sample::select;

/// Numbers at the limits of what an instruction and a register hold.
fn edges() -> impl Strategy<Value = u32> {
    const TOP: u32 = 1 << 31;
    select(vec![
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        TOP - 1,
        TOP,
        TOP + 1,
        u32::MAX - 1,
        u32::MAX,
    ])
}

fn constants() -> impl Strategy<Value = u32> {
    prop_oneof![2 => 0..80_u32, 2 => edges(), 1 => any::<u32>()]
}

/// An instruction, or a jump whose distances are fractions of the rest of the program.
#[derive(Clone, Debug)]
enum Part {
    Insn(SockFilter),
    Jump(u16, u32, f64, f64),
}

fn stmt((code, k): (u16, u32)) -> Part {
    Part::Insn(SockFilter::stmt(code, k))
}

fn alu() -> impl Strategy<Value = Part> {
    let code = select(vec![
        0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xa4,
    ]);
    (code, any::<bool>(), constants()).prop_map(|(code, by_x, k)| {
        let by_x = by_x && code != 0x84;
        let k = match code {
            0x34 | 0x94 => k.max(1),
            0x64 | 0x74 => k % 32,
            _ => k,
        };
        stmt((if by_x { code | 8 } else { code }, k))
    })
}

fn jump() -> impl Strategy<Value = Part> {
    let code = select(vec![0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d]);
    let part = || prop_oneof![Just(0.0), 0.0..0.3];
    (code, constants(), part(), part()).prop_map(|(code, k, jt, jf)| Part::Jump(code, k, jt, jf))
}

/// A few instructions of those that read bytes only. Loads are mostly from `mostly`.
fn parts(mostly: Range<u32>) -> impl Strategy<Value = Vec<Part>> {
    let anywhere = prop_oneof![0..0xfff0_u32, select(vec![0x7ffc, 0x7fff, 0x8000])];
    let offset = || prop_oneof![40 => mostly.clone(), 1 => anywhere.clone()];
    let code = |codes: &[u16]| select(codes.to_vec());
    let indirect = || code(&[0x40, 0x48, 0x50]);
    // X + k is the offset, with X a constant, the length of a header, or any value.
    let by_constant = (indirect(), offset(), any::<u32>()).prop_map(|(code, at, x)| {
        let x = if x % 3 == 0 { x } else { x % 64 };
        vec![stmt((0x01, x)), stmt((code, at.wrapping_sub(x)))]
    });
    // Not one of the kernel's negative offsets.
    let by_constant = by_constant.prop_filter("magic", |parts| {
        !matches!(&parts[1], Part::Insn(insn) if (0xffe0_0000..0xffff_f000).contains(&insn.k))
    });
    let by_header = (offset(), indirect(), 0..mostly.start + 2)
        .prop_map(|(at, code, k)| vec![stmt((0xb1, at)), stmt((code, k))]);
    let one = |part: BoxedStrategy<Part>| part.prop_map(|part| vec![part]);
    prop_oneof![
        6 => one((code(&[0x20, 0x28, 0x30, 0xb1]), offset()).prop_map(stmt).boxed()),
        3 => by_constant,
        2 => by_header,
        1 => one((indirect(), constants().prop_filter("magic", |k| *k < 1 << 31)).prop_map(stmt).boxed()),
        5 => one(alu().boxed()),
        1 => (select(vec![0, 1, 7, u32::MAX]), code(&[0x3c, 0x9c, 0x6c, 0x7c]))
            .prop_map(|(x, code)| vec![stmt((0x01, x)), stmt((code, 0))]),
        2 => one((code(&[0x00, 0x01]), constants()).prop_map(stmt).boxed()),
        1 => one(code(&[0x80, 0x81, 0x07, 0x87]).prop_map(|code| stmt((code, 0))).boxed()),
        3 => one((code(&[0x02, 0x03, 0x60, 0x61]), 0..16_u32).prop_map(stmt).boxed()),
        3 => one(jump().boxed()),
        // Compared with an equal number, one less or one more, on either side of the sign.
        3 => (edges(), 0..3_u32, code(&[0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d])).prop_map(|(a, more, code)| {
            let k = a.wrapping_sub(1).wrapping_add(more);
            vec![stmt((0x00, a)), stmt((0x01, k)), Part::Jump(code, k, 0.2, 0.0)]
        }),
        // Below 0 and above 2³², followed by an operation whose result depends on the upper half.
        2 => (edges(), code(&[0x04, 0x14, 0x24, 0x84]), code(&[0x34, 0x74, 0x94])).prop_map(|(k, over, code)| {
            vec![stmt((over, k)), stmt((code, 7))]
        }),
    ]
}

/// Programs that the kernel accepts: every word is stored first, jumps stay inside. Their last
/// lines combine all registers and words into one bit, so that an instruction with another meaning
/// shows half of the time.
pub(crate) fn programs(mostly: Range<u32>) -> impl Strategy<Value = Vec<SockFilter>> {
    let early = prop::option::weighted(0.1, (0..100_usize, select(vec![0x06, 0x16]), 0..3_u32));
    let body = prop::collection::vec(parts(mostly), 0..24);
    (body, early, 0..32_u32).prop_map(|(body, early, bit)| {
        let mut parts = body.concat();
        if let Some((at, code, k)) = early {
            let at = at * parts.len() / 100;
            // Skipped or not.
            parts.insert(at, stmt((code, k)));
            parts.insert(at, Part::Jump(0x25, 1 << 20, 0.0, 0.1));
        }
        let mut program: Vec<_> = (0..16).map(|k| SockFilter::stmt(0x02, k)).collect();
        let len = parts.len();
        for (n, part) in parts.into_iter().enumerate() {
            let distance = |part: f64| (part * (len - n - 1) as f64) as u8;
            program.push(match part {
                Part::Insn(insn) => insn,
                Part::Jump(0x05, _, part, _) => SockFilter::stmt(0x05, distance(part).into()),
                Part::Jump(code, k, jt, jf) => {
                    SockFilter::jump(code, k, distance(jt), distance(jf))
                }
            });
        }
        program.extend([
            SockFilter::stmt(0x24, 0x9e37_79b1),
            SockFilter::stmt(0xac, 0),
        ]);
        for word in 0..16 {
            let fold = [(0x24, 0x9e37_79b1), (0x07, 0), (0x60, word), (0xac, 0)];
            program.extend(fold.map(|(code, k)| SockFilter::stmt(code, k)));
        }
        let last = [(0x24, 0x9e37_79b1), (0x74, bit), (0x54, 1), (0x16, 0)];
        program.extend(last.map(|(code, k)| SockFilter::stmt(code, k)));
        program
    })
}

/// Packets of these lengths, whose bytes are often equal.
pub(crate) fn packets(len: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => 0..4_u8, 1 => any::<u8>()];
    (len, prop::collection::vec(byte, 61)).prop_map(|(len, bytes)| {
        // 61 is prime, so the same bytes are at different offsets each time.
        bytes.into_iter().cycle().take(len).collect()
    })
}
