//! An injector whose frames find no room: in the queue of the interface, in the send buffer, in the
//! ring. And one that sends for a long time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{CopyMode, Injector};
use netring_sys::{Count, Error, Interface, Namespace, PacketSink, wait};
use xtask::netns::{Netns, tc, veth};
use xtask::wire::{Sniffer, number, numbered};

use crate::inject::{LIMIT, MODES, SILENCE, all_sent, builder, until};

fn sent(injector: &mut Injector) -> u64 {
    injector.stats().unwrap().sent.exact().unwrap()
}

/// A queue that holds one packet and drains at 8 Mbit/s: most attempts fail, and the receiver
/// counts what we count, in order.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p21_a_full_queue_is_back_pressure_and_the_receiver_counts_what_we_count() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    tc("qdisc add dev v0 root handle 1: tbf rate 8mbit burst 1600 limit 1600").unwrap();
    tc("qdisc add dev v0 parent 1:1 handle 2: pfifo limit 1").unwrap();
    for mode in MODES {
        let mut injector = builder(mode).slots(32).build().unwrap();
        let mut seen = 0;
        for n in 0..400 {
            assert!(wait::send(&mut injector, &numbered(n, 1000), LIMIT.into()).unwrap());
            let stats = injector.stats().unwrap();
            let counted = sent(&mut injector) + stats.pending;
            assert_eq!((stats.committed, counted), (n + 1, n + 1));
            assert_eq!(stats.dropped, Count::Exact(0));
            while seen + 40 < n {
                assert_eq!(
                    number(&sniffer.receive(LIMIT).unwrap().unwrap()),
                    Some(seen)
                );
                seen += 1;
            }
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for n in seen..400 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 1000)));
        }
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
        all_sent(&mut injector, 400);
    }
}

/// The queue accepts a few frames and then nothing more: `flush` does not block, the ring fills, a
/// drain ends at its timeout, and the remaining frames can be discarded. The ring works afterwards.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s4_what_a_stalled_queue_does_not_take_stays_in_the_ring_until_it_is_taken_back() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        tc("qdisc replace dev v0 root tbf rate 8bit burst 1600 limit 3200").unwrap();
        let mut injector = builder(mode).slots(32).build().unwrap();
        for n in 0..32 {
            assert!(injector.send(&numbered(n, 1000)).unwrap());
        }
        assert!(!injector.send(&numbered(32, 1000)).unwrap());
        let start = Instant::now();
        let left = injector.flush().unwrap();
        assert_eq!(injector.flush().unwrap(), left);
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!((28..32).contains(&left), "{left}");
        let in_flight = injector.drain(Duration::from_millis(50)).unwrap();
        assert!(in_flight >= left as u64);
        assert!(
            !wait::send(&mut injector, &[0; 60], Some(Duration::ZERO)).unwrap() || in_flight < 32
        );
        let discarded = injector.discard();
        assert!(discarded >= left as u64);
        // The queue's content is sent or dropped with it; then the slots are free.
        tc("qdisc del dev v0 root").unwrap();
        until(|| injector.pending().unwrap() == 0);
        let stats = injector.stats().unwrap();
        assert_eq!(stats.dropped, Count::Exact(discarded));
        assert_eq!(stats.sent, Count::Exact(stats.committed - discarded));
        while sniffer.receive(SILENCE).unwrap().is_some() {}
        // Three rounds through the ring.
        for n in 0..96 {
            assert!(wait::send(&mut injector, &numbered(n, 100), LIMIT.into()).unwrap());
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for n in 0..96 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
        }
    }
}

/// The send buffer of a socket holds a few hundred frames; the ring holds more.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s4_a_partial_kick_leaves_the_rest_and_the_next_flush_goes_on() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    // Delays all of them, so that they fill the buffer.
    tc("qdisc add dev v0 root tbf rate 10mbit burst 1600 limit 1000000").unwrap();
    for mode in MODES {
        let before = Interface::by_name("v1").unwrap().counters.rx_packets;
        let mut injector = builder(mode).slots(2048).build().unwrap();
        for n in 0..2048 {
            assert!(injector.send(&numbered(n, 60)).unwrap());
        }
        let left = injector.flush().unwrap();
        assert!((1..2048).contains(&left), "{left}");
        let stats = injector.stats().unwrap();
        assert!(
            stats.pending >= left as u64 && stats.dropped == Count::Exact(0),
            "{stats}"
        );
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        let received = || Interface::by_name("v1").unwrap().counters.rx_packets - before;
        until(|| received() == 2048);
        all_sent(&mut injector, 2048);
    }
}

