//! Captures over a wire: every packet delivered or counted, and what happens when the interface, the reader or the settings are not as
//! they should be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod common;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use common::*;
use netring_sys::{
    Count, Error, Interface, PacketBatch, PacketSink, PacketSource, Readiness, Stats, wait,
};
use netring_xdp::program::AttachMode;
use netring_xdp::{CaptureBuilder, Copying, Mode, RingSize, XdpCapture, XdpInjector};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, Sniffer, number, numbered};

fn builder(mode: AttachMode) -> CaptureBuilder {
    XdpCapture::builder()
        .interface("v0")
        .chunks(1024)
        .receive_ring(512)
        .attach_mode(mode)
}

/// Receives until `count` packets came, and hands each over.
fn take(capture: &mut XdpCapture, count: u64, mut f: impl FnMut(&[u8])) {
    let (mut got, deadline) = (0, Instant::now() + LIMIT);
    while got < count {
        assert!(Instant::now() < deadline, "{got} of {count} came");
        let Some(batch) = capture.next_batch(Duration::from_millis(100)).unwrap() else {
            continue;
        };
        for packet in batch.packets() {
            f(packet.data());
            got += 1;
        }
    }
    assert_eq!(got, count);
}

/// The numbers from `first` on came, in order and byte for byte.
fn take_numbered(capture: &mut XdpCapture, first: u64, count: u64, len: usize) {
    let mut next = first;
    take(capture, count, |packet| {
        assert_eq!(packet, numbered(next, len), "frame {next}");
        next += 1;
    });
}

fn all_there(capture: &XdpCapture) {
    for census in capture.census() {
        assert_eq!(census.total(), 1024, "{census}");
    }
}

/// offered = delivered + named losses, all of them exact.
fn adds_up(capture: &mut XdpCapture) -> Stats {
    let stats = capture.stats().unwrap();
    assert_eq!(stats.pending(), Some(0), "{stats:?}");
    all_there(capture);
    stats
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x6_a_loop_that_only_receives_gets_ten_times_its_ring_without_waiting() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(mode).receive_ring(64).chunks(1024).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        let mut next = 0;
        let deadline = Instant::now() + LIMIT;
        for n in 0..1024 {
            sender.send(&numbered(n, 90)).unwrap();
            if n % 32 != 31 {
                continue;
            }
            while next <= n {
                assert!(Instant::now() < deadline, "{next} came, and no more");
                // Neither poll nor any other wait.
                if capture.ready().unwrap() == Readiness::Ready {
                    for packet in capture.batch().packets() {
                        assert_eq!(packet.data(), numbered(next, 90));
                        next += 1;
                    }
                }
            }
        }
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.offered, stats.delivered),
            (Count::Exact(1024), Count::Exact(1024))
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x7_a_queue_can_be_opened_and_closed_a_hundred_times() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v1").unwrap();
    for n in 0..100 {
        let mode = MODES[n as usize % 2];
        let mut capture = builder(mode).build().unwrap();
        sender.send(&numbered(n, 64)).unwrap();
        take_numbered(&mut capture, n, 1, 64);
        drop(capture);
        assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x9_a_link_that_goes_down_is_told_within_a_second_and_packets_resume() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(mode).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        sender.send(&numbered(0, 64)).unwrap();
        take_numbered(&mut capture, 0, 1, 64);
        assert!(capture.next_batch(Duration::ZERO).unwrap().is_none());

        let start = Instant::now();
        ip("link set v0 down").unwrap();
        let told = capture.next_batch(LIMIT).map(|_| ()).unwrap_err();
        assert!(
            matches!(&told, Error::LinkDown { interface } if interface == "v0"),
            "{told}"
        );
        assert!(start.elapsed() < Duration::from_secs(1));
        // Once; and then it sleeps.
        let mut wakes = 0;
        let end = Instant::now() + Duration::from_millis(300);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            assert_eq!(capture.ready().unwrap(), Readiness::Empty);
            netring_sys::syscall::poll_readable(std::os::fd::AsFd::as_fd(&capture), Some(left))
                .unwrap();
            wakes += 1;
        }
        assert!(wakes <= 3, "{wakes} wake-ups in 300 ms of silence");

        ip("link set v0 up").unwrap();
        // The other end gets its queue back on its own time as well: what it sends before is dropped there.
        let up = |end| Interface::by_name(end).unwrap().is_up();
        while !up("v0") || !up("v1") {
            assert!(start.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(1));
        }
        sender.send(&numbered(1, 64)).unwrap();
        take_numbered(&mut capture, 1, 1, 64);
        assert_eq!(adds_up(&mut capture).link_downs, Count::Exact(1));

        // Gone for good: what came before is told first.
        sender.send(&numbered(2, 64)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        ip("link del v0").unwrap();
        take_numbered(&mut capture, 2, 1, 64);
        loop {
            match capture.next_batch(LIMIT) {
                Err(Error::LinkDown { .. }) => {}
                Err(Error::InterfaceRemoved { interface }) => break assert_eq!(interface, "v0"),
                other => panic!("{other:?}"),
            }
        }
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(matches!(
            capture.ready(),
            Err(Error::InterfaceRemoved { .. })
        ));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x11_a_capture_goes_on_past_its_fill_ring() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(mode).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        for from in (0..6000).step_by(100) {
            for n in from..from + 100 {
                sender.send(&numbered(n, 64 + n as usize % 1400)).unwrap();
            }
            let mut next = from;
            take(&mut capture, 100, |packet| {
                assert_eq!(packet, numbered(next, 64 + next as usize % 1400));
                next += 1;
            });
        }
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.delivered, stats.dropped),
            (Count::Exact(6000), Count::Exact(0))
        );
    }
}

