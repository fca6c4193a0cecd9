//! Interfaces that join captures, disappear and come back, under load.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use netring_afpacket::{Captures, JoinEvent};
use netring_sys::wait::Stop;
use netring_sys::{Count, Interface, PacketSource, Readiness};
use xtask::load::{Flood, wait_until};
use xtask::netns::{Netns, ip, ip_batch, veth};
use xtask::wire::{collect, number, numbered};

use super::captures::{LIMIT, SECOND, each, of, receives, reporting, send};

/// The lines of a file of this thread's namespace, which has a line for each socket.
fn sockets(file: &str) -> usize {
    let path = format!("/proc/thread-self/net/{file}");
    std::fs::read_to_string(path).unwrap().lines().count()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interfaces_that_appear_join() {
    let _ns = Netns::enter().unwrap();
    let builder = Captures::builder(each());
    let builder = builder.matching(|interface| interface.name.starts_with("in"));
    let (captures, events) = reporting(builder.join(true));
    // A reader that sleeps is woken.
    let (packets, seen) = channel();
    let stop = captures.stop_handle();
    let reader = thread::spawn(move || {
        let mut captures = captures;
        captures
            .for_each(|packet| {
                packets
                    .send((packet.interface(), number(packet.data()).unwrap()))
                    .unwrap();
            })
            .unwrap();
        (captures.stats().unwrap(), captures.joins())
    });
    for round in 0..5 {
        let [one, other] = ["in", "out"].map(|name| format!("{name}{round}"));
        veth(&one, &other).unwrap();
        assert_eq!(
            events.recv_timeout(LIMIT).unwrap(),
            format!("{one} has joined")
        );
        let index = Interface::by_name(&one).unwrap().index;
        send(&other, 20 * round..20 * (round + 1));
        for n in 20 * round..20 * (round + 1) {
            assert_eq!(seen.recv_timeout(LIMIT), Ok((index, n)));
        }
    }
    ip("link del dev in0").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "in0 was removed");
    stop.stop();
    let (stats, joins) = reader.join().unwrap();
    assert_eq!(
        (stats.offered, stats.delivered),
        (Count::Exact(100), Count::Exact(100))
    );
    assert_eq!(
        joins.to_string(),
        "5 joined, 0 returned, 1 removed, 0 failed"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_may_join_and_what_may_come_back_are_two_choices() {
    let _ns = Netns::enter().unwrap();
    for (join, reopen, expected) in [
        (true, false, "1 joined, 0 returned, 1 removed, 0 failed"),
        (false, true, "0 joined, 1 returned, 1 removed, 0 failed"),
        (true, true, "1 joined, 1 returned, 1 removed, 0 failed"),
    ] {
        veth("a", "b").unwrap();
        let builder = Captures::builder(each())
            .matching(|interface| ["a", "c"].contains(&interface.name.as_str()));
        let mut captures = builder.join(join).reopen(reopen).build().unwrap();
        ip("link del dev a").unwrap();
        // Events come in the order of the changes, so the last of them is behind all others.
        veth("a", "b").unwrap();
        veth("c", "d").unwrap();
        wait_until("they are followed", LIMIT, || {
            captures.joins().to_string() == expected
        });
        send("b", 0..3);
        send("d", 3..6);
        let packets = collect(&mut captures, 6, SECOND).unwrap();
        let packets = packets.iter().map(|packet| number(packet.data()).unwrap());
        let mut numbers: Vec<_> = packets.collect();
        numbers.sort_unstable();
        let (from_a, from_c) = ([0, 1, 2], [3, 4, 5]);
        let all = [
            &from_a[..if reopen { 3 } else { 0 }],
            &from_c[..if join { 3 } else { 0 }],
        ];
        assert_eq!(numbers, all.concat());
        assert_eq!(captures.joins().to_string(), expected);
        ip("link del dev a").unwrap();
        ip("link del dev c").unwrap();
    }
}

/// A hundred rounds, while another interface is under load.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_comes_and_goes_under_load_and_nothing_is_lost_or_left_behind() {
    const ROUNDS: u64 = 100;
    let _ns = Netns::enter().unwrap();
    let before = (sockets("packet"), sockets("netlink"));
    veth("steady", "load").unwrap();
    let (captures, events) = reporting(of(&["steady", "a"]).join(true).reopen(true));
    let stop = captures.stop_handle();
    let total = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&total);
    let reader = thread::spawn(move || {
        let mut captures = captures;
        let mut seen = BTreeMap::<u32, Vec<u64>>::new();
        captures
            .for_each(|packet| {
                counter.fetch_add(1, Ordering::Relaxed);
                let numbers = seen.entry(packet.interface()).or_default();
                numbers.push(number(packet.data()).unwrap());
            })
            .unwrap();
        let open = captures.captures().len();
        (seen, captures.stats().unwrap(), captures.joins(), open)
    });
    let flood = Flood::on("load", |n| {
        thread::sleep(Duration::from_micros(100));
        numbered(n, 60)
    })
    .unwrap();
    let mut expected = BTreeMap::new();
    for round in 0..ROUNDS {
        veth("a", "b").unwrap();
        let word = if round == 0 { "joined" } else { "come back" };
        assert_eq!(events.recv_timeout(LIMIT).unwrap(), format!("a has {word}"));
        let index = Interface::by_name("a").unwrap().index;
        send("b", 3 * round..3 * round + 3);
        expected.insert(index, (3 * round..3 * round + 3).collect::<Vec<_>>());
        ip("link del dev b").unwrap();
        assert_eq!(events.recv_timeout(LIMIT).unwrap(), "a was removed");
    }
    let sent = flood.stop();
    wait_until("all have arrived", LIMIT, || {
        total.load(Ordering::Relaxed) == sent + 3 * ROUNDS
    });
    stop.stop();
    let (mut seen, stats, joins, open) = reader.join().unwrap();
    let steady = Interface::by_name("steady").unwrap().index;
    assert_eq!(seen.remove(&steady).unwrap(), (0..sent).collect::<Vec<_>>());
    assert_eq!(seen, expected);
    assert_eq!(stats.offered, Count::Exact(sent + 3 * ROUNDS));
    assert_eq!(
        (stats.delivered, stats.dropped),
        (stats.offered, Count::Exact(0))
    );
    assert_eq!(
        joins.to_string(),
        "1 joined, 99 returned, 100 removed, 0 failed"
    );
    assert_eq!(open, 1);
    // The captures were dropped at the end of the thread.
    wait_until("all sockets are closed", LIMIT, || {
        (sockets("packet"), sockets("netlink")) == before
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_appears_down_joins_and_its_state_is_reported() {
    let _ns = Netns::enter().unwrap();
    let (mut captures, events) = reporting(of(&["a"]).join(true));
    ip("link add name a type veth peer name b").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "a has joined");
    let report = loop {
        match captures.wait(Some(SECOND)) {
            Ok(Readiness::Empty) => {}
            other => break other,
        }
    };
    assert_eq!(
        report.unwrap_err().to_string(),
        "the interface a is down; packets arrive when it is up"
    );
    for end in ["a", "b"] {
        ip(&format!("link set dev {end} addrgenmode none")).unwrap();
        ip(&format!("link set dev {end} up")).unwrap();
    }
    wait_until("it is up", LIMIT, || {
        Interface::by_name("a").unwrap().is_up()
    });
    send("b", 0..3);
    receives(&mut captures, "a", 0..3);
    assert_eq!(captures.stats().unwrap().link_downs, Count::Exact(0));
}

/// The counters of an interface that joins show what passed before its ring existed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_passed_before_an_interface_joined_is_known() {
    let _ns = Netns::enter().unwrap();
    let (events, seen) = channel();
    let (go, wait) = channel::<()>();
    let builder = of(&["first", "a"]).join(true).on_event(move |event| {
        if let JoinEvent::Joined(interface) = event {
            events
                .send((interface.name.clone(), interface.counters.rx_packets))
                .unwrap();
            wait.recv().unwrap();
        }
    });
    let mut captures = builder.build().unwrap();
    veth("first", "x").unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), ("first".into(), 0));
    // The thread is busy, and the interface has to wait.
    veth("a", "b").unwrap();
    send("b", 0..10);
    wait_until("they have passed", LIMIT, || {
        Interface::by_name("a").unwrap().counters.rx_packets == 10
    });
    go.send(()).unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), ("a".into(), 10));
    go.send(()).unwrap();
    wait_until("it has joined", LIMIT, || {
        let found = captures.ready().unwrap();
        assert_eq!(found, Readiness::Empty);
        captures.captures().len() == 2
    });
    send("b", 10..13);
    receives(&mut captures, "a", 10..13);
    assert_eq!(captures.stats().unwrap().offered, Count::Exact(3));
}

