//! Runs each AF_XDP example as a program on a wire with test traffic, and compares what it prints
//! and sends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::program;

use std::time::{Duration, Instant};

use netring::Interface;
use program::{Program, argument_is_named, send};
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, numbered, tcp4, udp4};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(100);

/// Starts an example that attaches a program to `v1`, and waits until it did so. By then its
/// sockets are open.
fn capturing(name: &'static str, args: &[&str]) -> Program {
    let mut program = Program::start(name, args);
    program.until("attach a program", |_| {
        Interface::by_name("v1").unwrap().xdp.is_some()
    });
    program
}

/// The program is detached after the example has ended.
#[track_caller]
fn nothing_stays(interface: &str) {
    let end = Instant::now() + LIMIT;
    while Interface::by_name(interface).unwrap().xdp.is_some() {
        assert!(Instant::now() < end, "the program stays on {interface}");
    }
}

/// Checks that these frames arrive, byte for byte, and no others.
#[track_caller]
fn comes(sniffer: &Sniffer, frames: impl IntoIterator<Item = Vec<u8>>) {
    for (n, frame) in frames.into_iter().enumerate() {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(frame), "frame {n}");
    }
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_receive_reports_the_mode_each_packet_and_the_balance() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let program = capturing("xdp_receive", &["v1", "5"]);
    let lengths = [60, 61, 300, 1513, 1514];
    send(
        &Sender::on("v0").unwrap(),
        &lengths.map(|len| numbered(1, len)),
    );
    let said = program.end();
    said.went_well();
    let mut expected = vec![
        "mode: native, copy".to_owned(),
        "not zero-copy: Operation not supported (os error 95)".to_owned(),
    ];
    expected.extend(lengths.map(|len| format!("queue 0: {len} bytes")));
    expected.push("offered 5, dropped 0".into());
    assert_eq!(said.out, expected);
    nothing_stays("v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_receive_reports_why_the_driver_does_not_run_the_program() {
    let _ns = Netns::enter().unwrap();
    // The driver accepts a program only if it has as many receive queues as its peer has transmit
    // queues.
    ip("link add name v0 numtxqueues 2 numrxqueues 2 type veth peer name v1 numtxqueues 1 numrxqueues 1").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set {end} addrgenmode none up")).unwrap();
    }
    let program = capturing("xdp_receive", &["v1", "1"]);
    send(&Sender::on("v0").unwrap(), &[numbered(1, 100)]);
    let said = program.end();
    said.went_well();
    assert_eq!(said.out.len(), 5, "{said:?}");
    assert_eq!(said.out[0], "mode: generic, copy");
    let why = "not native: the driver of v1 has too few queues for native mode (1); on veth";
    assert!(said.out[2].starts_with(why), "{said:?}");
    assert_eq!(
        said.out[3..],
        ["queue 0: 100 bytes", "offered 1, dropped 0"]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_transmit_sends_each_frame_once() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v0").unwrap();
    let said = Program::start("xdp_transmit", &["v1", "50"]).end();
    said.went_well();
    assert_eq!(
        said.out,
        ["50 committed: 50 sent, 0 dropped, 0 rejected, 0 pending; 0 refused"]
    );
    let address = Interface::by_name("v1").unwrap().address.unwrap();
    let frame = |number: u32| {
        let mut frame = [&[0xff; 6][..], &address, &[0x88, 0xb5]].concat();
        frame.extend(number.to_be_bytes());
        frame.resize(60, 0);
        frame
    };
    comes(&sniffer, (0..50).map(frame));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_forward_sends_on_what_comes() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let sniffer = Sniffer::on("w0").unwrap();
    let program = capturing("xdp_forward", &["v1", "w1", "100"]);
    let frames: Vec<_> = (0..100)
        .map(|n| numbered(n, 60 + 14 * n as usize))
        .collect();
    send(&Sender::on("v0").unwrap(), &frames);
    let said = program.end();
    said.went_well();
    assert_eq!(said.out, ["v1 to w1: 100 sent, 0 without room"]);
    comes(&sniffer, frames);
    nothing_stays("v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_own_program_takes_udp_and_leaves_the_rest() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let program = capturing("xdp_own_program", &["v1", "3"]);
    // The host's own stack sees what the program passes.
    let sniffer = Sniffer::on("v1").unwrap();
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    let others = [
        tcp4(4000, 80, 1, 2, b""),
        arp,
        tcp4(4000, 80, 2, 16, &[0; 100]),
    ];
    let frames: Vec<_> = others
        .iter()
        .zip([10, 20, 1000])
        .flat_map(|(other, len)| [other.clone(), udp4(5000, 53, &vec![7; len])])
        .collect();
    send(&Sender::on("v0").unwrap(), &frames);
    comes(&sniffer, others);
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        ["udp: 52 bytes", "udp: 62 bytes", "udp: 1042 bytes"]
    );
    nothing_stays("v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_workers_take_the_packets_of_all_queues() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let program = capturing("xdp_workers", &["v1", "200"]);
    let frames: Vec<_> = (0..200)
        .map(|n| udp4(n, 9, &vec![0; usize::from(n)]))
        .collect();
    let sent: usize = frames.iter().map(Vec::len).sum();
    send(&Sender::on("v0").unwrap(), &frames);
    let said = program.end();
    said.went_well();
    let [first, second, all] = &said.out[..] else {
        panic!("{said:?}");
    };
    // Each packet is in one of the two, and neither is empty.
    let figures = |line: &str, queue: u32| {
        let rest = line.strip_prefix(&format!("queue [{queue}]: ")).unwrap();
        let rest = rest.strip_suffix(" bytes").unwrap();
        let (packets, bytes) = rest.split_once(" packets, ").unwrap();
        (
            packets.parse::<usize>().unwrap(),
            bytes.parse::<usize>().unwrap(),
        )
    };
    let (first, second) = (figures(first, 0), figures(second, 1));
    assert_eq!((first.0 + second.0, first.1 + second.1), (200, sent));
    assert!(first.0 > 0 && second.0 > 0, "{said:?}");
    assert_eq!(all, "200 packets in total");
    nothing_stays("v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_flows_async_prints_the_first_event_of_one_of_two_subscribers() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let program = capturing("xdp_flows_async", &["v1"]);
    send(&Sender::on("v0").unwrap(), &[udp4(5000, 53, &[0; 30])]);
    let said = program.end();
    said.is_the_first_event_of_a_subscriber();
    nothing_stays("v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn queues_reports_each_backend_and_counts_by_the_best() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let program = capturing("queues", &["v1", "2"]);
    send(
        &Sender::on("v0").unwrap(),
        &[numbered(1, 60), numbered(2, 1514)],
    );
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)",
            "AF_XDP native: opened; captured packets do not reach this host",
            "queue 0: 1574 bytes",
            "offered 2, dropped 0",
        ]
    );
    nothing_stays("v1");
}

