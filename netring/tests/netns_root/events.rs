//! Events for `tracing` of AF_XDP: each once, with its fields.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use netring::{Count, PacketSource, Timed, XdpCapture, XdpInjector};
use std::time::Duration;
use xtask::netns::{Netns, veth_with_queues};
use xtask::wire::{Sender, numbered};

use crate::collect::Collected;

const NONE: [&str; 0] = [];

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_xdp_capture_is_one_event_and_its_packets_are_none() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let (events, _guard) = Collected::here();
    let mut capture = XdpCapture::open("v1").unwrap();
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(
        emitted[0].line(),
        "INFO netring::capture: XDP capture opened"
    );
    assert_eq!(emitted[0].field("interface"), "v1");
    assert_eq!(emitted[0].field("queues"), "2");
    assert_eq!(emitted[0].field("mode"), capture.mode().to_string());
    let metadata = capture.has_metadata().to_string();
    assert_eq!(emitted[0].field("metadata"), metadata);
    assert_eq!(emitted[0].field("link_up"), "true");
    let sender = Sender::on("v0").unwrap();
    for n in 0..1000 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    let mut received = 0;
    while received < 1000 {
        let found = capture.next_batch_timeout(Duration::from_secs(10)).unwrap();
        let Timed::Batch(batch) = found else {
            panic!("{received}");
        };
        received += netring::PacketBatch::packets(&batch).count();
    }
    assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
    assert_eq!(events.lines(), NONE);
}

/// The statistics show it, whenever they are read.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_loss_of_an_xdp_capture_is_one_event_until_it_has_another_digit() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 1).unwrap();
    let (events, _guard) = Collected::here();
    let mut capture = XdpCapture::open("v1").unwrap();
    events.take();
    let sender = Sender::on("v0").unwrap();
    let mut sent = 0;
    // Nobody reads, so the ring fills up.
    while capture.stats().unwrap().dropped.value().unwrap() < 10 {
        sender.send(&numbered(sent, 60)).unwrap();
        sent += 1;
        assert!(sent < 100_000);
    }
    let emitted = events.take();
    let dropped: Vec<_> = emitted.iter().map(|it| it.field("dropped")).collect();
    assert_eq!(dropped, ["1", "10"]);
    assert_eq!(
        emitted[0].line(),
        "WARN netring::capture: packets are lost: a ring of AF_XDP is full"
    );
    capture.stats().unwrap();
    assert_eq!(events.lines(), NONE);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_xdp_injector_is_one_event() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let (events, _guard) = Collected::here();
    let injector = XdpInjector::builder("v0").queue(1).build().unwrap();
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(
        emitted[0].line(),
        "INFO netring::injector: XDP injector opened"
    );
    assert_eq!(emitted[0].field("interface"), "v0");
    assert_eq!(emitted[0].field("queue"), "1");
    let zero_copy = injector.is_zero_copy().to_string();
    assert_eq!(emitted[0].field("zero_copy"), zero_copy);
}
