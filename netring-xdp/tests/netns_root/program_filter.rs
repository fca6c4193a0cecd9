//! A filter in the XDP program matches what it matches on a socket: by test runs, and on a wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use common::filters::{packets, programs};
use netring_sys::kernel::bpf::{XDP_DROP, XDP_PASS, XDP_REDIRECT, xdp_md};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::syscall::{attach_filter, bpf_test_xdp, xdp_socket};
use netring_sys::{LinkType, Matcher, Packet, Timestamp};
use netring_xdp::program::{DefaultAction, Program};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use xtask::netns::Netns;

/// A program with a filter, and a socket for the packets that match.
struct Filtered {
    program: Program,
    _socket: OwnedFd,
    otherwise: DefaultAction,
}

impl Filtered {
    fn new(filter: &[SockFilter], otherwise: DefaultAction, multi_buffer: bool) -> Self {
        let redirect = Program::redirect().queues(1).filter(filter);
        let redirect = redirect
            .default_action(otherwise)
            .multi_buffer(multi_buffer);
        let mut program = redirect
            .load()
            .unwrap_or_else(|error| panic!("{error}\n{}", redirect.listing()));
        let socket = xdp_socket().unwrap();
        program.sockets_mut().set(0, socket.as_fd()).unwrap();
        Self {
            program,
            _socket: socket,
            otherwise,
        }
    }

    fn chooses(&mut self, packet: &[u8]) -> bool {
        let context = xdp_md {
            data_end: packet.len() as u32,
            ..xdp_md::default()
        };
        let (verdict, left) = bpf_test_xdp(self.program.fd().unwrap(), packet, context).unwrap();
        assert_eq!(left, packet, "a filter changes no packet");
        match (verdict, self.otherwise) {
            (XDP_REDIRECT, _) => true,
            (XDP_PASS, DefaultAction::Pass) | (XDP_DROP, DefaultAction::Drop) => false,
            other => panic!("{other:?}"),
        }
    }
}

/// The verdict of the kernel's own classic BPF, on a socket.
struct Kernel {
    from: UnixDatagram,
    to: UnixDatagram,
}

impl Kernel {
    fn new(filter: &[SockFilter]) -> Self {
        let (from, to) = UnixDatagram::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        attach_filter(to.as_fd(), filter).unwrap();
        Self { from, to }
    }

    fn chooses(&self, packet: &[u8]) -> bool {
        assert_eq!(self.from.send(packet).unwrap(), packet.len());
        self.to.recv(&mut [0; 16]).is_ok()
    }
}

/// The interpreter's verdict.
fn interpret(filter: &[SockFilter], packet: &[u8]) -> u32 {
    let packet = Packet::new(packet, Timestamp::EPOCH, LinkType::ETHERNET);
    Matcher::new(filter).unwrap().run(&packet)
}

/// Any valid program over any packet: three machines, one verdict. At least ten of a hundred
/// packets match, and ten do not.
fn agree(
    multi_buffer: bool,
    cases: u32,
    programs: impl Strategy<Value = Vec<SockFilter>>,
    packets: impl Strategy<Value = Vec<u8>>,
) {
    // Entering a namespace takes more privileges than loading a program.
    let _ns = std::env::var_os("NETRING_ROLE")
        .is_none()
        .then(|| Netns::enter().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let counts = Cell::new((0, 0));
    let otherwise = prop_oneof![Just(DefaultAction::Pass), Just(DefaultAction::Drop)];
    let input = (programs, prop::collection::vec(packets, 1..8), otherwise);
    runner
        .run(&input, |(program, packets, otherwise)| {
            let mut ours = Filtered::new(&program, otherwise, multi_buffer);
            let kernel = Kernel::new(&program);
            for packet in &packets {
                let expected = interpret(&program, packet) != 0;
                prop_assert_eq!(kernel.chooses(packet), expected, "the kernel's");
                prop_assert_eq!(ours.chooses(packet), expected, "ours");
                let (chosen, all) = counts.get();
                counts.set((chosen + u32::from(expected), all + 1));
            }
            Ok(())
        })
        .unwrap();
    let (chosen, all) = counts.get();
    assert!(
        (all / 10..all - all / 10).contains(&chosen),
        "{chosen} of {all} are chosen: too few or too many to tell anything"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_chooses_what_it_chooses_on_a_socket() {
    let packets = packets(prop_oneof![8 => 60..90_usize, 1 => 14..60_usize, 1 => 1400..1514_usize]);
    agree(false, 320, programs(0..58), packets);
}

/// Without permission to compute with packet pointers (CAP_PERFMON, which comes with
/// CAP_SYS_ADMIN), another program with the same meaning is generated.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_without_cap_perfmon_chooses_the_same() {
    let output = Command::new("setpriv")
        .args(["--bounding-set=-sys_admin,-perfmon", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact"])
        .arg("program_filter::x21_a_filter_chooses_what_it_chooses_on_a_socket")
        .env("NETRING_ROLE", "changed")
        .output()
        .unwrap();
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && ran, "{output:?}");
}

/// The first buffer of a test run holds 3520 bytes: loads before its end, behind it, and across it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_chooses_by_what_is_in_further_buffers_too() {
    let packets = packets(prop_oneof![1 => 3515..3530_usize, 4 => 3530..9000_usize]);
    agree(true, 192, programs(3512..3528), packets);
}

/// A filter of the maximum length: two thousand addresses, one after the other.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_the_longest_filter_chooses_what_it_says() {
    let _ns = Netns::enter().unwrap();
    let mut filter = vec![SockFilter::stmt(0x20, 26)];
    // From here on the numbers are negative if they are read as signed.
    for address in (0..2047).map(|n| 0x7fff_fff0 + 3 * n) {
        filter.push(SockFilter::jump(0x15, address, 0, 1));
        filter.push(SockFilter::stmt(0x06, u32::MAX));
    }
    filter.push(SockFilter::stmt(0x06, 0));
    assert_eq!(filter.len(), 4096);
    let mut ours = Filtered::new(&filter, DefaultAction::Pass, false);
    let kernel = Kernel::new(&filter);
    for address in [
        0x7fff_fff0,
        0x7fff_fff1,
        0x8000_0002,
        0x8000_0003,
        0x8000_17ea,
        0x8000_17ed,
    ] {
        let mut packet = [0; 60];
        packet[26..30].copy_from_slice(&u32::to_be_bytes(address));
        let expected = interpret(&filter, &packet) != 0;
        assert_eq!(
            expected,
            (address - 0x7fff_fff0) % 3 == 0 && address < 0x8000_17ed
        );
        assert_eq!(kernel.chooses(&packet), expected, "{address:#x}");
        assert_eq!(ours.chooses(&packet), expected, "{address:#x}");
    }
}