/// Lost packets count: the example does not wait for them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_forward_ends_with_the_packets_that_were_lost() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    for end in ["v0", "v1", "w0", "w1"] {
        ip(&format!("link set {end} mtu 3000")).unwrap();
    }
    let sniffer = Sniffer::on("w0").unwrap();
    let start = Instant::now();
    let program = capturing("xdp_forward", &["v1", "w1", "40", "60"]);
    // Every fourth is longer than the example's chunks.
    let frames: Vec<_> = (0..40)
        .map(|n| numbered(n, if n % 4 == 3 { 1793 } else { 1792 }))
        .collect();
    send(&Sender::on("v0").unwrap(), &frames);
    let said = program.end();
    said.went_well();
    assert!(start.elapsed() < LIMIT);
    assert_eq!(
        said.out,
        [
            "v1 to w1: 30 sent, 0 without room",
            "10 lost: longer than a chunk, or too fast for this program"
        ]
    );
    comes(
        &sniffer,
        frames.into_iter().filter(|frame| frame.len() == 1792),
    );
}

/// No example waits for packets that never arrive.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn examples_end_when_their_time_is_over() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let over = "time is up: received 1 of 3 packets";
    let balance = "offered 1, dropped 0";
    let modes = [
        "mode: native, copy",
        "not zero-copy: Operation not supported (os error 95)",
    ];
    let backends = [
        "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)",
        "AF_XDP native: opened; captured packets do not reach this host",
    ];
    let frame = udp4(5000, 53, &[0; 30]);
    let came = |line: &'static str| [&modes[..], &[line, over, balance]].concat();
    for (name, args, expected) in [
        (
            "xdp_receive",
            &["v1", "3", "1"][..],
            came("queue 0: 72 bytes"),
        ),
        (
            "queues",
            &["v1", "3", "1"],
            [&backends[..], &["queue 0: 72 bytes", over, balance]].concat(),
        ),
        (
            "xdp_own_program",
            &["v1", "3", "1"],
            vec!["udp: 72 bytes", over],
        ),
        (
            "xdp_workers",
            &["v1", "3", "1"],
            vec!["queue [0]: 1 packets, 72 bytes", "1 packets in total"],
        ),
        (
            "xdp_forward",
            &["v1", "w1", "3", "1"],
            vec!["v1 to w1: 1 sent, 0 without room", over],
        ),
    ] {
        let program = capturing(name, args);
        let start = Instant::now();
        send(&Sender::on("v0").unwrap(), std::slice::from_ref(&frame));
        let said = program.end();
        said.went_well();
        assert_eq!(said.out, expected, "{name}");
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
        nothing_stays("v1");
    }
    let said = Program::start("xdp_flows_async", &["v1", "1"]).end();
    said.went_well();
    assert_eq!(said.out, ["time is up: no packet was received"]);
    // Nor for those that the filter rejects.
    for name in ["xdp_receive", "queues", "xdp_own_program", "xdp_workers"] {
        let start = Instant::now();
        Program::start(name, &["v1", "0"]).end().went_well();
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_argument_that_cannot_be_is_named() {
    let _ns = Netns::enter().unwrap();
    for name in ["xdp_receive", "xdp_own_program", "xdp_workers", "queues"] {
        argument_is_named(name, &["v1"], "PACKETS");
        argument_is_named(name, &["v1", "1"], "SECONDS");
    }
    argument_is_named("xdp_forward", &["v1", "w1"], "PACKETS");
    argument_is_named("xdp_forward", &["v1", "w1", "1"], "SECONDS");
    argument_is_named("xdp_transmit", &["v1"], "FRAMES");
    argument_is_named("xdp_flows_async", &["v1"], "SECONDS");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_example_that_fails_says_so_in_a_sentence() {
    let _ns = Netns::enter().unwrap();
    for name in [
        "xdp_receive",
        "xdp_transmit",
        "xdp_own_program",
        "xdp_workers",
        "xdp_flows_async",
        "queues",
    ] {
        let said = Program::start(name, &["eth7"]).end();
        assert!(!said.ok && said.out.is_empty(), "{said:?}");
        assert_eq!(
            said.err,
            "there is no interface \"eth7\" in this network namespace; `ip link` lists those that exist\n"
        );
        let said = Program::start(name, &[]).end();
        let usage = format!("usage: {name} INTERFACE");
        assert!(!said.ok && said.err.starts_with(&usage), "{said:?}");
    }
}
