//! Runs each example that captures as a program, on a wire with test traffic, and compares its
//! output line by line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::program;

use std::process::Command;
use std::time::{Duration, Instant};

use netring::Interface;
use program::{Program, Said, argument_is_named, captures, command, send};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, numbered, udp4};

/// The examples that need only CAP_NET_RAW.
const CAPTURING: [&str; 12] = [
    "capture",
    "conn_log",
    "dedup",
    "fanout_workers",
    "filter",
    "flows_async",
    "hardware_timestamps",
    "live_statistics",
    "low_latency",
    "scan_detector",
    "thread_channel",
    "top_talkers",
];

/// A pair of interfaces, an example that captures on one, and a sender on the other.
pub(super) fn capturing(name: &'static str, args: &[&str]) -> (Program, Sender) {
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let mut program = Program::start(name, args);
    program.until("capture", |pid| captures(pid, "v1"));
    (program, sender)
}

/// The output of a successful program: its packets without their times, and the last line.
#[track_caller]
pub(super) fn packets_and_balance(said: &Said) -> (Vec<&str>, &str) {
    said.went_well();
    let (balance, packets) = said.out.split_last().unwrap();
    (packets.iter().map(|line| timed(line)).collect(), balance)
}

/// The line without its first word, which is the current time.
pub(super) fn timed(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap();
    let (seconds, nanos) = time.split_once('.').unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(
        now.abs_diff(seconds.parse().unwrap()) < 60 && nanos.len() == 9,
        "{time}"
    );
    rest
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interfaces_prints_each_interface_with_its_names() {
    let _ns = Netns::enter().unwrap();
    ip("link add name v0 index 7 address 02:00:00:00:00:07 mtu 1400 type veth peer name v1 index 9 address 02:00:00:00:00:09")
        .unwrap();
    ip("link property add dev v1 altname uplink-of-the-second-floor").unwrap();
    ip("link set dev v1 alias to_the_left").unwrap();
    let said = Program::start("interfaces", &[]).end();
    assert_eq!(
        said.out,
        [
            "1 lo: up, mtu 65536, LinkType::ETHERNET, 00:00:00:00:00:00, 127.0.0.1/8, ::1/128",
            "7 v0: down, mtu 1400, LinkType::ETHERNET, 02:00:00:00:00:07",
            "9 v1: down, mtu 1500, LinkType::ETHERNET, 02:00:00:00:00:09, also uplink-of-the-second-floor (to_the_left)",
        ]
    );
    said.went_well();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn capture_prints_each_packet_and_the_balance() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("capture", &["v1", "5"]);
    let lengths = [60, 61, 300, 1513, 1514];
    send(&sender, &lengths.map(|len| numbered(1, len)));
    let said = program.end();
    let (packets, balance) = packets_and_balance(&said);
    assert_eq!(packets, lengths.map(|len| format!("{len} bytes")));
    assert_eq!(balance, "offered 5, dropped 0, link downs 0");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn capture_goes_on_while_the_link_is_down_and_counts_that() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("capture", &["v1", "2"]);
    send(&sender, &[numbered(1, 60)]);
    ip("link set v1 down").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    ip("link set v1 up").unwrap();
    while !Interface::by_name("v0").unwrap().is_up() {
        std::thread::sleep(Duration::from_millis(1));
    }
    send(&sender, &[numbered(2, 70)]);
    let said = program.end();
    said.went_well();
    assert_eq!(said.out.len(), 3, "{said:?}");
    assert_eq!(timed(&said.out[0]), "60 bytes");
    assert_eq!(timed(&said.out[1]), "70 bytes");
    assert_eq!(said.out[2], "offered 2, dropped 0, link downs 1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn flows_async_prints_the_first_event_of_one_of_two_subscribers() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("flows_async", &["v1"]);
    send(&sender, &[udp4(5000, 53, &[0; 30])]);
    let said = program.end();
    said.is_the_first_event_of_a_subscriber();
}

/// No example waits for packets that never arrive, even if the link is down all the time.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn examples_end_when_their_time_is_over() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("capture", &["v1", "3", "1"]);
    send(&sender, &[numbered(1, 60)]);
    let said = program.end();
    said.went_well();
    assert_eq!(timed(&said.out[0]), "60 bytes");
    let rest = [
        "time is up: received 1 of 3 packets",
        "offered 1, dropped 0, link downs 0",
    ];
    assert_eq!(said.out[1..], rest);
    let said = Program::start("flows_async", &["v1", "1"]).end();
    said.went_well();
    assert_eq!(said.out, ["time is up: no packet was received"]);
    let start = Instant::now();
    Program::start("top_talkers", &["v1", "1"])
        .end()
        .went_well();
    Program::start("capture", &["v1", "0"]).end().went_well();
    assert!(start.elapsed() < Duration::from_secs(5));
    ip("link set v1 down").unwrap();
    let said = Program::start("capture", &["v1", "3", "1"]).end();
    said.went_well();
    assert_eq!(
        said.out.last().map(String::as_str),
        Some("offered 0, dropped 0, link downs 0")
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_argument_that_cannot_be_is_named() {
    let _ns = Netns::enter().unwrap();
    argument_is_named("capture", &["lo"], "PACKETS");
    argument_is_named("capture", &["lo", "1"], "SECONDS");
    argument_is_named("dedup", &["lo"], "PACKETS");
    argument_is_named("top_talkers", &["lo"], "SECONDS");
    argument_is_named("fanout_workers", &["lo"], "WORKERS");
    argument_is_named("fanout_workers", &["lo", "1"], "PACKETS");
    argument_is_named("filter", &["lo"], "PACKETS");
    argument_is_named("hardware_timestamps", &["lo"], "PACKETS");
    argument_is_named("thread_channel", &["lo"], "PACKETS");
    argument_is_named("flows_async", &["lo"], "SECONDS");
    argument_is_named("live_statistics", &["lo"], "SECONDS");
    argument_is_named("low_latency", &["lo"], "PACKETS");
    argument_is_named("any", &[], "PACKETS");
    argument_is_named("any", &["1"], "SECONDS");
    argument_is_named("merged", &["lo", "a"], "PACKETS");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_example_that_fails_says_so_in_a_sentence() {
    let _ns = Netns::enter().unwrap();
    for name in CAPTURING {
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

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_example_without_privilege_says_what_it_needs() {
    let _ns = Netns::enter().unwrap();
    for name in CAPTURING {
        // In a user namespace that does not own this network namespace.
        let program = command(name);
        let mut unprivileged = Command::new("unshare");
        unprivileged.arg("--user").arg(program.get_program());
        let said = Program::spawn(name, unprivileged.arg("lo")).end();
        assert!(!said.ok && said.out.is_empty(), "{said:?}");
        assert!(
            said.err.starts_with(
                "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW; run it as root"
            ),
            "{said:?}"
        );
    }
}