/// The kernel keeps the pages of frames that it accepted, even after the ring is unmapped.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_dropped_injector_sends_what_the_kernel_has_taken_byte_for_byte() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    tc("qdisc add dev v0 root tbf rate 4mbit burst 1600 limit 100000").unwrap();
    for mode in MODES {
        for round in 0..3 {
            let mut injector = builder(mode).slots(64).build().unwrap();
            for n in 0..50 {
                let number = round * 100 + n;
                assert!(injector.send(&numbered(number, 1000)).unwrap());
            }
            assert_eq!(injector.flush().unwrap(), 0);
            assert!(injector.pending().unwrap() > 0, "nothing is in flight");
            // These are only committed, and lost with the ring.
            assert!(injector.send(&numbered(9999, 1000)).unwrap());
            drop(injector);
            for n in 0..50 {
                let expected = numbered(round * 100 + n, 1000);
                assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(expected));
            }
            assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
        }
    }
}

/// Traffic control never accepts a frame: those behind it are not stuck forever.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_frame_that_traffic_control_never_lets_through_can_be_discarded() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    // No packet longer than the burst ever passes.
    tc("qdisc add dev v0 root tbf rate 8mbit burst 500 limit 100000").unwrap();
    let mut injector = builder(CopyMode::Copy).build().unwrap();
    let bad = numbered(1, 1000);
    assert!(injector.send(&numbered(0, 60)).unwrap());
    assert!(injector.send(&bad).unwrap());
    assert!(injector.send(&numbered(2, 60)).unwrap());
    assert_eq!(injector.drain(Duration::from_millis(50)).unwrap(), 2);
    assert_eq!(injector.discard(), 2);
    assert!(injector.send(&numbered(3, 60)).unwrap());
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    for n in [0, 3] {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 60)));
    }
    let stats = injector.stats().unwrap();
    assert_eq!(
        (stats.sent, stats.dropped),
        (Count::Exact(2), Count::Exact(2))
    );
}