/// A frame of 3000 bytes in chunks that hold 1792.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x14_a_packet_larger_than_a_chunk_is_counted_or_whole() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu 3400")).unwrap();
        }
        let sender = Sender::on("v1").unwrap();
        let mut capture = builder(mode).chunk_size(2048).build().unwrap();
        assert_eq!(capture.longest(), Some(1792));
        for n in 0..10 {
            sender
                .send(&numbered(n, if n % 2 == 0 { 3000 } else { 100 }))
                .unwrap();
        }
        let mut next = 1;
        take(&mut capture, 5, |packet| {
            assert_eq!(packet, numbered(next, 100));
            next += 2;
        });
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.offered, stats.dropped),
            (Count::Exact(10), Count::Exact(5))
        );
        drop(capture);

        let mut capture = builder(mode)
            .chunk_size(2048)
            .multi_buffer(true)
            .build()
            .unwrap();
        assert_eq!(capture.longest(), None);
        for from in (0..1000).step_by(50) {
            let len = |n: u64| {
                if n.is_multiple_of(3) {
                    100
                } else {
                    1700 + n as usize
                }
            };
            for n in from..from + 50 {
                sender.send(&numbered(n, len(n))).unwrap();
            }
            let mut next = from;
            take(&mut capture, 50, |packet| {
                assert_eq!(packet.len(), len(next), "frame {next}");
                assert_eq!(packet, numbered(next, len(next)), "frame {next}");
                next += 1;
            });
        }
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.offered, stats.delivered),
            (Count::Exact(1000), Count::Exact(1000))
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x15_fewer_queues_than_the_interface_has_are_refused_or_counted() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        ip("link add v0 numrxqueues 2 numtxqueues 2 type veth peer name v1 numrxqueues 2 numtxqueues 2").unwrap();
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} addrgenmode none")).unwrap();
            ip(&format!("link set {end} up")).unwrap();
        }
        assert_eq!(Interface::by_name("v0").unwrap().rx_queues, 2);
        let refused = builder(mode).queues([0]).build().unwrap_err().to_string();
        assert!(
            refused.contains("1 of the 2 that v0 spreads its packets over"),
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
        assert!(refused(&[]).contains("one at the least"));
        assert!(refused(&[0, 0]).contains("each can be asked for once"));

        // All of them: packets of many flows come through both, and each is there.
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

        // One of them, which is meant: the others are counted.
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
    ip("link add v0 numrxqueues 2 numtxqueues 2 type veth peer name v1 numrxqueues 2 numtxqueues 2").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set {end} addrgenmode none")).unwrap();
        ip(&format!("link set {end} up")).unwrap();
    }
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
                    ControlFlow::<()>::Continue(())
                });
                assert_eq!(end.unwrap(), None);
                let stats = worker.stats().unwrap();
                assert_eq!(stats.delivered, Count::Exact(got.len() as u64));
                assert_eq!(stats.pending(), Some(0));
                got
            })
        })
        .collect();
    (0..200).for_each(|n| sender.send(&frame(n)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    // The program is there until the last of them goes.
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
fn x16_promiscuous_mode_is_set_and_undone() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    // What the interface itself counts, and not the flag that an administrator set.
    let promiscuous = || {
        let shown = std::process::Command::new("ip")
            .args(["-d", "link", "show", "v0"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&shown.stdout).contains("promiscuity 1")
    };
    assert!(!promiscuous());
    let capture = builder(AttachMode::Native).build().unwrap();
    assert!(!capture.is_promiscuous() && !promiscuous());
    drop(capture);
    let capture = builder(AttachMode::Native)
        .promiscuous(true)
        .build()
        .unwrap();
    assert!(capture.is_promiscuous() && promiscuous());
    drop(capture);
    assert!(!promiscuous());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x17_a_stop_wakes_a_reader_within_50_ms() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut capture = builder(AttachMode::Native).build().unwrap();
    let stop = capture.stop_handle();
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let end = capture.next_batch(None).map(|_| ());
        sender.send(Instant::now()).unwrap();
        assert!(matches!(end, Err(Error::Closed)), "{end:?}");
        assert_eq!(capture.ready().unwrap(), Readiness::Ended);
    });
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    stop.stop();
    let woken = receiver.recv_timeout(LIMIT).unwrap();
    assert!(woken - start < Duration::from_millis(50));
    reader.join().unwrap();
}

