//! A capture with a filter, over a wire: matching packets are delivered, the others go where they
//! would have gone without the capture, and each is counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::time::Duration;

use common::capture::*;
use common::*;
use netring_sys::{Count, Error, Interface, PacketSource};
use netring_xdp::program::{Counters, DefaultAction, Program, SocketMap, aya};
use netring_xdp::{CaptureBuilder, SockFilter};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, numbered, tcp4, udp4};

/// `udp dst port 53`, as tcpdump writes it for IPv4 without fragments.
const DNS: [SockFilter; 8] = [
    SockFilter::stmt(0x28, 12),
    SockFilter::jump(0x15, 0x800, 0, 5),
    SockFilter::stmt(0x30, 23),
    SockFilter::jump(0x15, 17, 0, 3),
    SockFilter::stmt(0xb1, 14),
    SockFilter::stmt(0x48, 16),
    SockFilter::jump(0x15, 53, 1, 0),
    SockFilter::stmt(0x06, 0),
];

fn dns() -> Vec<SockFilter> {
    // Its return value accepts, and truncates nothing.
    [&DNS[..], &[SockFilter::stmt(0x06, 1)]].concat()
}

/// Frames that match and frames that do not: because of the port, the protocol or the Ethertype, or
/// because they end before those.
fn frames() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let number = |n: u16| n.to_be_bytes();
    let chosen = (0..200).map(|n| udp4(n, 53, &[&number(n)[..], &[7; 900]].concat()));
    let others = (0..200).flat_map(|n| {
        [
            udp4(53, n + 54, &number(n)),
            tcp4(n, 53, 1, 2, b""),
            numbered(n.into(), 60),
            [0xff; 14].to_vec(),
        ]
    });
    (chosen.collect(), others.collect())
}

fn counters(redirected: u64, passed: u64, dropped: u64) -> Counters {
    let mut counters = Counters::default();
    counters.redirected = redirected;
    counters.passed = passed;
    counters.dropped = dropped;
    counters
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_what_a_filter_chooses_comes_and_the_rest_goes_on() {
    for (mode, otherwise, multi_buffer) in [
        (MODES[0], DefaultAction::Pass, false),
        (MODES[1], DefaultAction::Pass, false),
        (MODES[0], DefaultAction::Drop, false),
        (MODES[1], DefaultAction::Drop, false),
        (MODES[1], DefaultAction::Pass, true),
    ] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = builder(mode).default_action(otherwise).filter(dns());
        let mut capture = builder.multi_buffer(multi_buffer).build().unwrap();
        let sniffer = Sniffer::on("v0").unwrap();
        let sender = Sender::on("v1").unwrap();
        let (chosen, others) = frames();
        let mut left = others.iter();
        for frame in &chosen {
            sender.send(frame).unwrap();
            for other in left.by_ref().take(4) {
                sender.send(other).unwrap();
                if otherwise == DefaultAction::Pass {
                    let passed = sniffer.receive(LIMIT).unwrap();
                    assert_eq!(passed.as_ref(), Some(other), "{mode:?}");
                }
            }
        }
        let mut expected = chosen.iter();
        take(&mut capture, 200, |frame| {
            assert_eq!(Some(frame), expected.next().map(Vec::as_slice));
        });
        assert!(capture.next_batch_timeout(SILENCE).unwrap().is_timed_out());
        // The sniffer sees no packet that matched, and in the mode that drops the others, none at
        // all.
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);

        let stats = adds_up(&mut capture);
        let all = (Count::Exact(200), Count::Exact(200));
        assert_eq!((stats.offered, stats.delivered), all);
        let counted = capture.program_counters().unwrap().unwrap();
        assert_eq!(
            counted,
            match otherwise {
                DefaultAction::Pass => counters(200, 800, 0),
                DefaultAction::Drop => counters(200, 0, 800),
            },
            "{mode:?}"
        );
        assert_eq!(counted.offered(), 1000);
    }
}

const SILENCE: Duration = Duration::from_millis(50);

/// A filter sees the bytes as the driver provides them: a tag in the bytes is visible.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_sees_the_tag_that_is_in_the_bytes() {
    let tagged = |n: u64| {
        let mut frame = numbered(n, 96);
        frame.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        frame
    };
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let filter = [
            SockFilter::stmt(0x28, 12),
            SockFilter::jump(0x15, 0x8100, 0, 1),
            SockFilter::stmt(0x06, u32::MAX),
            SockFilter::stmt(0x06, 0),
        ];
        let mut capture = builder(mode).filter(filter).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        for n in 0..20 {
            sender.send(&numbered(n, 100)).unwrap();
            sender.send(&tagged(n)).unwrap();
        }
        let mut n = 0;
        take(&mut capture, 20, |frame| {
            assert_eq!(frame, tagged(n), "{mode:?}");
            n += 1;
        });
        let counted = capture.program_counters().unwrap().unwrap();
        assert_eq!(counted, counters(20, 20, 0));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_an_unsupported_filter_opens_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let refused = |builder: CaptureBuilder| match builder.build().unwrap_err() {
        Error::Config {
            setting: "filter",
            why,
        } => why,
        other => panic!("{other}"),
    };
    let mode = MODES[1];
    // The packet type: whom it was sent to.
    let ancillary = [
        SockFilter::stmt(0x28, -0x1000_i32 as u32 + 4),
        SockFilter::stmt(0x16, 0),
    ];
    let why = refused(builder(mode).filter(ancillary));
    assert!(
        why.starts_with("instruction 0 (code 0x28, k 0xfffff004): it loads what the kernel knows"),
        "{why}"
    );
    // It would be ignored, so it is refused instead.
    let own = Program::redirect().queues(1).load().unwrap();
    let why = refused(builder(mode).program(own).filter(dns()));
    assert!(why.contains("`Redirect::filter`"), "{why}");
    let object = programs::all_to_queue_0("foreign");
    let mut foreign = aya::Ebpf::load(&object).unwrap();
    let map = foreign.take_map("sockets").unwrap();
    let map = SocketMap::from(aya::maps::XskMap::try_from(map).unwrap());
    let why = refused(builder(mode).sockets(map).filter(dns()));
    assert!(why.contains("let it filter"), "{why}");
    assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
    // A program that contains its filter can be used.
    let own = Program::redirect().queues(1).filter(dns());
    let mut capture = builder(mode).program(own.load().unwrap()).build().unwrap();
    let sender = Sender::on("v1").unwrap();
    sender.send(&udp4(1, 54, b"other")).unwrap();
    sender.send(&udp4(1, 53, b"chosen")).unwrap();
    take(&mut capture, 1, |frame| {
        assert_eq!(frame, udp4(1, 53, b"chosen"));
    });
}
