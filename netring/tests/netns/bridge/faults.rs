//! Failures at one end of a bridge.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, Side, Step, Verdict};
use netring::{Count, Error, Interface};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, tc};
use xtask::wire::{Sender, Sniffer, number, numbered};

use super::{LIMIT, Packets, SILENCE, balanced, forward, run_until, settled, wires};

fn until_up(name: &str) {
    wait_until("the interface is up", LIMIT, || {
        Interface::by_name(name).unwrap().is_up()
    });
}

/// Steps until the bridge reports something after which it continues.
fn report(bridge: &mut Packets) -> Error {
    let end = Instant::now() + LIMIT;
    loop {
        match bridge.step(forward) {
            Err(error) => return error,
            Ok(_) => thread::sleep(Duration::from_millis(1)),
        }
        assert!(Instant::now() < end, "no report");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_frames_for_a_link_that_is_down_are_counted_and_it_goes_on() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffer = Sniffer::on("b1").unwrap();
    let sender = Sender::on("a1").unwrap();
    let back = Sender::on("b1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    sender.send(&numbered(0, 100)).unwrap();
    run_until(&mut bridge, |stats| stats.a_to_b.forwarded == 1);

    ip("link set b0 down").unwrap();
    let down = report(&mut bridge);
    let Error::LinkDown { interface, was_up } = &down else {
        panic!("{down}");
    };
    assert_eq!((&**interface, *was_up), ("b0", true));
    // It is reported once, and the bridge continues: the first frame reveals it.
    sender.send(&numbered(1, 100)).unwrap();
    run_until(&mut bridge, |stats| stats.a_to_b.in_flight == 1);
    for n in 2..300 {
        sender.send(&numbered(n, 100)).unwrap();
    }
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.received == 300);
    balanced(&stats.a_to_b);
    assert_eq!((stats.a_to_b.in_flight, stats.a_to_b.link_down), (1, 298));
    assert_eq!((stats.a_to_b.link_downs, stats.a_to_b.lost()), (1, 298));
    assert_eq!(stats.b_to_a.source.link_downs, Count::Exact(1));

    ip("link set b0 up").unwrap();
    until_up("b0");
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.in_flight == 0);
    sender.send(&numbered(300, 100)).unwrap();
    let back_sniffer = Sniffer::on("a1").unwrap();
    back.send(&numbered(7, 70)).unwrap();
    assert_eq!(stats.a_to_b.forwarded, 2);
    let stats = run_until(&mut bridge, |stats| {
        stats.a_to_b.forwarded == 3 && stats.b_to_a.forwarded == 1
    });
    settled(&stats);
    for n in [0, 1, 300] {
        assert_eq!(sniffer_after(&sniffer), Some(numbered(n, 100)));
    }
    assert_eq!(back_sniffer.receive(LIMIT).unwrap(), Some(numbered(7, 70)));
}

