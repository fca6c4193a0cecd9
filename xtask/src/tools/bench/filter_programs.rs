//! The input of the filter bench: common expressions, frames of a mixed network, and a count of the
//! instructions that a program executes.

use etherparse::PacketBuilder;
use netring_sys::filter::{Argument, Arithmetic, Comparison, Op, Register, Width};

/// Expressions of different kinds.
pub(super) const EXPRESSIONS: [&str; 12] = [
    "ip",
    "tcp",
    "udp port 53",
    "not port 22",
    "host 10.0.0.7",
    "net 192.168.0.0/16",
    "tcp dst port 443 and not net 10.0.0.0/8",
    "port 80 or port 443 or port 8080 or port 53",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "ip6 and tcp dst port 443",
    "ip and not broadcast and not multicast and (net 192.168.10.0/24 or net 10.102.7.0/24) \
     and (tcp port 5060 or udp portrange 16384-65535)",
];

/// As many frames of ARP, ICMP, and TCP and UDP over IPv4 and IPv6, in random order.
pub(super) fn frames(count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % n
    };
    (0..count).map(|_| frame(&mut below)).collect()
}

fn frame(below: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
    const PORTS: [u16; 8] = [443, 443, 443, 80, 53, 22, 5060, 8080];
    let port = PORTS[below(8) as usize];
    let other = 32_768 + below(28_000) as u16;
    let (from, to) = if below(2) == 0 {
        (other, port)
    } else {
        (port, other)
    };
    let (last, side) = (below(250) as u8, below(3));
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let source = [[10, 0, 0, last], [192, 168, 10, last], [172, 16, 9, last]][side as usize];
    let payload = &b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..below(37) as usize];
    let mut frame = Vec::new();
    let kind = below(20);
    let written = match kind {
        0 => {
            let arp = [0x0806_u16, 1, 0x0800, 0x0604, 1]
                .map(u16::to_be_bytes)
                .concat();
            return [&[0xff; 6], &[2, 0, 0, 0, 0, 1], &arp[..], &[0; 38]].concat();
        }
        1 => ethernet
            .ipv4(source, [10, 0, 0, 9], 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut frame, payload),
        2..8 => ethernet
            .ipv4(source, [10, 0, 0, 9], 64)
            .udp(from, to)
            .write(&mut frame, payload),
        8..17 => {
            let tcp = ethernet
                .ipv4(source, [93, 184, 216, 34], 64)
                .tcp(from, to, 1, 65_000);
            let tcp = if below(10) == 0 {
                tcp.syn()
            } else {
                tcp.ack(1)
            };
            tcp.write(&mut frame, payload)
        }
        _ => {
            let mut address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            address[15] = last;
            ethernet
                .ipv6(address, [0xfe; 16], 64)
                .tcp(from, to, 1, 65_000)
                .ack(1)
                .write(&mut frame, payload)
        }
    };
    written.expect("a vector takes any frame");
    frame
}

/// How many instructions a program executes for a packet, and what it returns.
pub(super) fn executed(ops: &[Op], data: &[u8]) -> (u64, u32) {
    let (mut a, mut x, mut at, mut count, mut memory) = (0_u32, 0_u32, 0, 0, [0; 16]);
    let load = |width: Width, begin: u32| {
        let bytes = data.get(begin as usize..)?.get(..width.bytes() as usize)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
        )
    };
    loop {
        let operand = |with| match with {
            Argument::K(k) => k,
            Argument::X => x,
        };
        let op = ops[at];
        (at, count) = (at + 1, count + 1);
        let loaded = match op {
            Op::LoadAbsolute(width, k) => load(width, k),
            Op::LoadIndirect(width, k) => load(width, x.wrapping_add(k)),
            Op::LoadHeaderLength(k) => load(Width::Byte, k),
            _ => Some(0),
        };
        let Some(loaded) = loaded else {
            return (count, 0);
        };
        match op {
            Op::LoadAbsolute(..) | Op::LoadIndirect(..) => a = loaded,
            Op::LoadHeaderLength(_) => x = 4 * (loaded & 15),
            Op::LoadConstant(Register::A, k) => a = k,
            Op::LoadConstant(Register::X, k) => x = k,
            Op::LoadMemory(Register::A, word) => a = memory[word as usize],
            Op::LoadMemory(Register::X, word) => x = memory[word as usize],
            Op::StoreMemory(Register::A, word) => memory[word as usize] = a,
            Op::StoreMemory(Register::X, word) => memory[word as usize] = x,
            Op::Compute(Arithmetic::And, with) => a &= operand(with),
            Op::Compute(Arithmetic::Add, with) => a = a.wrapping_add(operand(with)),
            Op::Compute(Arithmetic::Sub, with) => a = a.wrapping_sub(operand(with)),
            Op::Compute(Arithmetic::Rsh, with) => a >>= operand(with),
            Op::Compute(Arithmetic::Lsh, with) => a <<= operand(with),
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
            Op::Tax => x = a,
            Op::Txa => a = x,
            Op::Return(k) => return (count, k),
            other => unreachable!("none of the expressions compiles to {other:?}"),
        }
    }
}