/// Timestamps of every frame, for many rounds of the ring, including frames that were tried twice.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p22_the_ring_goes_on_with_timestamps_and_each_frame_gets_its_own() {
    use netring_afpacket::TimestampSource;
    use netring_sys::{Clock, PacketSlot};

    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let received = || Interface::by_name("v1").unwrap().counters.rx_packets;
    for (mode, source) in [
        (CopyMode::Copy, TimestampSource::Software),
        (CopyMode::ZeroCopy, TimestampSource::RawHardware),
    ] {
        let before = received();
        let builder = builder(mode).slots(32).transmit_timestamps(source);
        let mut injector = builder.build().unwrap();
        let (mut last, mut next) = (None, 0);
        for n in 0..2000 {
            while injector.slot(60).unwrap().is_none() {
                injector.flush().unwrap();
            }
            let mut slot = injector.slot(60).unwrap().unwrap();
            slot.copy_from_slice(&numbered(n, 60));
            if n % 3 == 0 {
                slot.request_timestamp(n).unwrap();
            }
            slot.commit();
            for (id, time) in injector.transmit_timestamps() {
                assert_eq!(id, next);
                next += 3;
                assert_eq!(time.clock(), Clock::Software);
                assert!(last <= Some(time.as_nanos()));
                last = Some(time.as_nanos());
            }
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        let rest = injector.transmit_timestamps().count() as u64;
        assert_eq!(next / 3 + rest, 667);
        let stats = injector.timestamp_stats();
        assert_eq!((stats.requested, stats.delivered), (667, 667));
        assert_eq!((stats.absent, stats.lost, stats.pending), (0, 0, 0));
        assert_eq!(received() - before, 2000);
        all_sent(&mut injector, 2000);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age = now.unwrap().as_nanos() as i64 - last.unwrap();
        assert!((0..60_000_000_000).contains(&age), "{age} ns");
    }
    // A full queue makes the kernel number frames twice.
    tc("qdisc add dev v0 root handle 1: tbf rate 8mbit burst 1600 limit 1600").unwrap();
    tc("qdisc add dev v0 parent 1:1 handle 2: pfifo limit 1").unwrap();
    let builder = builder(CopyMode::Copy).slots(32);
    let mut injector = builder
        .transmit_timestamps(TimestampSource::Software)
        .build()
        .unwrap();
    let start = Instant::now();
    let (mut ids, mut times) = (Vec::new(), Vec::new());
    for n in 0..100 {
        while injector.slot(1000).unwrap().is_none() {
            injector.flush().unwrap();
            thread::sleep(Duration::from_micros(200));
        }
        let mut slot = injector.slot(1000).unwrap().unwrap();
        slot.request_timestamp(n).unwrap();
        slot.commit();
        for (id, time) in injector.transmit_timestamps() {
            ids.push(id);
            times.push(time.as_nanos());
        }
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    for (id, time) in injector.transmit_timestamps() {
        ids.push(id);
        times.push(time.as_nanos());
    }
    assert!(ids.iter().copied().eq(0..100), "{ids:?}");
    // They left a millisecond apart, as the shaper lets them.
    let apart = times
        .windows(2)
        .filter(|two| two[1] - two[0] > 300_000)
        .count();
    assert!(apart > 50, "{apart} of {}", times.len());
    assert!(start.elapsed() >= Duration::from_millis(90));
    let mut none = Injector::open("v0").unwrap();
    let refused = none.slot(60).unwrap().unwrap().request_timestamp(1);
    assert!(matches!(refused, Err(Error::Request { .. })));
}

/// Ten seconds at full rate, in both modes at once, with an interface that comes and goes.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn ten_seconds_at_full_rate_lose_and_double_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let before = Interface::by_name("v1").unwrap().counters;
    let mut injectors = MODES.map(|mode| builder(mode).slots(256).build().unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    let mut n = 0;
    while Instant::now() < end {
        for injector in &mut injectors {
            let frame = numbered(n, 60 + n as usize % 1455);
            assert!(wait::send(injector, &frame, LIMIT.into()).unwrap());
        }
        n += 1;
    }
    let mut total = 0;
    for injector in &mut injectors {
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        all_sent(injector, n);
        total += n;
    }
    let received = || Interface::by_name("v1").unwrap().counters.rx_packets - before.rx_packets;
    until(|| received() >= total);
    assert_eq!(received(), total);
    assert!(n > 2000, "{n}");
}

/// Without capabilities, with wrong names, and with settings out of range.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_injector_that_cannot_be_opened_says_why() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let fails = |builder: netring_afpacket::InjectorBuilder| builder.build().unwrap_err();
    assert!(
        matches!(fails(Injector::builder("v9")), Error::NoSuchInterface { name, .. } if name == "v9")
    );
    let settings = [
        ("interface", Injector::builder("")),
        ("slots", Injector::builder("v0").slots(0)),
        ("slots", Injector::builder("v0").slots(usize::MAX)),
        ("slot_size", Injector::builder("v0").slot_size(48)),
        ("slot_size", Injector::builder("v0").slot_size(2050)),
        ("slot_size", Injector::builder("v0").slot_size(34_000)),
        (
            "slot_size",
            Injector::builder("v0").slot_size(usize::MAX - 15),
        ),
        ("block_size", Injector::builder("v0").block_size(1000)),
        ("block_size", Injector::builder("v0").block_size(0)),
        (
            "block_size",
            Injector::builder("v0").slot_size(8192).block_size(4096),
        ),
    ];
    for (expected, builder) in settings {
        let error = fails(builder);
        assert!(
            matches!(&error, Error::Config { setting, .. } if *setting == expected),
            "{expected}: {error}"
        );
    }
    assert!(!Injector::open("v0").unwrap().is_zero_copy());
    // Requests that the builder did not enable.
    let mut plain = Injector::open("v0").unwrap();
    let mut slot = plain.slot(100).unwrap().unwrap();
    assert!(slot.request_checksum(34, 6).is_err());
    assert!(
        slot.request_segmentation(netring_afpacket::Segmentation::Udp, 42, 20)
            .is_err()
    );
}

/// The thread stays in its namespace, and the injector in the other one after the thread has left.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_injector_is_opened_in_another_namespace() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let there = Namespace::current().unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    thread::spawn(move || {
        let _elsewhere = Netns::enter().unwrap();
        assert!(Injector::open("v0").is_err());
        let builder = Injector::builder("v0").namespace(there);
        let mut injector = builder.build().unwrap();
        for n in 0..40 {
            assert!(injector.send(&numbered(n, 60)).unwrap());
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        all_sent(&mut injector, 40);
        assert!(Interface::by_name("v0").is_err());
    })
    .join()
    .unwrap();
    for n in 0..40 {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 60)));
    }
}
