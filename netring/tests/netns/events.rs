//! Events for `tracing` of captures and injectors on a wire: each once, with its fields.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, Verdict};
use netring::wait::LinkState;
use netring::{
    Capture, Captures, Count, Fanout, FanoutGroup, FanoutMode, Filter, Injector, PacketBatch,
    PacketSource, Timed, auto,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, numbered};

use crate::collect::Collected;

const LIMIT: Duration = Duration::from_secs(10);
const OPENED: &str = "INFO netring::capture: capture opened";
const NONE: [&str; 0] = [];

/// Reads from the capture until its interface is in this state.
fn until(capture: &mut Capture, state: LinkState) {
    let end = Instant::now() + LIMIT;
    while capture.link_state().unwrap() != state {
        let _ = capture.next_batch_timeout(Duration::from_millis(10));
        assert!(Instant::now() < end, "it is not {state:?}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_is_one_event_with_what_was_granted_and_a_flood_is_none() {
    const PACKETS: u64 = 100_000;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let builder = Capture::builder().interface("v1").promiscuous(true);
    let mut capture = builder.build().unwrap();
    let emitted = events.take();
    let [opened] = &emitted[..] else {
        panic!("{emitted:?}");
    };
    assert_eq!(opened.line(), OPENED);
    assert_eq!(opened.field("interface"), "v1");
    let index = capture.interface().index.to_string();
    assert_eq!(opened.field("index"), index);
    let ring = capture.ring();
    assert_eq!(opened.field("ring_bytes"), ring.bytes().to_string());
    assert_eq!(opened.field("ring_blocks"), ring.block_count.to_string());
    assert_eq!(opened.field("immediate"), "false");
    assert_eq!(opened.field("clock"), "Software");
    assert_eq!(opened.field("promiscuous"), "true");
    assert_eq!(opened.field("link_up"), "true");

    let sender = Sender::on("v0").unwrap();
    let mut received = 0;
    let read = |capture: &mut Capture, received: &mut u64| {
        while let Timed::Batch(batch) = capture.next_batch_timeout(Duration::ZERO).unwrap() {
            *received += batch.packets().count() as u64;
        }
    };
    for n in 0..PACKETS {
        sender.send(&numbered(n, 60)).unwrap();
        if n % 1000 == 0 {
            read(&mut capture, &mut received);
        }
    }
    let end = Instant::now() + LIMIT;
    while received < PACKETS {
        capture.wait(Some(Duration::from_millis(100))).unwrap();
        read(&mut capture, &mut received);
        assert!(Instant::now() < end, "{received}");
    }
    assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_opening_that_fails_is_no_event() {
    let _ns = Netns::enter().unwrap();
    let (events, _guard) = Collected::here();
    Capture::open("nowhere").unwrap_err();
    Injector::open("nowhere").unwrap_err();
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_change_of_the_link_is_one_event() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let mut capture = Capture::open("v1").unwrap();
    // It watches the same interface, and emits nothing.
    let mut monitor = capture.link_monitor().unwrap();
    assert_eq!(events.lines(), [OPENED]);
    for _ in 0..3 {
        ip("link set v1 down").unwrap();
        until(&mut capture, LinkState::Down);
        assert_eq!(monitor.next_change().unwrap(), Some(LinkState::Down));
        assert_eq!(events.lines(), ["WARN netring::link: link down"]);
        ip("link set v1 up").unwrap();
        until(&mut capture, LinkState::Up);
        assert_eq!(monitor.next_change().unwrap(), Some(LinkState::Up));
        assert_eq!(events.lines(), ["INFO netring::link: link up"]);
    }
    ip("link set v1 down").unwrap();
    until(&mut capture, LinkState::Down);
    events.take();
    ip("link del v1").unwrap();
    until(&mut capture, LinkState::Removed);
    for _ in 0..3 {
        capture.next_batch().unwrap_err();
    }
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(emitted[0].line(), "WARN netring::link: interface removed");
    assert_eq!(emitted[0].field("interface"), "v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_workers_of_a_group_emit_one_event_for_a_link() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let builder = Capture::builder().interface("v1");
    let fanout = Fanout::new(FanoutMode::Hash).workers(3);
    let mut group = FanoutGroup::open(builder, fanout).unwrap();
    assert_eq!(events.lines(), [OPENED; 3]);
    ip("link set v1 down").unwrap();
    for worker in group.workers_mut() {
        until(worker, LinkState::Down);
    }
    assert_eq!(events.lines(), ["WARN netring::link: link down"]);
}

/// The loss is one event when it begins, and one each time its total gains a digit, although the
/// statistics are read all the time.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_loss_is_an_event_when_it_begins_and_with_each_digit() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let builder = Capture::builder().interface("v1");
    let mut capture = builder.block_size(64 << 10).block_count(2).build().unwrap();
    assert_eq!(events.lines(), [OPENED]);
    let sender = Sender::on("v0").unwrap();
    let (mut dropped, mut expected) = (0, Vec::new());
    for n in 0..1500 {
        sender.send(&numbered(n, 1500)).unwrap();
        let now = capture.stats().unwrap().dropped.exact().unwrap();
        if now.to_string().len() > dropped.to_string().len() || (dropped == 0 && now > 0) {
            expected.push(now.to_string());
        }
        dropped = now;
    }
    assert!(dropped >= 1000, "{dropped}");
    let emitted = events.take();
    let seen: Vec<_> = emitted.iter().map(|it| it.field("dropped")).collect();
    assert_eq!(seen, expected);
    assert_eq!(seen, ["1", "10", "100", "1000"]);
    for event in &emitted {
        let line = "WARN netring::capture: packets are lost: the ring is full";
        assert_eq!(
            (event.line().as_str(), event.field("interface")),
            (line, "v1")
        );
    }
    // Without another loss there is no event, whoever reads.
    while let Timed::Batch(_) = capture
        .next_batch_timeout(Duration::from_millis(200))
        .unwrap()
    {}
    capture.stats().unwrap();
    assert_eq!(events.lines(), NONE);
}

/// A reader that never asks for statistics learns of the loss from the blocks.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_loss_that_only_blocks_announce_is_an_event_too() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let builder = Capture::builder().interface("v1");
    let mut capture = builder.block_size(64 << 10).block_count(2).build().unwrap();
    events.take();
    let sender = Sender::on("v0").unwrap();
    let send = |numbers: std::ops::Range<u64>| {
        numbers.for_each(|n| sender.send(&numbered(n, 1500)).unwrap());
    };
    send(0..500);
    let drain = |capture: &mut Capture| {
        while let Timed::Batch(_) = capture
            .next_batch_timeout(Duration::from_millis(200))
            .unwrap()
        {}
    };
    drain(&mut capture);
    // Blocks filled from now on have the flag.
    send(500..600);
    drain(&mut capture);
    let emitted = events.take();
    let dropped = capture.stats().unwrap().dropped;
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(
        Count::Exact(emitted[0].field("dropped").parse().unwrap()),
        dropped
    );
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_that_is_replaced_is_an_event_and_a_refused_one_is_not() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let mut capture = Capture::open("v1").unwrap();
    events.take();
    let filter: Filter = "udp port 53".parse().unwrap();
    capture.set_filter(&filter).unwrap();
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(emitted[0].line(), "INFO netring::capture: filter replaced");
    assert_eq!(emitted[0].field("filter"), filter.to_string());
    capture.remove_filter().unwrap();
    capture.remove_filter().unwrap();
    assert_eq!(events.lines(), ["INFO netring::capture: filter removed"; 2]);
    drop(capture);
    let builder = Capture::builder().interface("v1").lock_filter(true);
    let mut capture = builder.filter(&filter).build().unwrap();
    events.take();
    capture.remove_filter().unwrap_err();
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_injector_is_one_event_and_its_frames_are_none() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let mut injector = Injector::open("v0").unwrap();
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(emitted[0].line(), "INFO netring::injector: injector opened");
    assert_eq!(emitted[0].field("interface"), "v0");
    let ring = injector.ring();
    assert_eq!(emitted[0].field("ring_bytes"), ring.bytes().to_string());
    assert_eq!(
        emitted[0].field("zero_copy"),
        injector.is_zero_copy().to_string()
    );
    assert_eq!(emitted[0].field("qdisc_bypass"), "false");
    use netring::PacketSink;
    for n in 0..100 {
        assert!(injector.send(&numbered(n, 60)).unwrap());
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_bridge_is_an_event_at_the_begin_and_at_the_end_of_a_run() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let (events, _guard) = Collected::here();
    let mut bridge = Bridge::open("v1", "w1").unwrap();
    events.take();
    let sender = Sender::on("v0").unwrap();
    for n in 0..100 {
        sender.send(&numbered(n, 100)).unwrap();
    }
    let ends = [
        "INFO netring::bridge: the bridge runs",
        "INFO netring::bridge: the bridge rests",
    ];
    let end = Instant::now() + LIMIT;
    while bridge.stats().unwrap().a_to_b.forwarded < 100 {
        let run = bridge.run_for(Duration::from_millis(50), |_| Verdict::Forward);
        run.unwrap();
        assert_eq!(events.lines(), ends);
        assert!(Instant::now() < end, "{:?}", bridge.stats());
    }
    ip("link del v1").unwrap();
    let error = bridge.run(|_| Verdict::Forward).unwrap_err();
    let emitted = events.take();
    let lines: Vec<_> = emitted.iter().map(|it| it.line()).collect();
    let failed = "WARN netring::bridge: the bridge has failed";
    let ours: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("::bridge:"))
        .collect();
    assert_eq!(ours, [ends[0], failed, ends[1]]);
    let failed = emitted.iter().find(|it| it.line() == failed).unwrap();
    assert_eq!(failed.field("why"), error.to_string());
}

/// AF_XDP is rejected because diverting packets was not permitted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_rejected_attempt_of_auto_is_one_event() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (events, _guard) = Collected::here();
    let capture = auto::open("v1").unwrap();
    let emitted = events.take();
    let lines: Vec<_> = emitted.iter().map(|it| it.line()).collect();
    assert_eq!(lines, [OPENED, "INFO netring::auto: backend rejected"]);
    assert_eq!(emitted[1].field("interface"), "v1");
    let rejected: Vec<_> = capture
        .attempts()
        .iter()
        .filter(|it| it.why_not().is_some())
        .collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(emitted[1].field("attempt"), rejected[0].to_string());
}

/// The thread that follows the interfaces emits them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interfaces_that_join_and_return_are_one_event_each() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let events = Collected::default();
    let follower = events.clone();
    let (report, reports) = channel();
    let builder = Captures::builder(Capture::builder()).matching(move |interface| {
        // The thread ends with the captures.
        std::mem::forget(follower.on_this_thread());
        interface.name.starts_with("late") || interface.name == "v1"
    });
    let builder = builder.on_event(move |event| report.send(event.to_string()).unwrap());
    let _captures = builder.join(true).reopen(true).build().unwrap();
    let next = |expected: &str| assert_eq!(reports.recv_timeout(LIMIT).unwrap(), expected);
    events.take();
    veth("late0", "other0").unwrap();
    next("late0 has joined");
    let joined = "INFO netring::captures: interface joined";
    assert_eq!(events.lines(), [OPENED, joined]);
    ip("link del late0").unwrap();
    next("late0 was removed");
    veth("late0", "other0").unwrap();
    next("late0 has come back");
    let returned = "INFO netring::captures: interface returned";
    assert_eq!(events.lines(), [OPENED, returned]);
}