/// Starved of chunks, starved of ring entries: each lost packet is counted once, and the sum is what was sent.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x18_starvation_counts_each_packet_once() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let sender = Sender::on("v1").unwrap();
        // 64 chunks, and a receive ring that would hold more; nobody reads.
        let mut capture = builder(mode).chunks(64).receive_ring(512).build().unwrap();
        for n in 0..200 {
            sender.send(&numbered(n, 64)).unwrap();
        }
        take_numbered(&mut capture, 0, 64, 64);
        let stats = capture.stats().unwrap();
        assert_eq!(stats.pending(), Some(0), "{stats:?}");
        assert_eq!(
            (stats.offered, stats.dropped),
            (Count::Exact(200), Count::Exact(136))
        );
        let socket = capture.socket_stats().unwrap()[0].1;
        assert_eq!((socket.no_chunk, socket.ring_full), (136, 0));
        assert_eq!(
            socket.fill_ring_empty, 136,
            "attempts, which are no packets of their own"
        );
        drop(capture);

        // A receive ring of 64, and more chunks.
        let mut capture = builder(mode).chunks(1024).receive_ring(64).build().unwrap();
        for n in 0..200 {
            sender.send(&numbered(n, 64)).unwrap();
        }
        take_numbered(&mut capture, 0, 64, 64);
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.offered, stats.dropped),
            (Count::Exact(200), Count::Exact(136))
        );
        let socket = capture.socket_stats().unwrap()[0].1;
        assert_eq!((socket.no_chunk, socket.ring_full), (0, 136));
        // And it goes on.
        sender.send(&numbered(200, 64)).unwrap();
        take_numbered(&mut capture, 200, 1, 64);
        adds_up(&mut capture);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x20_the_mode_that_was_reached_is_told_and_why_it_is_not_better() {
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
        .copying(Copying::Copy)
        .build()
        .unwrap();
    assert_eq!(generic.mode(), Mode::GenericCopy);
    // Nothing better was asked for.
    assert!(generic.why_not_zero_copy().is_none());
    drop(generic);
    let refused = builder(AttachMode::Native)
        .copying(Copying::ZeroCopy)
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
fn s7_a_loop_that_is_left_goes_on_with_the_next_packet() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut capture = builder(AttachMode::Native).build().unwrap();
    let sender = Sender::on("v1").unwrap();
    for n in 0..50 {
        sender.send(&numbered(n, 64)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    for wanted in 0..40 {
        let got = capture.for_each(|packet| ControlFlow::Break(number(packet.data()).unwrap()));
        assert_eq!(got.unwrap(), Some(wanted));
        all_there(&capture);
    }
    take_numbered(&mut capture, 40, 10, 64);
    assert_eq!(adds_up(&mut capture).delivered, Count::Exact(50));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_says_its_queue_its_interface_and_its_clock() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut capture = builder(AttachMode::Native).build().unwrap();
    let before = netring_sys::Timestamp::now();
    Sender::on("v1").unwrap().send(&numbered(7, 64)).unwrap();
    let batch = capture.next_batch(LIMIT).unwrap().unwrap();
    let packet = batch.packets().next().unwrap();
    assert_eq!(packet.queue(), Some(0));
    assert_eq!(packet.interface(), Interface::by_name("v0").unwrap().index);
    assert_eq!(packet.timestamp().clock(), netring_sys::Clock::Process);
    assert!(packet.timestamp() >= before && packet.timestamp() <= netring_sys::Timestamp::now());
    assert_eq!(packet.link_type(), netring_sys::LinkType::ETHERNET);
}

/// One socket for both: a capture and an injector of one queue.
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
    // By itself, an injector does not get the queue.
    let refused = XdpInjector::open("v0").unwrap_err().to_string();
    assert!(
        refused.contains("queue 0 of v0 has an AF_XDP socket already"),
        "{refused}"
    );
    assert_eq!(injector.stats().unwrap().committed, 50);
}
