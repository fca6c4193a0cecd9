//! The example prints the settings of an interface, and its suggestion fits them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::process::Command;
use std::time::Duration;

use netring::auto::{self, Backend};
use netring::suggest::{Goal, Reason, Wants};
use netring::{
    Capture, Fanout, FanoutGroup, FanoutMode, Interface, PacketBatch, PacketSource, Timed,
};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, numbered};

use crate::program::{Program, argument_is_named};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interface_information_prints_what_is_set_and_what_fits() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 4).unwrap();
    for words in [["-K", "v1", "gro", "on"], ["-K", "v1", "gso", "off"]] {
        let switched = Command::new("ethtool").args(words).status();
        assert!(switched.unwrap().success());
    }
    ip("link set v1 mtu 1400").unwrap();
    let said = Program::start("interface_information", &["v1", "3"]).end();
    said.went_well();
    let features = said.out[4].strip_prefix("features: ").unwrap();
    let features: Vec<_> = features.split(' ').collect();
    assert!(features.contains(&"rx-gro"), "{features:?}");
    assert!(
        !features.contains(&"tx-generic-segmentation"),
        "{features:?}"
    );
    let (before, behind) = (&said.out[..4], &said.out[5..8]);
    assert_eq!(
        before,
        [
            "v1: up, MTU 1400",
            "driver: veth 1.0",
            "link: 10000 Mbit/s, full duplex",
            "queues: rx 4 of 4, tx 4 of 4",
        ]
    );
    assert!(
        behind[0].starts_with("XDP: native, redirect, "),
        "{behind:?}"
    );
    assert_eq!(
        behind[1..],
        [
            "timestamps: no hardware timestamps",
            "default route: does not lead through it",
        ]
    );
    let stays = "- AF_XDP takes packets away from this host; permit it with `divert(true)`";
    let fanout = "- the kernel shares the packets among 3 workers, each flow with one of them";
    let joined = "- rx-gro is on: packets may come joined, up to 64 KiB long";
    assert_eq!(
        said.out[8..],
        [
            "Balanced: AF_PACKET, profile Default, 3 workers",
            stays,
            fanout,
            "- moderate memory and few wake-ups",
            joined,
            "Throughput: AF_PACKET, profile HighThroughput, 3 workers",
            stays,
            fanout,
            "- throughput is wanted",
            joined,
            "Latency: AF_PACKET, profile Immediate, 3 workers",
            stays,
            fanout,
            "- low latency is wanted",
            joined,
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interface_information_says_what_is_wrong_with_its_arguments() {
    let _ns = Netns::enter().unwrap();
    argument_is_named("interface_information", &["lo"], "CORES");
    let said = Program::start("interface_information", &["nowhere"]).end();
    assert!(!said.ok && said.err.contains("nowhere"), "{said:?}");
}

/// The reason is the one that `auto` finds.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_suggestion_has_the_words_of_auto_and_opens_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    ip("address add 10.0.0.1/24 dev v1").unwrap();
    ip("route add default via 10.0.0.2").unwrap();
    let v1 = Interface::by_name("v1").unwrap();
    let information = v1.information().unwrap();
    for divert in [false, true] {
        let suggestion = Wants::new().divert(divert).suggest(&v1, &information);
        // A program that another test starts holds the last one until it runs.
        wait_until("there is no socket", LIMIT, || {
            let sockets = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
            sockets.lines().count() == 1
        });
        let builder = auto::builder().interface("v1").divert(divert);
        let capture = builder.build().unwrap();
        assert_eq!(suggestion.backend, capture.backend());
        let rejected = capture.attempts()[0].to_string();
        let why = suggestion.reasons[0].to_string();
        assert!(rejected.ends_with(&why), "{rejected}, but {why}");
    }
}

/// The suggestion can be used as it is.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_suggested_captures() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v1 = Interface::by_name("v1").unwrap();
    let information = v1.information().unwrap();
    let sender = Sender::on("v0").unwrap();
    for goal in [
        Goal::Balanced,
        Goal::Throughput,
        Goal::Latency,
        Goal::Memory,
    ] {
        let wants = Wants::new().cores(2).goal(goal);
        let suggestion = wants.suggest(&v1, &information);
        assert_eq!(suggestion.backend, Backend::AfPacket);
        assert!(suggestion.reasons.contains(&Reason::Goal(goal)));
        let builder = Capture::builder()
            .interface("v1")
            .profile(suggestion.profile);
        let fanout = Fanout::new(FanoutMode::Hash).workers(suggestion.workers as usize);
        let mut group = FanoutGroup::open(builder, fanout).unwrap();
        for n in 0..20 {
            sender.send(&numbered(n, 100)).unwrap();
        }
        let mut packets = 0;
        while packets < 20 {
            for worker in group.workers_mut() {
                let wait = Duration::from_millis(100);
                if let Timed::Batch(batch) = worker.next_batch_timeout(wait).unwrap() {
                    packets += batch.packets().count();
                }
            }
            assert_eq!(group.stats().unwrap().dropped, netring::Count::Exact(0));
        }
        assert_eq!(packets, 20, "{goal:?}");
    }
}