/// In a process of its own, whose memory is limited.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_ring_that_is_shorter_than_requested_is_an_event() {
    const CHILD: &str = "NETRING_EVENTS_SHORT_RING";
    let _ns = Netns::enter().unwrap();
    if std::env::var_os(CHILD).is_none() {
        let name = "events::a_ring_that_is_shorter_than_requested_is_an_event";
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args([name, "--exact", "--ignored", "--test-threads=1"]);
        let output = command.env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    veth("v0", "v1").unwrap();
    // Room for 24 MiB beyond the present use: of 64 blocks of 1 MiB, halving finds 16.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib: u64 = size
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    let limit = format!("--as={}", (kib << 10) + (24 << 20));
    let pid = format!("--pid={}", std::process::id());
    let limited = Command::new("prlimit").args([pid, limit]).status();
    assert!(limited.unwrap().success());
    let (events, _guard) = Collected::here();
    let builder = Capture::builder().interface("v1");
    let capture = builder.block_size(1 << 20).block_count(64).build().unwrap();
    let emitted = events.take();
    assert_eq!(emitted.len(), 2, "{emitted:?}");
    assert_eq!(
        emitted[1].line(),
        "WARN netring::capture: the ring is shorter than requested"
    );
    assert_eq!(emitted[1].field("requested_blocks"), "64");
    let blocks = capture.ring().block_count;
    assert!(blocks < 64, "{blocks}");
    assert_eq!(emitted[1].field("ring_blocks"), blocks.to_string());
}
