//! An eBPF program selects the worker: the row of the kernel's own test (`psock_fanout`), and
//! replacing it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::OwnedFd;
use std::time::Duration;

use netring_afpacket::{
    Capture, Fanout, FanoutGroup, FanoutMode, FanoutProgram, Profile, SockFilter,
};
use netring_sys::kernel::bpf::bpf_insn;
use netring_sys::syscall::{bpf_load_socket_filter, bpf_load_xdp};
use netring_sys::{Count, PacketSource};
use xtask::load::wait_until;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, udp4};

const PATIENCE: Duration = Duration::from_secs(10);

const fn insn(code: u8, regs: u8, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        regs,
        off: 0,
        imm,
    }
}

/// `r6 = r1; r0 = skb[80]; exit`: the program of the kernel's test.
fn byte_80() -> OwnedFd {
    let program = [insn(0xbf, 0x16, 0), insn(0x30, 0, 80), insn(0x95, 0, 0)];
    bpf_load_socket_filter(&program, c"GPL").unwrap()
}

/// `r0 = value; exit`
const fn constant(value: i32) -> [bpf_insn; 2] {
    [insn(0xb7, 0, value), insn(0x95, 0, 0)]
}

/// Two rings of 20 slots.
fn open(program: FanoutProgram) -> FanoutGroup {
    let builder = Capture::builder().interface("a");
    let builder = builder.profile(Profile::Immediate);
    let builder = builder.block_size(4096).block_count(20);
    let fanout = Fanout::new(FanoutMode::Program(program)).workers(2);
    FanoutGroup::open(builder, fanout).unwrap()
}

/// Packets in the ring of each worker, once `sent` have arrived.
fn in_rings(group: &mut FanoutGroup, sent: u64) -> Vec<u64> {
    wait_until("all packets arrived", PATIENCE, || {
        group.stats().unwrap().offered == Count::Exact(sent)
    });
    let workers = group.workers_mut().iter_mut();
    let pending = workers.map(|worker| worker.stats().unwrap().pending().unwrap());
    pending.collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_ebpf() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let mut group = open(FanoutProgram::ebpf(byte_80()).unwrap());
    // 'b' is even and goes to the first worker.
    let send = |byte, count| {
        (0..count).for_each(|_| sender.send(&udp4(8000, 8002, &[byte; 100])).unwrap());
    };
    send(b'b', 15);
    send(b'a', 5);
    assert_eq!(in_rings(&mut group, 20), [15, 5]);
    send(b'a', 15);
    assert_eq!(in_rings(&mut group, 35), [15, 20]);
    assert_eq!(group.stats().unwrap().dropped, Count::Exact(0));
    for (worker, byte) in group.workers_mut().iter_mut().zip(*b"ba") {
        let packets = collect(worker, 20, Duration::from_millis(300)).unwrap();
        assert!(packets.iter().all(|packet| packet.data()[60] == byte));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_ebpf_program_is_replaced_by_another_and_by_nothing_else() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let load = |value| {
        let program = bpf_load_socket_filter(&constant(value), c"GPL").unwrap();
        FanoutProgram::ebpf(program).unwrap()
    };
    let mut group = open(load(0));
    let handle = group.handle();
    sender.send(&udp4(1, 2, b"first")).unwrap();
    assert_eq!(in_rings(&mut group, 1), [1, 0]);
    // The program stays with the group, although its descriptor is closed. 7 modulo 2 workers.
    handle.set_program(&load(7)).unwrap();
    sender.send(&udp4(1, 2, b"second")).unwrap();
    assert_eq!(in_rings(&mut group, 2), [1, 1]);

    let xdp = FanoutProgram::ebpf(bpf_load_xdp(&constant(2), c"GPL").unwrap()).unwrap();
    let text = handle.set_program(&xdp).unwrap_err().to_string();
    assert!(text.contains("not of type socket filter"), "{text}");
    let classic = FanoutProgram::classic([SockFilter::stmt(0x06, 0)]);
    let text = handle.set_program(&classic).unwrap_err().to_string();
    assert!(
        text.contains("fanout program: the kernel refused it"),
        "{text}"
    );
    sender.send(&udp4(1, 2, b"third")).unwrap();
    assert_eq!(in_rings(&mut group, 3), [1, 2]);
}