/// The next frame; a plain socket first reports a link that went down.
fn sniffer_after(sniffer: &Sniffer) -> Option<Vec<u8>> {
    match sniffer.receive(LIMIT) {
        Err(_) => sniffer.receive(LIMIT).unwrap(),
        Ok(frame) => frame,
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_an_idle_bridge_of_links_that_are_down_does_not_spin() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sender = Sender::on("a1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    ip("link set b0 down").unwrap();
    sender.send(&numbered(1, 100)).unwrap();
    run_until(&mut bridge, |stats| stats.a_to_b.in_flight == 1);
    let mut longest = Duration::ZERO;
    for _ in 0..1000 {
        if let Ok(Step::Wait {
            at_most: Some(time),
            ..
        }) = bridge.step(forward)
        {
            longest = longest.max(time);
        }
    }
    // Ten times a second, until frames or the link wake it.
    assert_eq!(longest, Duration::from_millis(100));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_the_removal_of_an_interface_is_the_end_and_names_the_side() {
    for (gone, side) in [("a0", Side::A), ("b0", Side::B)] {
        let _ns = Netns::enter().unwrap();
        wires();
        let sender = Sender::on("a1").unwrap();
        let mut bridge = Bridge::open("a0", "b0").unwrap();
        sender.send(&numbered(1, 100)).unwrap();
        run_until(&mut bridge, |stats| stats.a_to_b.forwarded == 1);
        assert_eq!(bridge.lost(), None);
        let ended = thread::scope(|scope| {
            let runner = scope.spawn(|| bridge.run(forward).unwrap_err());
            ip(&format!("link delete {gone}")).unwrap();
            runner.join().unwrap()
        });
        assert!(ended.is_terminal());
        let inner = ended.downcast_ref::<Error>().unwrap();
        assert!(
            matches!(inner, Error::InterfaceRemoved { interface } if interface == gone),
            "{inner}"
        );
        let text = ended.to_string();
        assert!(text.starts_with(&format!("{side}: ")), "{text}");
        assert_eq!(bridge.lost(), Some(side));
        assert!(matches!(bridge.run(forward), Err(Error::Closed)));
        assert!(matches!(bridge.step(forward), Err(Error::Closed)));
    }
}

/// The queue of the other side accepts little: the ring of the source is the queue, and nothing is
/// lost.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_a_slow_side_is_waited_for_and_does_not_hold_up_the_other_direction() {
    let _ns = Netns::enter().unwrap();
    wires();
    // It takes one frame, and the next after minutes.
    tc("qdisc add dev b0 root handle 1: tbf rate 8bit burst 1600 limit 1600").unwrap();
    tc("qdisc add dev b0 parent 1:1 handle 2: pfifo limit 1").unwrap();
    let senders = ["a1", "b1"].map(|name| Sender::on(name).unwrap());
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    const COUNT: u64 = 1500;
    for n in 0..COUNT {
        senders[0].send(&numbered(n, 1000)).unwrap();
    }
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    // The wait begins, and is no reason to hold back frames of the other direction.
    run_until(&mut bridge, |stats| stats.a_to_b.waiting > 0);
    senders[1].send(&numbered(77, 100)).unwrap();
    let stats = run_until(&mut bridge, |stats| stats.b_to_a.forwarded == 1);
    balanced(&stats.a_to_b);
    assert!(stats.a_to_b.pending() > 0, "{stats}");
    assert_eq!(sniffers[0].receive(LIMIT).unwrap(), Some(numbered(77, 100)));
    // Now it takes the rest. A sniffer holds few frames, so it is looked at again and again.
    tc("qdisc change dev b0 root handle 1: tbf rate 40mbit burst 1600 limit 1600").unwrap();
    tc("qdisc change dev b0 parent 1:1 handle 2: pfifo limit 1").unwrap();
    let (mut next, end) = (0, Instant::now() + LIMIT);
    while next < COUNT {
        bridge.run_for(Duration::from_millis(1), forward).unwrap();
        while let Some(frame) = sniffers[1].receive(Duration::ZERO).unwrap() {
            assert_eq!(number(&frame), Some(next));
            next += 1;
        }
        assert!(Instant::now() < end, "{next} of {COUNT} came");
    }
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.forwarded == COUNT);
    settled(&stats);
    assert_eq!(stats.a_to_b.lost(), 0);
    assert_eq!(stats.a_to_b.source.dropped, Count::Exact(0));
    assert_eq!(sniffers[1].receive(SILENCE).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_a_stalled_bridge_and_an_idle_one_can_be_stopped() {
    let _ns = Netns::enter().unwrap();
    wires();
    for stalled in [false, true] {
        let mut bridge = Bridge::open("a0", "b0").unwrap();
        if stalled {
            // It sends one frame every 800 s.
            tc("qdisc replace dev b0 root tbf rate 8bit burst 1600 limit 3200").unwrap();
            let sender = Sender::on("a1").unwrap();
            for n in 0..1000 {
                sender.send(&numbered(n, 1000)).unwrap();
            }
            run_until(&mut bridge, |stats| stats.a_to_b.waiting > 0);
        }
        let stop = bridge.stop_handle();
        let stats = thread::scope(|scope| {
            let runner = scope.spawn(|| {
                bridge.run(forward).unwrap();
                bridge.stats().unwrap()
            });
            thread::sleep(Duration::from_millis(20));
            stop.stop();
            runner.join().unwrap()
        });
        balanced(&stats.a_to_b);
        assert_eq!(stats.a_to_b.waiting > 0, stalled, "{stats}");
        bridge.run(forward).unwrap();
        assert_eq!(bridge.step(forward).unwrap(), Step::Done);
        assert_eq!(
            bridge.stats().unwrap().a_to_b.received,
            stats.a_to_b.received
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_decision_that_panics_costs_its_own_frame_only() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffer = Sniffer::on("b1").unwrap();
    let sender = Sender::on("a1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    for n in 0..100 {
        sender.send(&numbered(n, 100)).unwrap();
    }
    let bad = [0, 30, 31, 99];
    let mut panics = 0;
    let end = Instant::now() + LIMIT;
    while bridge.stats().unwrap().a_to_b.forwarded < 96 {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            bridge.run_for(Duration::from_millis(20), |frame| {
                let n = number(frame.data()).unwrap();
                assert!(!bad.contains(&n), "a bad frame");
                Verdict::Forward
            })
        }));
        panics += u64::from(ran.is_err());
        assert!(Instant::now() < end, "{}", bridge.stats().unwrap());
        balanced(&bridge.stats().unwrap().a_to_b);
    }
    let stats = bridge.stats().unwrap();
    settled(&stats);
    assert_eq!((panics, stats.a_to_b.undecided), (4, 4));
    assert_eq!(stats.a_to_b.received, 100);
    for n in (0..100).filter(|n| !bad.contains(n)) {
        let frame = sniffer.receive(LIMIT).unwrap();
        assert_eq!(frame, Some(numbered(n, 100)));
    }
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}
