//! A filter that is an eBPF program: loading one needs CAP_BPF in the initial user namespace.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::OwnedFd;
use std::time::Duration;

use netring_afpacket::{
    Capture, CaptureBuilder, Fanout, FanoutGroup, FanoutMode, Profile, SockFilter,
};
use netring_sys::kernel::bpf::{XDP_PASS, bpf_insn};
use netring_sys::syscall::{bpf_load_socket_filter, bpf_load_xdp};
use netring_sys::{Count, Error, PacketSource};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, udp4};

const SILENCE: Duration = Duration::from_millis(300);

const fn insn(code: u8, regs: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        regs,
        off,
        imm,
    }
}

/// A program that keeps `bytes` of UDP datagrams to a port; -1 keeps all.
fn to_port(port: u16, bytes: i32) -> OwnedFd {
    let program = [
        // r6 = the context, as loads from the packet require.
        insn(0xbf, 0x16, 0, 0),
        // r0 = 16 bits at 36.
        insn(0x28, 0, 0, 36),
        insn(0x55, 0, 2, port.into()),
        insn(0xb7, 0, 0, bytes),
        insn(0x95, 0, 0, 0),
        insn(0xb7, 0, 0, 0),
        insn(0x95, 0, 0, 0),
    ];
    bpf_load_socket_filter(&program, c"GPL").unwrap()
}

fn builder(profile: Profile) -> CaptureBuilder {
    let builder = Capture::builder().interface("a");
    builder.profile(profile)
}

/// Sends a packet to each of these ports, and returns port and captured length of those that
/// arrive.
fn arrived(capture: &mut Capture, sender: &Sender) -> Vec<(u16, usize)> {
    for port in [3, 2, 1] {
        sender.send(&udp4(9, port, &[7; 58])).unwrap();
    }
    let packets = collect(capture, usize::MAX, SILENCE).unwrap();
    let port = |frame: &[u8]| u16::from_be_bytes(*frame[36..].first_chunk().unwrap());
    let facts = packets.iter().map(|packet| {
        assert_eq!(packet.wire_len(), 100);
        (port(packet.data()), packet.data().len())
    });
    facts.collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_ebpf_program_filters_and_cuts_and_is_replaced() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for profile in [Profile::LowMemory, Profile::Immediate] {
        // The builder keeps no descriptor, and the capture needs none.
        let program = to_port(1, -1);
        let mut capture = builder(profile).ebpf_filter(program).build().unwrap();
        assert_eq!(arrived(&mut capture, &sender), [(1, 100)]);
        capture.set_ebpf_filter(to_port(2, 40)).unwrap();
        assert_eq!(arrived(&mut capture, &sender), [(2, 40)]);
        capture.set_filter([SockFilter::stmt(0x06, 1)]).unwrap();
        assert_eq!(
            arrived(&mut capture, &sender),
            [(3, 100), (2, 100), (1, 100)]
        );
        capture.set_ebpf_filter(to_port(3, -1)).unwrap();
        assert_eq!(arrived(&mut capture, &sender), [(3, 100)]);
        capture.remove_filter().unwrap();
        assert_eq!(arrived(&mut capture, &sender).len(), 3);
        assert_eq!(capture.stats().unwrap().delivered, Count::Exact(9));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_an_ebpf_program_cannot_be_combined_with_is_refused() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let with = || builder(Profile::LowMemory).ebpf_filter(to_port(1, -1));
    let refused = |builder: CaptureBuilder, word: &str| {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    refused(with().filter([SockFilter::stmt(0x06, 1)]), "one filter");
    refused(with().snap_len(60), "let it return this length");
    // A program of another kind.
    let xdp = [insn(0xb7, 0, 0, XDP_PASS as i32), insn(0x95, 0, 0, 0)];
    let xdp = bpf_load_xdp(&xdp, c"GPL").unwrap();
    let other = builder(Profile::LowMemory).ebpf_filter(xdp);
    refused(other, "BPF_PROG_TYPE_SOCKET_FILTER");

    let mut cut = builder(Profile::LowMemory).snap_len(60).build().unwrap();
    let error = cut.set_ebpf_filter(to_port(1, -1)).unwrap_err();
    assert!(error.to_string().contains("60 bytes"), "{error}");
    let mut locked = with().lock_filter(true).build().unwrap();
    let error = locked.set_ebpf_filter(to_port(2, -1)).unwrap_err();
    assert!(error.to_string().contains("locked (EPERM)"), "{error}");
    let sender = Sender::on("b").unwrap();
    assert_eq!(arrived(&mut locked, &sender), [(1, 100)]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_members_of_a_group_share_an_ebpf_program() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = builder(Profile::LowMemory).ebpf_filter(to_port(2, 50));
    let fanout = Fanout::new(FanoutMode::LoadBalance).workers(2);
    let group = FanoutGroup::open(builder, fanout).unwrap();
    let sender = Sender::on("b").unwrap();
    let mut workers = group.into_workers();
    for _ in 0..4 {
        for port in [2, 2, 1] {
            sender.send(&udp4(9, port, &[7; 58])).unwrap();
        }
    }
    let mut count = 0;
    for worker in &mut workers {
        let packets = collect(worker, usize::MAX, SILENCE).unwrap();
        assert!(packets.iter().all(|packet| packet.data().len() == 50));
        count += packets.len();
    }
    assert_eq!(count, 8);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_that_the_verifier_refuses_is_explained() {
    let endless = [insn(0x05, 0, -1, 0), insn(0x95, 0, 0, 0)];
    let error = bpf_load_socket_filter(&endless, c"GPL").unwrap_err();
    assert!(matches!(error, Error::ProgramRefused { .. }), "{error}");
}
