//! The interpreter compared with the kernel's: any valid program over any packet.

use std::cell::Cell;
use std::collections::BTreeSet;

use netring_sys::filter::Program;
use netring_sys::kernel::filter::{SKF_AD_OFF, SKF_NET_OFF, SockFilter};
use netring_sys::{Direction, LinkType, Matcher, Packet, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::Kernel;
use super::expressions::samples;
use super::printed::expressions;
use super::programs::{packets, programs};

const RET: SockFilter = SockFilter::stmt(0x06, u32::MAX);

/// A datagram as the kernel sees it on such a socket: a packet without a link header, to this host.
fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, Timestamp::EPOCH, LinkType::RAW_IP).with_direction(Some(Direction::Host))
}

/// Some of the loads are relative to the network header, some read metadata, and the result is a
/// length of up to 127 bytes.
fn varied(mut program: Vec<SockFilter>, choices: &[u8]) -> Vec<SockFilter> {
    // Packet type, exclusive or, tag, its presence and its type: the same on any such socket.
    const KNOWN: [u32; 5] = [4, 40, 44, 48, 60];
    for (insn, choice) in program.iter_mut().zip(choices.iter().cycle()) {
        match (insn.code, choice) {
            (0x20 | 0x28 | 0x30 | 0xb1, 0..64) => insn.k = insn.k.wrapping_add(SKF_NET_OFF),
            (0x00, 0..128) => {
                let code = [0x20, 0x28, 0x30][usize::from(*choice) % 3];
                let known = KNOWN[usize::from(*choice) % KNOWN.len()];
                *insn = SockFilter::stmt(code, SKF_AD_OFF + known);
            }
            _ => {}
        }
    }
    let last = program.len() - 2;
    assert_eq!(program[last], SockFilter::stmt(0x54, 1));
    program[last].k = u32::from(choices[0]) | 1;
    program
}

/// At least ten of a hundred packets are accepted, and at least ten rejected.
fn agree(cases: u32, programs: impl Strategy<Value = Vec<SockFilter>>) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let counts = Cell::new((0, 0));
    let lengths = prop_oneof![8 => 60..90_usize, 1 => 0..60_usize, 1 => 1400..1514_usize];
    let input = (programs, prop::collection::vec(packets(lengths), 1..8));
    runner
        .run(&input, |(program, packets)| {
            let kernel = Kernel::new(&program).unwrap();
            let ours = Matcher::new(&program).unwrap();
            for bytes in &packets {
                let result = ours.run(&packet(bytes)) as usize;
                let keeps = (result != 0).then_some(result.min(bytes.len()));
                prop_assert_eq!(keeps, kernel.keeps(bytes), "{:?}", bytes);
                let (chosen, all) = counts.get();
                counts.set((chosen + u32::from(result != 0), all + 1));
            }
            Ok(())
        })
        .unwrap();
    let (chosen, all) = counts.get();
    assert!(
        (all / 10..all - all / 10).contains(&chosen),
        "{chosen} of {all} are chosen: too few or too many to show anything"
    );
}

/// What is compared is every instruction that there is.
#[test]
fn the_random_programs_have_every_instruction() {
    let is_valid = |code: u16| {
        let store = (0..16).map(|word| SockFilter::stmt(0x02, word));
        let ends = [SockFilter::stmt(code, 1), RET, RET];
        Program::from(store.chain(ends).collect::<Vec<_>>())
            .check()
            .is_ok()
    };
    let all: BTreeSet<u16> = (0..=0xff).filter(|code| is_valid(*code)).collect();
    let mut found = BTreeSet::new();
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..512 {
        let program = programs(0..58).new_tree(&mut runner).unwrap().current();
        found.extend(program.iter().map(|insn| insn.code));
    }
    assert_eq!(found, all);
}

#[test]
fn a_filter_chooses_what_the_kernel_chooses() {
    agree(1024, programs(0..58));
}

#[test]
fn a_filter_that_asks_for_more_than_bytes_chooses_what_the_kernel_chooses() {
    let choices = prop::collection::vec(any::<u8>(), 1..40);
    let programs =
        (programs(0..58), choices).prop_map(|(program, choices)| varied(program, &choices));
    agree(1024, programs);
}

/// The longest program: two thousand addresses in a row, on either side of the sign.
#[test]
fn the_longest_filter_accepts_what_it_should() {
    let mut program = vec![SockFilter::stmt(0x20, 26)];
    for address in (0..2047).map(|n| 0x7fff_fff0 + 3 * n) {
        program.push(SockFilter::jump(0x15, address, 0, 1));
        program.push(SockFilter::stmt(0x06, u32::MAX));
    }
    program.push(SockFilter::stmt(0x06, 0));
    let ours = Matcher::new(&program).unwrap();
    for (address, expected) in [
        (0x7fff_fff0, true),
        (0x7fff_fff1, false),
        (0x8000_0002, true),
        (0x8000_17ea, true),
        (0x8000_17ed, false),
    ] {
        let mut bytes = [0; 60];
        bytes[26..30].copy_from_slice(&u32::to_be_bytes(address));
        assert_eq!(ours.matches(&packet(&bytes)), expected, "{address:#x}");
    }
}

/// Bytes that a snap length cut off are outside the packet, but count in its length.
#[test]
fn a_cut_packet_has_its_length_and_no_more_bytes() {
    let cut = packet(&[7; 40]).with_wire_len(1500);
    let length = [SockFilter::stmt(0x80, 0), SockFilter::stmt(0x16, 0)];
    assert_eq!(Matcher::new(length).unwrap().run(&cut), 1500);
    for (at, expected) in [(39, 7), (40, 0), (1499, 0)] {
        let load = [SockFilter::stmt(0x30, at), SockFilter::stmt(0x16, 0)];
        assert_eq!(Matcher::new(load).unwrap().run(&cut), expected, "{at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any expression, for bytes and for a live socket, where the kernel takes this metadata from
    /// the socket: no tag, and to this host.
    #[test]
    fn any_expression_has_the_verdict_of_the_kernel(
        expr in expressions(),
        link_type in prop::sample::select(vec![
            LinkType::ETHERNET, LinkType::RAW_IP, LinkType::LINUX_SLL, LinkType::LINUX_SLL2,
            LinkType::PPP, LinkType::NULL, LinkType::C_HDLC,
        ]),
        packets in prop::collection::vec(packets(0..90_usize), 1..4),
        cut in 1..120_usize,
    ) {
        let cut: Vec<_> = samples().into_iter().map(|mut sample| {
            sample.truncate(cut);
            sample
        }).collect();
        for program in [expr.for_bytes(link_type), expr.for_live_socket(link_type)] {
            let Ok(program) = program else { continue };
            let kernel = Kernel::new(program.instructions()).unwrap();
            let ours = Matcher::new(&program).unwrap();
            for bytes in packets.iter().chain(&samples()).chain(&cut).filter(|b| !b.is_empty()) {
                let packet = Packet::new(bytes, Timestamp::EPOCH, link_type);
                let packet = packet.with_direction(Some(Direction::Host));
                let keeps = ours.matches(&packet).then_some(bytes.len());
                prop_assert_eq!(kernel.keeps(bytes), keeps, "{}: {:02x?}", expr, bytes);
            }
        }
    }
}
