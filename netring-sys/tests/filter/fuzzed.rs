//! What the fuzz targets run, and the tests over their corpora.
#![allow(dead_code, reason = "each fuzz target uses a part")]

use netring_sys::filter::{Argument, Arithmetic, Comparison, Expr, Op, Program, Register, Width};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::{LinkType, Matcher, Packet, Timestamp};

const LINKS: [LinkType; 10] = [
    LinkType::ETHERNET,
    LinkType::RAW_IP,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::PPP,
    LinkType::PPP_ETHER,
    LinkType::C_HDLC,
];

/// A line of text, and behind it the bytes of a packet.
///
/// What is accepted prints as text that is accepted and equal, and compiles for each link type and
/// place to a program that the kernel's rules allow and that never cuts a packet, or is refused
/// with a reason. A program gives a packet the verdict that a plain reading of it gives.
pub(crate) fn text(input: &[u8]) {
    let end = input
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(input.len());
    let (text, rest) = input.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let expression: Expr = match text.parse() {
        Ok(expression) => expression,
        Err(why) => {
            assert!(why.to_string().starts_with("filter: column "), "{why}");
            return;
        }
    };
    let printed = expression.to_string();
    assert_eq!(
        printed.parse::<Expr>().as_ref().ok(),
        Some(&expression),
        "{printed}"
    );
    let data = rest.get(1..).unwrap_or_default();
    for link in LINKS {
        for program in [expression.for_bytes(link), expression.for_live_socket(link)] {
            match program {
                Ok(program) => {
                    let ops = program
                        .decode()
                        .expect("the compiler keeps the kernel's rules");
                    let keeps = |op: &Op| matches!(op, Op::Return(0 | u32::MAX));
                    let returns = |op: &&Op| matches!(op, Op::Return(_) | Op::ReturnA);
                    assert!(ops.iter().filter(returns).all(keeps));
                    agrees(&program, &ops, data, link);
                }
                Err(why) => assert!(why.to_string().len() > "filter: ".len()),
            }
        }
    }
}

/// Instructions of eight bytes each, up to a first byte of 0xff, and behind it the bytes of a
/// packet.
pub(crate) fn interpret(input: &[u8]) {
    let (mut rest, mut program) = (input, Vec::new());
    while let Some((&[code, jt, jf, high, k @ ..], tail)) = rest.split_first_chunk::<8>() {
        if code == 0xff {
            break;
        }
        let code = u16::from(code) | u16::from(high & 1) << 8;
        program.push(SockFilter {
            code,
            jt,
            jf,
            k: u32::from_le_bytes(k),
        });
        rest = tail;
    }
    let program = Program::from(program);
    if let Ok(ops) = program.decode() {
        agrees(&program, &ops, rest, LinkType::RAW_IP);
    }
}

/// The interpreter and a plain reading of the instructions give one result.
fn agrees(program: &Program, ops: &[Op], data: &[u8], link: LinkType) {
    let Ok(matcher) = Matcher::new(program) else {
        return;
    };
    // Metadata and the negative offsets of the kernel have tests of their own.
    let is_plain = |op: &Op| match *op {
        Op::LoadAncillary(_) => false,
        Op::LoadAbsolute(_, k) | Op::LoadHeaderLength(k) => k < 1 << 31,
        _ => true,
    };
    let result = matcher.run(&Packet::new(data, Timestamp::EPOCH, link));
    if ops.iter().all(is_plain)
        && let Ok(expected) = plain(ops, data)
    {
        assert_eq!(result, expected.unwrap_or(0), "{program}");
    }
}

/// Loads at a negative offset that is computed.
struct Negative;

/// Runs instructions as their documentation says, one after the other.
fn plain(ops: &[Op], data: &[u8]) -> Result<Option<u32>, Negative> {
    let (mut a, mut x, mut at, mut memory) = (0_u32, 0_u32, 0, [0_u32; 16]);
    let load = |width: Width, begin: u32| {
        if begin >= 1 << 31 {
            return Err(Negative);
        }
        let bytes = data
            .get(begin as usize..)
            .and_then(|rest| rest.get(..width.bytes() as usize));
        Ok(bytes.map(|bytes| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        }))
    };
    loop {
        let op = ops[at];
        at += 1;
        let operand = |with| match with {
            Argument::K(k) => k,
            Argument::X => x,
        };
        match op {
            Op::LoadAbsolute(width, k) => match load(width, k)? {
                Some(value) => a = value,
                None => return Ok(None),
            },
            Op::LoadIndirect(width, k) => match load(width, x.wrapping_add(k))? {
                Some(value) => a = value,
                None => return Ok(None),
            },
            Op::LoadHeaderLength(k) => match load(Width::Byte, k)? {
                Some(value) => x = 4 * (value % 16),
                None => return Ok(None),
            },
            Op::LoadAncillary(_) => return Err(Negative),
            Op::LoadLength(Register::A) => a = data.len() as u32,
            Op::LoadLength(Register::X) => x = data.len() as u32,
            Op::LoadConstant(Register::A, k) => a = k,
            Op::LoadConstant(Register::X, k) => x = k,
            Op::LoadMemory(Register::A, word) => a = memory[word as usize],
            Op::LoadMemory(Register::X, word) => x = memory[word as usize],
            Op::StoreMemory(Register::A, word) => memory[word as usize] = a,
            Op::StoreMemory(Register::X, word) => memory[word as usize] = x,
            Op::Compute(alu, with) => match computed(alu, a, operand(with)) {
                Some(value) => a = value,
                None => return Ok(None),
            },
            Op::Negate => a = 0_u32.wrapping_sub(a),
            Op::Jump(to) => at = to,
            Op::Branch {
                cond,
                with,
                yes,
                no,
            } => {
                let with = operand(with);
                let holds = match cond {
                    Comparison::Eq => a == with,
                    Comparison::Gt => a > with,
                    Comparison::Ge => a >= with,
                    Comparison::Set => a & with != 0,
                };
                at = if holds { yes } else { no };
            }
            Op::Return(k) => return Ok(Some(k)),
            Op::ReturnA => return Ok(Some(a)),
            Op::Tax => x = a,
            Op::Txa => a = x,
        }
    }
}

fn computed(alu: Arithmetic, a: u32, with: u32) -> Option<u32> {
    let (wide, other) = (u64::from(a), u64::from(with));
    let result = match alu {
        Arithmetic::Add => wide + other,
        Arithmetic::Sub => wide.wrapping_sub(other),
        Arithmetic::Mul => wide * other,
        Arithmetic::Div => wide.checked_div(other)?,
        Arithmetic::Mod => wide.checked_rem(other)?,
        Arithmetic::And => wide & other,
        Arithmetic::Or => wide | other,
        Arithmetic::Xor => wide ^ other,
        Arithmetic::Lsh => wide << (other % 32),
        Arithmetic::Rsh => wide >> (other % 32),
    };
    Some(result as u32)
}
