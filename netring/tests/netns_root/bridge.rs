//! Bridges over AF_XDP: without a copy between two interfaces, and mixed with packet sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, BridgeStats, Port, Side, Step, Verdict, Way, XdpBridge};
use netring::{Count, Error, Interface, XdpMode};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, number, numbered};

use crate::hosts::{converse, hosts};

const LIMIT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(50);

fn wires() {
    veth("a1", "a0").unwrap();
    veth("b0", "b1").unwrap();
}

#[track_caller]
fn settled(stats: &BridgeStats) {
    for way in [&stats.a_to_b, &stats.b_to_a] {
        assert_eq!(way.received + way.split, way.accounted(), "{way}");
        assert_eq!(way.pending(), 0, "{way}");
    }
}

/// Runs until the condition holds.
#[track_caller]
fn run_until(
    bridge: &mut XdpBridge<'_>,
    mut is_so: impl FnMut(&BridgeStats) -> bool,
) -> BridgeStats {
    let end = Instant::now() + LIMIT;
    loop {
        let forward = |_, _: &mut [u8]| Verdict::Forward;
        bridge.run_for(Duration::from_millis(5), forward).unwrap();
        let stats = bridge.stats().unwrap();
        if is_so(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "{stats}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_frames_are_forwarded_from_where_they_were_received() {
    let _ns = Netns::enter().unwrap();
    for queues in [1, 2] {
        veth_with_queues("a1", "a0", queues).unwrap();
        veth_with_queues("b0", "b1", 1).unwrap();
        let senders = ["a1", "b1"].map(|name| Sender::on(name).unwrap());
        XdpBridge::scope("a0", "b0", |bridge| {
            assert_eq!(bridge.mode(Side::A), XdpMode::Native);
            let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
            // More than there are chunks; a plain socket has room for few frames.
            for round in 0..150 {
                for n in round * 20..round * 20 + 20 {
                    senders[0]
                        .send(&numbered(n, 60 + n as usize % 1400))
                        .unwrap();
                    senders[1].send(&numbered(n, 100)).unwrap();
                }
                let all = (round + 1) * 20;
                let stats = run_until(bridge, |stats| {
                    stats.a_to_b.forwarded == all && stats.b_to_a.forwarded == all
                });
                settled(&stats);
                for n in round * 20..all {
                    let frame = sniffers[1].receive(LIMIT).unwrap();
                    assert_eq!(frame, Some(numbered(n, 60 + n as usize % 1400)));
                    assert_eq!(sniffers[0].receive(LIMIT).unwrap(), Some(numbered(n, 100)));
                }
            }
            let stats = bridge.stats()?;
            for way in [stats.a_to_b, stats.b_to_a] {
                assert_eq!((way.received, way.lost()), (3000, 0));
                assert_eq!(way.source.delivered, Count::Exact(3000));
                assert_eq!(way.source.dropped, Count::Exact(0));
            }
            Ok(())
        })
        .unwrap();
        for name in ["a0", "b0"] {
            assert!(Interface::by_name(name).unwrap().xdp.is_none());
            ip(&format!("link delete {name}")).unwrap();
        }
    }
}

/// The stacks leave checksums to their interfaces, which a frame in AF_XDP does not show.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_tcp_flows_both_ways_without_a_copy() {
    let hosts = hosts();
    let stats = XdpBridge::scope("a0", "b0", |bridge| {
        let stop = bridge.stop_handle();
        thread::scope(|scope| {
            let talk = scope.spawn(|| {
                let blocks = converse(&hosts, "10.9.0.2", Duration::from_secs(2));
                stop.stop();
                blocks
            });
            bridge.run(|_, _| Verdict::Forward)?;
            let blocks = talk.join().unwrap();
            assert!(blocks.0 > 0 && blocks.1 > 0);
            bridge.stats()
        })
    })
    .unwrap();
    for way in [&stats.a_to_b, &stats.b_to_a] {
        assert_eq!(way.received + way.split, way.accounted(), "{way}");
        assert_eq!((way.lost(), way.dropped), (0, 0), "{way}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_packet_sockets_and_af_xdp_are_bridged() {
    let hosts = hosts();
    let a = Port::afpacket("a0").unwrap();
    let mut bridge = Bridge::new(a, Port::xdp("b0").unwrap()).unwrap();
    let stop = bridge.stop_handle();
    let stats = thread::scope(|scope| {
        let runner = scope.spawn(|| {
            bridge.run(|_| Verdict::Forward).unwrap();
            bridge.stats().unwrap()
        });
        converse(&hosts, "10.9.0.2", Duration::from_secs(1));
        stop.stop();
        runner.join().unwrap()
    });
    for way in [&stats.a_to_b, &stats.b_to_a] {
        assert_eq!(way.received + way.split, way.accounted(), "{way}");
        assert_eq!((way.lost(), way.dropped, way.outgoing), (0, 0, 0), "{way}");
    }
    // Super-packets of one stack are segmented for AF_XDP.
    assert!(stats.a_to_b.split > 0, "{stats}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_frame_is_decided_about_where_it_is() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sender = Sender::on("a1").unwrap();
    let sniffer = Sniffer::on("b1").unwrap();
    XdpBridge::scope("a0", "b0", |bridge| {
        for n in 0..60 {
            sender.send(&numbered(n, 100)).unwrap();
        }
        let (mut panics, end) = (0, Instant::now() + LIMIT);
        while bridge.stats()?.a_to_b.forwarded < 40 {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                bridge.run_for(Duration::from_millis(5), |way, frame| {
                    assert_eq!(way, Way::AToB);
                    let n = number(frame).unwrap();
                    assert!(n != 8, "a decision that panics");
                    match n % 3 {
                        0 => Verdict::Drop,
                        1 => {
                            frame[42..50].copy_from_slice(&(1000 + n).to_be_bytes());
                            Verdict::Forward
                        }
                        _ => Verdict::Forward,
                    }
                })
            }));
            panics += u64::from(ran.is_err());
            let stats = bridge.stats()?.a_to_b;
            assert_eq!(stats.received, stats.accounted());
            if stats.received == 60 && stats.pending() == 0 {
                break;
            }
            assert!(Instant::now() < end, "{stats}");
        }
        let stats = bridge.stats()?.a_to_b;
        assert_eq!((stats.dropped, stats.undecided, panics), (20, 1, 1));
        assert_eq!((stats.received, stats.forwarded), (60, 39));
        Ok(())
    })
    .unwrap();
    for n in (0..60).filter(|n| n % 3 != 0 && *n != 8) {
        let frame = sniffer.receive(LIMIT).unwrap().unwrap();
        let seen = number(&frame).unwrap();
        assert_eq!(seen, if n % 3 == 1 { 1000 + n } else { n });
    }
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_a_link_that_is_down_is_counted_and_a_removed_one_is_the_end() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sender = Sender::on("a1").unwrap();
    XdpBridge::scope("a0", "b0", |bridge| {
        ip("link set b0 down").unwrap();
        let end = Instant::now() + LIMIT;
        let down = loop {
            match bridge.step(|_, _| Verdict::Forward) {
                Err(error) => break error,
                Ok(_) => assert!(Instant::now() < end),
            }
        };
        assert!(
            matches!(down, Error::LinkDown { was_up: true, .. }),
            "{down}"
        );
        sender.send(&numbered(0, 100)).unwrap();
        let stats = run_until(bridge, |stats| stats.a_to_b.received == 1);
        assert_eq!(stats.a_to_b.received, stats.a_to_b.accounted());
        for n in 1..200 {
            sender.send(&numbered(n, 100)).unwrap();
        }
        let stats = run_until(bridge, |stats| stats.a_to_b.received == 200);
        assert_eq!(stats.a_to_b.received, stats.a_to_b.accounted());
        assert_eq!(stats.a_to_b.link_down + stats.a_to_b.in_flight, 200);
        assert_eq!(stats.a_to_b.link_downs, 1);
        ip("link set b0 up").unwrap();
        wait_until("the link is up", LIMIT, || {
            Interface::by_name("b0").unwrap().is_up()
        });
        let sniffer = Sniffer::on("b1").unwrap();
        run_until(bridge, |stats| stats.a_to_b.in_flight == 0);
        sender.send(&numbered(777, 100)).unwrap();
        let stats = run_until(bridge, |stats| stats.a_to_b.received == 201);
        settled(&stats);
        let mut last = None;
        while let Some(frame) = sniffer.receive(SILENCE).unwrap() {
            last = number(&frame);
        }
        assert_eq!(last, Some(777));

        let ended = thread::scope(|scope| {
            scope.spawn(|| ip("link delete b0").unwrap());
            // The thread that deletes it is in this namespace too.
            bridge.run(|_, _| Verdict::Forward).unwrap_err()
        });
        let inner = ended.downcast_ref::<Error>().unwrap();
        assert!(matches!(inner, Error::InterfaceRemoved { .. }), "{ended}");
        assert_eq!(bridge.lost(), Some(Side::B));
        assert!(matches!(
            bridge.step(|_, _| Verdict::Forward),
            Err(Error::Closed)
        ));
        Ok(())
    })
    .unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_it_is_stopped_from_another_thread_and_runs_in_a_task() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sender = Sender::on("a1").unwrap();
    let sniffer = Sniffer::on("b1").unwrap();
    XdpBridge::scope("a0", "b0", |bridge| {
        let stop = bridge.stop_handle();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                ended = bridge.run_async(|_, _| Verdict::Forward) => panic!("{ended:?}"),
                () = async {
                    sender.send(&numbered(5, 100)).unwrap();
                    // As long as the frame takes.
                    tokio::task::spawn_blocking(move || {
                        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(5, 100)));
                    })
                    .await
                    .unwrap();
                } => {}
            }
        });
        let runner = thread::spawn(move || stop.stop());
        bridge.run(|_, _| Verdict::Forward)?;
        runner.join().unwrap();
        assert_eq!(bridge.step(|_, _| Verdict::Forward)?, Step::Done);
        assert_eq!(bridge.stats()?.a_to_b.received, 1);
        Ok(())
    })
    .unwrap();
    let same = XdpBridge::scope("a0", "a0", |_| Ok(()));
    assert!(matches!(same, Err(Error::Config { .. })), "{same:?}");
}
