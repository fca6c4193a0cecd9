//! Captures from several interfaces: as one source, and what they refuse and report.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, CaptureBuilder, Captures, CapturesBuilder, JoinEvent, Profile};
use netring_sys::wait::Stop;
use netring_sys::{Count, Error, Interface, PacketBatch, PacketSource, Readiness};
use xtask::load::{Flood, cost};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, number, numbered};

use crate::sandbox::forbid_sockets;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn each() -> CaptureBuilder {
    Capture::builder().profile(Profile::LowMemory)
}

pub(super) fn of(names: &[&str]) -> CapturesBuilder {
    Captures::builder(each()).interfaces(names.iter().copied())
}

/// The captures, and the channel of their reports.
pub(super) fn reporting(builder: CapturesBuilder) -> (Captures, Receiver<String>) {
    let (events, seen) = channel();
    let builder = builder.on_event(move |event| {
        // The receiver may be gone.
        let _ = events.send(event.to_string());
    });
    (builder.build().unwrap(), seen)
}

pub(super) fn send(interface: &str, numbers: std::ops::Range<u64>) {
    let sender = Sender::on(interface).unwrap();
    for n in numbers {
        sender.send(&numbered(n, 60)).unwrap();
    }
}

#[track_caller]
pub(super) fn receives(captures: &mut Captures, interface: &str, numbers: std::ops::Range<u64>) {
    let index = Interface::by_name(interface).unwrap().index;
    let count = numbers.end - numbers.start;
    let packets = collect(captures, count as usize, 2 * SECOND).unwrap();
    let seen = packets
        .iter()
        .map(|packet| (packet.interface(), number(packet.data()).unwrap()));
    let expected = numbers.map(|n| (index, n));
    assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn captures_of_several_interfaces_are_one_source() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let mut captures = of(&["a", "c"]).build().unwrap();
    let frame = |n| numbered(n, 60);
    let floods = ["b", "d"].map(|end| Flood::on(end, frame).unwrap());
    let indexes = ["a", "c"].map(|name| Interface::by_name(name).unwrap().index);
    let mut next = [0, 0];
    let mut read = |captures: &mut Captures, time| {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(batch) = captures.next_batch_timeout(left).unwrap().batch() else {
                return next;
            };
            let origin = batch.origin();
            for packet in batch.packets() {
                assert_eq!(packet.interface(), indexes[origin]);
                assert_eq!(number(packet.data()), Some(next[origin]));
                next[origin] += 1;
            }
        }
    };
    read(&mut captures, SECOND / 2);
    let sent = floods.map(Flood::stop);
    assert_eq!(read(&mut captures, SECOND / 2), sent);
    assert!(sent[0] > 100 && sent[1] > 100, "{sent:?}");
    let stats = captures.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(sent[0] + sent[1]));
    assert_eq!(stats.delivered, stats.offered);
    for (origin, capture) in captures.captures_mut() {
        assert_eq!(capture.interface().index, indexes[origin]);
        assert_eq!(
            capture.stats().unwrap().delivered,
            Count::Exact(sent[origin])
        );
    }
}

