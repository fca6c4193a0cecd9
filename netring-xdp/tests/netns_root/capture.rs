//! Captures over a wire: every packet is delivered or counted, also if the interface goes down, the
//! reader is slow or a setting is wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use common::capture::*;
use common::*;
use netring_sys::{Count, Error, Interface, Membership, PacketBatch, PacketSource, Readiness};
use netring_xdp::Profile;
use netring_xdp::program::AttachMode;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered};

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
fn x9_a_link_down_is_reported_within_a_second_and_packets_resume() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(mode).build().unwrap();
        let sender = Sender::on("v1").unwrap();
        sender.send(&numbered(0, 64)).unwrap();
        take_numbered(&mut capture, 0, 1, 64);
        assert!(
            capture
                .next_batch_timeout(Duration::ZERO)
                .unwrap()
                .is_timed_out()
        );

        let start = Instant::now();
        ip("link set v0 down").unwrap();
        let reported = capture.wait(Some(LIMIT)).unwrap_err();
        assert!(
            matches!(&reported, Error::LinkDown { interface, .. } if interface == "v0"),
            "{reported}"
        );
        assert!(start.elapsed() < Duration::from_secs(1));
        // It is woken once, and then sleeps.
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
        // The other end gets its queue back a little later as well, and drops what it sends before
        // that.
        let up = |end| Interface::by_name(end).unwrap().is_up();
        while !up("v0") || !up("v1") {
            assert!(start.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(1));
        }
        sender.send(&numbered(1, 64)).unwrap();
        take_numbered(&mut capture, 1, 1, 64);
        assert_eq!(adds_up(&mut capture).link_downs, Count::Exact(1));

        // Removed: what came before is delivered first.
        sender.send(&numbered(2, 64)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        ip("link del v0").unwrap();
        take_numbered(&mut capture, 2, 1, 64);
        match capture.next_batch_timeout(LIMIT) {
            Err(Error::InterfaceRemoved { interface }) => assert_eq!(interface, "v0"),
            other => panic!("{other:?}"),
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
        let open = || builder(mode).chunk_size(2048);
        let mut capture = open().multi_buffer(false).build().unwrap();
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

        let mut capture = open().build().unwrap();
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
fn x16_promiscuous_mode_is_set_and_undone() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    // The interface's own counter of promiscuous users, not the flag that an administrator sets.
    let promiscuous = || {
        let shown = std::process::Command::new("ip")
            .args(["-d", "link", "show", "v0"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&shown.stdout).contains("promiscuity 1")
    };
    assert!(!promiscuous());
    let capture = builder(AttachMode::Native).build().unwrap();
    assert!(capture.memberships().is_empty() && !promiscuous());
    drop(capture);
    let capture = builder(AttachMode::Native)
        .promiscuous(true)
        .build()
        .unwrap();
    assert!(capture.memberships() == [Membership::Promiscuous] && promiscuous());
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
        let end = capture.next_batch().map(|batch| batch.is_none());
        sender.send(Instant::now()).unwrap();
        assert!(matches!(end, Ok(true)), "{end:?}");
        assert_eq!(capture.ready().unwrap(), Readiness::Ended);
    });
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    stop.stop();
    let woken = receiver.recv_timeout(LIMIT).unwrap();
    assert!(woken - start < Duration::from_millis(50));
    reader.join().unwrap();
}

/// Without chunks, or without ring entries, each lost packet is counted once, and the sum equals
/// what was sent.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x18_starvation_counts_each_packet_once() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let sender = Sender::on("v1").unwrap();
        // 64 chunks and a receive ring that would hold more; nobody reads.
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

        // A receive ring of 64 entries and more chunks.
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
        // It goes on afterwards.
        sender.send(&numbered(200, 64)).unwrap();
        take_numbered(&mut capture, 200, 1, 64);
        adds_up(&mut capture);
    }
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
        let got = capture.try_for_each(|packet| ControlFlow::Break(number(packet.data()).unwrap()));
        assert_eq!(got.unwrap(), Some(wanted));
        all_there(&capture);
    }
    take_numbered(&mut capture, 40, 10, 64);
    assert_eq!(adds_up(&mut capture).delivered, Count::Exact(50));
}

/// The census counts the chunks, and a reader that pauses loses what the ring cannot hold.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_profile_sizes_the_ring_and_its_chunks() {
    for (profile, ring, chunks) in [
        (Profile::Default, 2048, 4096),
        (Profile::LowMemory, 512, 1024),
        (Profile::HighThroughput, 8192, 16_384),
    ] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let mut capture = builder(AttachMode::Native)
            .profile(profile)
            .build()
            .unwrap();
        assert_eq!(capture.census()[0].total(), chunks, "{profile:?}");
        let sender = Sender::on("v1").unwrap();
        for n in 0..ring + 100 {
            sender.send(&numbered(n, 60)).unwrap();
        }
        take_numbered(&mut capture, 0, ring, 60);
        let stats = capture.stats().unwrap();
        assert_eq!(
            (stats.offered, stats.delivered, stats.dropped),
            (
                Count::Exact(ring + 100),
                Count::Exact(ring),
                Count::Exact(100)
            ),
            "{profile:?}"
        );
    }
}
