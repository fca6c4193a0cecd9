//! The examples of broadcasts, on a wire with test traffic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use xtask::netns::Netns;
use xtask::wire::{numbered, tcp4, udp4};

use super::examples::{capturing, packets_and_balance};
use crate::program::{Program, argument_is_named, send};

const SYN: u8 = 2;

/// 500 connections: the lossless subscriber receives both events of each; the slow one has received
/// or lost them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn lossless_broadcast_loses_nothing_and_says_what_the_slow_subscriber_lost() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("lossless_broadcast", &["v1", "500"]);
    let frames = (1..=500).map(|port| tcp4(4000, port, 1, SYN, b""));
    send(&sender, &frames.collect::<Vec<_>>());
    let said = program.end();
    said.went_well();
    // Either can reach the end of its queue first.
    let line = |prefix| said.out.iter().find_map(|line| line.strip_prefix(prefix));
    assert_eq!(said.out.len(), 3, "{said:?}");
    assert_eq!(line("lossless: "), Some("1000 events, 0 lost"));
    let waits = line("the capture waited ").unwrap();
    let waits: u64 = waits.strip_suffix(" times").unwrap().parse().unwrap();
    // At most one for each connection that started.
    assert!(waits <= 500, "{said:?}");
    let figures = line("slow: ").unwrap().strip_suffix(" lost").unwrap();
    let (received, lost) = figures.split_once(" events, ").unwrap();
    let [received, lost] = [received, lost].map(|figure| figure.parse::<u64>().unwrap());
    assert_eq!(received + lost, 1000, "{said:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn packet_broadcast_counts_all_packets_and_prints_the_selected() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("packet_broadcast", &["v1", "200", "udp dst port 53"]);
    let frames = (0..200).map(|n| match n % 50 {
        0 => udp4(5000, 53, &vec![0; n]),
        1 => udp4(53, 5000, b"answer"),
        2 => tcp4(5000, 53, 1, SYN, b""),
        _ => numbered(1, 100),
    });
    let frames: Vec<_> = frames.collect();
    send(&sender, &frames);
    let said = program.end();
    let (packets, balance) = packets_and_balance(&said);
    assert_eq!(packets, ["42 bytes", "92 bytes", "142 bytes", "192 bytes"]);
    let bytes: usize = frames.iter().map(Vec::len).sum();
    assert_eq!(balance, format!("200 packets, {bytes} bytes"));
}

/// 64 packets of 16 flows: each whole flow is with one worker.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn flow_workers_prints_each_flow_once_with_its_worker() {
    let _ns = Netns::enter().unwrap();
    let (mut program, sender) = capturing("flow_workers", &["v1", "3", "64"]);
    program.says("capturing with 3 workers");
    let frames = (0..64).map(|n| udp4(4000 + n % 16, 53, &[0; 58]));
    send(&sender, &frames.collect::<Vec<_>>());
    let said = program.end();
    said.went_well();
    let [_, flows @ .., sum] = &said.out[..] else {
        panic!("{said:?}");
    };
    let mut flows: Vec<_> = flows
        .iter()
        .map(|line| {
            let (worker, flow) = line.split_once(": ").unwrap();
            assert!(
                ["worker 0", "worker 1", "worker 2"].contains(&worker),
                "{line}"
            );
            flow.to_owned()
        })
        .collect();
    flows.sort();
    let flow = |port| format!("udp 10.0.0.1:{port} 10.0.0.2:53 4 packets");
    assert_eq!(flows, (4000..4016).map(flow).collect::<Vec<_>>());
    assert_eq!(sum, "64 offered, 64 delivered, 0 dropped");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn examples_of_broadcasts_name_what_is_wrong() {
    let _ns = Netns::enter().unwrap();
    argument_is_named("lossless_broadcast", &["lo"], "EVENTS");
    argument_is_named("packet_broadcast", &["lo"], "PACKETS");
    argument_is_named("flow_workers", &["lo"], "WORKERS");
    argument_is_named("flow_workers", &["lo", "1"], "PACKETS");
    let said = Program::start("packet_broadcast", &["lo", "1", "udp and prot 80"]).end();
    assert!(
        said.out.is_empty() && said.err.contains("expected a term"),
        "{said:?}"
    );
    for name in ["lossless_broadcast", "packet_broadcast", "flow_workers"] {
        let said = Program::start(name, &["eth7"]).end();
        assert!(
            said.err.starts_with("there is no interface \"eth7\""),
            "{said:?}"
        );
    }
}
