//! The best available backend, without the privilege to load a program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::program;

use std::process::Command;
use std::time::Duration;

use netring::Interface;
use program::{Program, captures, command, send};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, numbered};

/// The example, with the credentials that `setpriv` sets.
fn with(change: &str, interface: &str) -> Program {
    let program = command("queues");
    let mut changed = Command::new("setpriv");
    changed.arg(change).arg("--").arg(program.get_program());
    Program::spawn("queues", changed.args([interface, "2"]))
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_without_cap_bpf_is_af_packet_and_says_why() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut program = with("--bounding-set=-bpf,-sys_admin", "v1");
    program.until("capture", |pid| captures(pid, "v1"));
    assert_eq!(Interface::by_name("v1").unwrap().xdp, None);
    let frames = [numbered(1, 60), numbered(2, 1514)];
    send(&Sender::on("v0").unwrap(), &frames);
    let said = program.end();
    said.went_well();
    let xdp = "AF_XDP zero-copy, native, generic (skb): ";
    let why = said.out[0].strip_prefix(xdp).unwrap();
    assert!(
        why.contains("was refused: the process needs CAP_BPF"),
        "{why}"
    );
    assert!(
        why.ends_with("Operation not permitted (os error 1)"),
        "{why}"
    );
    assert_eq!(
        said.out[1..],
        [
            "AF_PACKET: opened",
            "queue unknown: 1574 bytes",
            "offered 2, dropped 0"
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_without_cap_net_raw_is_refused_and_says_why() {
    let _ns = Netns::enter().unwrap();
    let said = with("--bounding-set=-net_raw", "lo").end();
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
    let lines: Vec<&str> = said.err.lines().collect();
    let expected = [
        ("lo: no backend is available:", ""),
        (
            "  AF_XDP zero-copy, native, generic (skb): ",
            "was refused: the process needs CAP_",
        ),
        (
            "  AF_PACKET: ",
            "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW, which even root cannot get here",
        ),
    ];
    assert!(lines.len() >= expected.len(), "{said:?}");
    for (line, (backend, why)) in lines.iter().zip(expected) {
        assert!(line.starts_with(backend) && line.contains(why), "{said:?}");
    }
}

/// With the privileges of the process: the best backend needs either a program or only a packet
/// socket, and the choice is reported.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn auto_chooses_what_the_machine_gives() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let builder = netring::auto::builder().interface("v1").divert(true);
    let mut capture = builder.build().unwrap();
    let (last, others) = capture.attempts().split_last().unwrap();
    assert!(last.why_not().is_none() && last.backends() == [capture.backend()]);
    assert!(others.iter().all(|attempt| attempt.why_not().is_some()));
    let tried: Vec<_> = capture
        .attempts()
        .iter()
        .flat_map(|attempt| attempt.backends().iter().copied())
        .collect();
    assert_eq!(tried, netring::auto::Backend::ALL[..tried.len()]);
    send(&Sender::on("v0").unwrap(), &[numbered(7, 99)]);
    let got = xtask::wire::collect(&mut capture, 2, Duration::from_millis(200)).unwrap();
    let [packet] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!(packet.data(), numbered(7, 99));
}
