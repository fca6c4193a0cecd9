//! `bpf(2)` on the running kernel: programs that are loaded, refused, and run over frames.

use std::os::fd::AsFd;
use std::time::Duration;

use netring_sys::kernel::bpf::{XDP_DROP, XDP_PASS, XDP_TX, bpf_insn, xdp_md};
use netring_sys::syscall::{BpfArray, bpf_load_xdp, bpf_send_xdp, bpf_test_xdp};
use netring_sys::{Error, Interface};
use xtask::load::SignalStorm;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sniffer, numbered};

const fn insn(code: u8, regs: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        regs,
        off,
        imm,
    }
}

const EXIT: bpf_insn = insn(0x95, 0, 0, 0);

/// r0 = a verdict.
const fn verdict(value: u32) -> bpf_insn {
    insn(0xb7, 0, 0, value as i32)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn live_frames_come_in_on_the_interface_as_they_are_and_as_many_as_were_asked_for() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let index = Interface::by_name("v0").unwrap().index;
    let frame = numbered(7, 64);
    let sniffer = Sniffer::on("v0").unwrap();

    let pass = bpf_load_xdp(&[verdict(XDP_PASS), EXIT], c"GPL").unwrap();
    bpf_send_xdp(pass.as_fd(), &frame, index, 40, 16).unwrap();
    let drop = bpf_load_xdp(&[verdict(XDP_DROP), EXIT], c"GPL").unwrap();
    bpf_send_xdp(drop.as_fd(), &frame, index, 40, 16).unwrap();

    // No more than fits the sniffer's socket.
    for n in 0..40 {
        let got = sniffer.receive(Duration::from_secs(5)).unwrap();
        assert_eq!(got.as_deref(), Some(&frame[..]), "frame {n}");
    }
    assert_eq!(sniffer.receive(Duration::from_millis(100)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn live_frames_for_an_interface_that_is_not_there_are_refused() {
    let _ns = Netns::enter().unwrap();
    let pass = bpf_load_xdp(&[verdict(XDP_PASS), EXIT], c"GPL").unwrap();
    let error = bpf_send_xdp(pass.as_fd(), &numbered(7, 64), 12_345, 1, 1).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(19), "{error}");
    assert!(error.to_string().contains("BPF_PROG_TEST_RUN"), "{error}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_test_run_returns_the_verdict_and_the_packet_that_is_left() {
    let _ns = Netns::enter().unwrap();
    // r2, r3: the packet. Its first byte, if it has one, becomes 0xab.
    let program = [
        insn(0x61, 0x12, 0, 0),
        insn(0x61, 0x13, 4, 0),
        insn(0xbf, 0x24, 0, 0),
        insn(0x07, 4, 0, 1),
        insn(0x2d, 0x34, 1, 0),
        insn(0x72, 2, 0, 0xab),
        verdict(XDP_TX),
        EXIT,
    ];
    let program = bpf_load_xdp(&program, c"GPL").unwrap();
    let packet = numbered(7, 200);
    let context = xdp_md {
        data_end: 200,
        ingress_ifindex: Interface::by_name("lo").unwrap().index,
        ..xdp_md::default()
    };
    let (returned, left) = bpf_test_xdp(program.as_fd(), &packet, context).unwrap();
    assert_eq!(returned, XDP_TX);
    assert_eq!(left[0], 0xab);
    assert_eq!(left[1..], packet[1..]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_the_verifier_says_of_a_program_that_it_refuses_is_in_the_error() {
    let _ns = Netns::enter().unwrap();
    // r0 was never written.
    match bpf_load_xdp(&[EXIT], c"GPL") {
        Err(Error::ProgramRefused { log, .. }) => {
            assert!(log.contains("R0 !read_ok"), "{log}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_array_holds_what_is_set_and_what_a_program_writes() {
    let _ns = Netns::enter().unwrap();
    let array = BpfArray::<16>::new(3).unwrap();
    assert_eq!(array.get(1).unwrap(), [0; 16]);
    array.set(1, &[9; 16]).unwrap();
    assert_eq!(array.get(1).unwrap(), [9; 16]);
    assert_eq!(array.get(2).unwrap(), [0; 16]);
    assert_eq!(array.get(3).unwrap_err().source.raw_os_error(), Some(2));
    assert!(array.set(3, &[0; 16]).is_err());
    assert!(BpfArray::<16>::new(0).is_err());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_of_a_user_namespace_learns_what_it_lacks() {
    let _ns = Netns::enter().unwrap();
    // The same program, run by a user who may create interfaces but not load programs.
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "live_frames_for_an_interface_that_is_not_there_are_refused",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("bpf(BPF_PROG_LOAD) was refused"), "{said}");
    assert!(said.contains("CAP_BPF"), "{said}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_signal_does_not_keep_a_program_from_being_loaded() {
    // The verifier processes each of these instructions, which takes long enough to be interrupted.
    let mut program = vec![insn(0xb7, 0, 0, 0); 2000];
    program.push(EXIT);
    let storm = SignalStorm::on_this_thread().unwrap();
    for _ in 0..500 {
        bpf_load_xdp(&program, c"GPL").unwrap();
    }
    assert!(storm.stop() > 20, "a storm");
}