/// More notifications than a socket holds, while nobody reads them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn lost_notifications_lose_no_interface() {
    let _ns = Netns::enter().unwrap();
    veth("x", "y").unwrap();
    veth("a", "b").unwrap();
    let (events, seen) = channel();
    let (go, wait) = channel::<()>();
    let builder = of(&["a", "c", "first"]).join(true).reopen(true);
    let builder = builder.on_event(move |event| {
        events.send(event.to_string()).unwrap();
        wait.recv().unwrap();
    });
    let mut captures = builder.build().unwrap();
    veth("first", "second").unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "first has joined");
    let changes: String = (0..4000)
        .map(|n| format!("link set dev x mtu {}\n", 1000 + n % 2))
        .collect();
    ip_batch(&changes).unwrap();
    // Nothing about these is in the queue.
    ip("link del dev a").unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let mut happened = Vec::new();
    for _ in 0..3 {
        go.send(()).unwrap();
        happened.push(seen.recv_timeout(LIMIT).unwrap());
    }
    go.send(()).unwrap();
    assert_eq!(
        happened,
        ["a was removed", "a has come back", "c has joined"]
    );
    wait_until("all have joined", LIMIT, || {
        // The removal of the first is reported.
        let _ = captures.ready();
        captures.captures().len() == 3
    });
    send("d", 0..3);
    receives(&mut captures, "c", 0..3);
    send("b", 3..6);
    receives(&mut captures, "a", 3..6);
}

/// The name counts for joining; a joined interface is followed when it is renamed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_joins_by_a_new_name_and_stays_by_another() {
    let _ns = Netns::enter().unwrap();
    let (mut captures, events) = reporting(of(&["wan"]).join(true).reopen(true));
    veth("eth7", "b").unwrap();
    ip("link set dev eth7 name wan").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "wan has joined");
    ip("link set dev wan name old").unwrap();
    send("b", 0..3);
    receives(&mut captures, "old", 0..3);
    veth("wan", "d").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "wan has come back");
    send("b", 3..5);
    receives(&mut captures, "old", 3..5);
    send("d", 5..8);
    receives(&mut captures, "wan", 5..8);
    // An interface moved to another namespace is gone; moved back, it is back.
    let there = Netns::new().unwrap();
    there.take("wan").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "wan was removed");
    assert_eq!(captures.stats().unwrap().offered, Count::Exact(8));
}