/// Interfaces are not reopened: each that is removed ends alone, and the last one ends the
/// captures.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_an_interface_that_is_removed_ends_alone_and_the_last_one_is_the_end() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let mut captures = of(&["a", "c"]).build().unwrap();
    send("b", 0..5);
    ip("link set dev d down").unwrap();
    receives(&mut captures, "a", 0..5);
    send("b", 5..8);
    ip("link del dev b").unwrap();
    let packets = collect(&mut captures, 3, SECOND).unwrap();
    assert_eq!(packets.len(), 3);
    let mut reports = Vec::new();
    loop {
        match captures.wait(Some(SECOND / 2)) {
            Ok(Readiness::Empty) => break,
            Ok(found) => panic!("{found:?}"),
            Err(error) => reports.push((error.is_terminal(), error.to_string())),
        }
    }
    reports.sort();
    assert_eq!(
        reports.last().unwrap(),
        &(
            false,
            "source 0 has ended, the others continue: the interface a was removed; open it again when it is back"
                .to_owned()
        )
    );
    // An interface of the same name, which is another one.
    veth("a", "b").unwrap();
    send("b", 8..9);
    let (next, cost) = cost(|| collect(&mut captures, 1, SECOND));
    assert_eq!(next.unwrap().len(), 0);
    assert!(cost.sleeps < 10 && cost.cpu < SECOND / 20, "{cost:?}");
    assert_eq!(captures.captures().len(), 1);
    assert_eq!(
        captures.joins().to_string(),
        "0 joined, 0 returned, 0 removed, 0 failed"
    );
    ip("link del dev d").unwrap();
    let end = captures.next_batch().map(|batch| batch.is_some());
    assert!(
        matches!(&end, Err(Error::InterfaceRemoved { interface }) if interface == "c"),
        "{end:?}"
    );
    let stats = captures.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.delivered),
        (Count::Exact(8), Count::Exact(8))
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_alternative_name_stands_for_its_interface() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link property add dev a altname uplink").unwrap();
    // The same name twice.
    let (mut captures, events) = reporting(of(&["uplink", "a"]).reopen(true));
    assert_eq!(captures.captures().len(), 1);
    ip("link del dev a").unwrap();
    veth("a", "b").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "a was removed");
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), "a has come back");
    send("b", 0..3);
    receives(&mut captures, "a", 0..3);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_cannot_be_is_refused_with_the_reason() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let refused = |builder: CapturesBuilder, part: &str| {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(of(&[]), "interfaces: none is named");
    refused(of(&["a", "nil"]), "there is no interface \"nil\"");
    refused(of(&["nil"]).reopen(true), "there is no interface \"nil\"");
    refused(
        Captures::builder(each()).matching(|_| false),
        "none matches",
    );
    let named = Captures::builder(each().interface("a")).interfaces(["b"]);
    refused(named, "name one already");
    refused(
        Captures::builder(each().all_interfaces()).interfaces(["b"]),
        "name one already",
    );
    // Before the first interface appears.
    let bad = Captures::builder(each().snap_len(0)).interfaces(["nil"]);
    refused(bad.join(true), "snap_len: 0 bytes");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_cannot_be_opened_is_reported_and_counted() {
    let ns = Netns::enter().unwrap();
    // As if the process dropped the capability after the start.
    let captures = thread::spawn(move || {
        ns.run(|| {
            forbid_sockets(libc::AF_PACKET, libc::EPERM);
            Ok(reporting(of(&["a"]).join(true)))
        })
        .map(|made| (ns, made))
    });
    let (_ns, (captures, events)) = captures.join().unwrap().unwrap();
    veth("a", "b").unwrap();
    let failed = events.recv_timeout(LIMIT).unwrap();
    assert!(
        failed.starts_with("a could not be opened: socket(AF_PACKET) was refused"),
        "{failed}"
    );
    assert_eq!(captures.joins().failed, 1);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn without_netlink_interfaces_cannot_be_followed_and_that_is_said() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    forbid_sockets(libc::AF_NETLINK, libc::EAFNOSUPPORT);
    for builder in [of(&["a"]).join(true), of(&["a"]).reopen(true)] {
        let error = builder.build().unwrap_err().to_string();
        assert!(
            error.starts_with(
                "join, reopen: netlink announces interfaces that appear, and cannot be used"
            ),
            "{error}"
        );
    }
    // The captures that exist do not need it.
    let mut captures = of(&["a"]).build().unwrap();
    assert_eq!(captures.ready().unwrap(), Readiness::Empty);
}

/// The reader learns that the thread has ended, even while it sleeps.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_function_that_panics_ends_the_captures_with_an_error() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = of(&["a", "c"]).join(true);
    let builder = builder.on_event(|event| {
        let JoinEvent::Joined(interface) = event else {
            return;
        };
        assert_ne!(interface.name, "c", "as the test wants it");
    });
    let mut captures = builder.build().unwrap();
    let reader = thread::spawn(move || captures.next_batch().map(|batch| batch.is_some()));
    veth("c", "d").unwrap();
    let end = reader.join().unwrap();
    let text = end.unwrap_err().to_string();
    assert!(
        text.starts_with("interfaces that appear are no longer followed"),
        "{text}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn waiting_for_interfaces_costs_nothing() {
    let _ns = Netns::enter().unwrap();
    veth("x", "y").unwrap();
    let mut captures = of(&["a"]).join(true).reopen(true).build().unwrap();
    let changes = thread::spawn(|| {
        for n in 0..20 {
            ip(&format!("link set dev x mtu {}", 1000 + n)).unwrap();
        }
    });
    let (next, cost) = cost(|| captures.wait(Some(SECOND)));
    assert!(matches!(next, Ok(Readiness::Empty)), "{next:?}");
    assert!(cost.sleeps < 10 && cost.cpu < SECOND / 20, "{cost:?}");
    changes.join().unwrap();
    captures.stop_handle().stop();
    assert!(captures.next_batch().unwrap().is_none());
}
