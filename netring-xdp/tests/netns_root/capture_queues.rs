//! The queues and the mode of a capture: which were opened, and the queue that each packet reports.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::collections::HashMap;
use std::time::Duration;

use common::capture::*;
use common::*;
use netring_sys::{Count, Error, Interface, PacketBatch, PacketSink, PacketSource, wait};
use netring_xdp::program::AttachMode;
use netring_xdp::{CopyMode, Mode, RingSize, XdpCapture, XdpInjector};
use xtask::netns::{Netns, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, numbered};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x15_fewer_queues_than_the_interface_has_are_refused_or_counted() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth_with_queues("v0", "v1", 2).unwrap();
        assert_eq!(Interface::by_name("v0").unwrap().rx_queues, 2);
        let refused = builder(mode).queues([0]).build().unwrap_err().to_string();
        assert!(
            refused.contains("1 of 2: v0 spreads its packets over all"),
            "{refused}"
        );
        assert!(refused.contains("ethtool -L v0 combined 1"), "{refused}");
        let refused = |queues: &[u32]| {
            let queues = queues.iter().copied();
            builder(mode)
                .queues(queues)
                .partial(true)
                .build()
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[2]).contains("has 2, numbered from 0"));
        assert!(refused(&[]).contains("at least one queue"));
        assert!(refused(&[0, 0]).contains("names a queue twice"));

        // All queues: packets of many flows arrive on both, and none is missing.
        let sender = Sender::on("v1").unwrap();
        let frame = |n: u16| xtask::wire::udp4(n, 9, &n.to_be_bytes().repeat(20));
        let mut capture = builder(mode).build().unwrap();
        assert_eq!(capture.queues().collect::<Vec<_>>(), [0, 1]);
        let mut left: HashMap<Vec<u8>, ()> = (0..200).map(|n| (frame(n), ())).collect();
        (0..200).for_each(|n| sender.send(&frame(n)).unwrap());
        take(&mut capture, 200, |packet| {
            left.remove(packet)
                .expect("each comes once, as it was sent");
        });
        let stats = adds_up(&mut capture);
        assert_eq!(stats.offered, Count::Exact(200));
        let each: Vec<_> = capture
            .socket_stats()
            .unwrap()
            .iter()
            .map(|(_, stats)| stats.delivered)
            .collect();
        drop(capture);

        // One of two queues, on purpose: packets of the other are counted.
        let mut capture = builder(mode).queues([1]).partial(true).build().unwrap();
        (0..200).for_each(|n| sender.send(&frame(n)).unwrap());
        take(&mut capture, each[1], |_| {});
        let counted = capture.program_counters().unwrap().unwrap();
        assert_eq!((counted.redirected, counted.missed), (each[1], each[0]));
        assert_eq!(each[0] + each[1], 200);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_queue_has_a_worker() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let capture = builder(AttachMode::Native).build().unwrap();
    let mut workers = capture.into_workers().unwrap();
    assert_eq!(workers.len(), 2);
    let stops: Vec<_> = workers.iter().map(XdpCapture::stop_handle).collect();
    let sender = Sender::on("v1").unwrap();
    let frame = |n: u16| xtask::wire::udp4(n, 9, &n.to_be_bytes().repeat(20));
    let threads: Vec<_> = workers
        .drain(..)
        .map(|mut worker| {
            std::thread::spawn(move || {
                let mut got = Vec::new();
                let end = worker.for_each(|packet| {
                    got.push(packet.data().to_vec());
                });
                end.unwrap();
                let stats = worker.stats().unwrap();
                assert_eq!(stats.delivered, Count::Exact(got.len() as u64));
                assert_eq!(stats.pending(), Some(0));
                got
            })
        })
        .collect();
    (0..200).for_each(|n| sender.send(&frame(n)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    // The program stays until the last capture is dropped.
    assert!(Interface::by_name("v0").unwrap().xdp.is_some());
    stops.iter().for_each(|stop| stop.stop());
    let mut got: Vec<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    got.sort();
    let mut sent: Vec<_> = (0..200).map(frame).collect();
    sent.sort();
    assert_eq!(got, sent);
    assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x20_the_mode_reached_is_reported_with_the_reason_it_is_not_better() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let best = builder(AttachMode::BestAvailable).build().unwrap();
    assert_eq!(best.mode(), Mode::NativeCopy);
    assert_eq!(best.mode().to_string(), "native, copy");
    assert!(best.why_not_native().is_none());
    let why = best.why_not_zero_copy().unwrap();
    assert!(why.source.to_string().contains("not supported"), "{why:?}");
    drop(best);
    let generic = builder(AttachMode::Generic)
        .copy_mode(CopyMode::Copy)
        .build()
        .unwrap();
    assert_eq!(generic.mode(), Mode::GenericCopy);
    // Nothing better was asked for.
    assert!(generic.why_not_zero_copy().is_none());
    drop(generic);
    let refused = builder(AttachMode::Native)
        .copy_mode(CopyMode::ZeroCopy)
        .build()
        .unwrap_err();
    let Error::Syscall(refused) = refused else {
        panic!("{refused}")
    };
    assert_eq!(refused.call, "bind(AF_XDP)");
    assert!(Mode::ZeroCopy < Mode::NativeCopy && Mode::NativeCopy < Mode::GenericCopy);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_says_its_queue_its_interface_and_its_clock() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut capture = builder(AttachMode::Native).build().unwrap();
    let before = netring_sys::Timestamp::now();
    Sender::on("v1").unwrap().send(&numbered(7, 64)).unwrap();
    let batch = capture.next_batch_timeout(LIMIT).unwrap().batch().unwrap();
    let packet = batch.packets().next().unwrap();
    assert_eq!(packet.queue(), Some(0));
    assert_eq!(packet.interface(), Interface::by_name("v0").unwrap().index);
    assert_eq!(packet.timestamp().clock(), netring_sys::Clock::Process);
    assert!(packet.timestamp() >= before && packet.timestamp() <= netring_sys::Timestamp::now());
    assert_eq!(packet.link_type(), netring_sys::LinkType::ETHERNET);
}

/// One socket for both: a capture and an injector on one queue.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_and_an_injector_share_a_queue() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (mut capture, mut injector) = builder(AttachMode::Native)
        .build_with_injector(RingSize::new(256).unwrap())
        .unwrap();
    let sender = Sender::on("v1").unwrap();
    for n in 0..50 {
        sender.send(&numbered(n, 64)).unwrap();
    }
    let sniffer = Sniffer::on("v1").unwrap();
    take_numbered(&mut capture, 0, 50, 64);
    for n in 0..50 {
        assert!(wait::send(&mut injector, &numbered(n, 64), Some(LIMIT)).unwrap());
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    sniff_numbered(&sniffer, 50, 64);
    let census = injector.census();
    assert_eq!(
        (census.total(), census.fill),
        (1024 + 256, 1024),
        "{census}"
    );
    // An injector cannot open the queue separately.
    let refused = XdpInjector::open("v0").unwrap_err().to_string();
    assert!(
        refused.contains("queue 0 of v0 already has an AF_XDP socket"),
        "{refused}"
    );
    assert_eq!(injector.stats().unwrap().committed, 50);
}
