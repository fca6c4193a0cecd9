//! Captures in another network namespace than that of the thread, which never changes.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use netring_afpacket::{Capture, Captures, Fanout, FanoutGroup, FanoutMode, LinkState, Profile};
use netring_sys::{Count, Error, Interface, Namespace, PacketSource};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, ip_says, own_names, veth};
use xtask::wire::{Sender, collect, number, numbered};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(300);

/// The kernel's identifier of this thread's namespace.
fn of_this_thread() -> PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

/// Two namespaces with the pair `v0`, `v1` in each, with the same indexes. This thread is in the
/// first.
fn two() -> (Netns, Netns) {
    let (here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("v0", "v1").unwrap();
    let index = || Interface::by_name("v1").unwrap().index;
    let other = there.run(|| veth("v0", "v1").map(|()| index())).unwrap();
    assert_eq!(index(), other, "the same number");
    (here, there)
}

fn small(namespace: &Namespace) -> netring_afpacket::CaptureBuilder {
    let builder = Capture::builder().interface("v1");
    let builder = builder.profile(Profile::LowMemory);
    let builder = builder.retire_timeout(Duration::from_millis(5));
    builder.namespace(namespace.clone())
}

fn send(numbers: std::ops::Range<u64>) {
    let sender = Sender::on("v0").unwrap();
    numbers.for_each(|n| sender.send(&numbered(n, 100)).unwrap());
}

/// The same as a closure to be run in another namespace.
fn sends(numbers: std::ops::Range<u64>) -> impl FnOnce() -> std::io::Result<()> + Send {
    move || {
        send(numbers);
        Ok(())
    }
}

fn numbers(capture: &mut Capture, count: usize) -> Vec<u64> {
    let packets = collect(capture, count, LIMIT).unwrap();
    let number = |packet: &netring_sys::PacketBuf| number(packet.data()).unwrap();
    packets.iter().map(number).collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_a_capture_in_another_namespace_is_of_the_interface_there() {
    let (_here, there) = two();
    let before = of_this_thread();
    ip("address add 10.1.0.1/24 dev v1").unwrap();
    let far = || ip("address add 10.2.0.1/24 dev v1");
    there.run(far).unwrap();
    let namespace = there.handle().unwrap();

    let mut capture = small(&namespace).build().unwrap();
    send(0..50);
    there.run(sends(100..150)).unwrap();
    assert_eq!(numbers(&mut capture, 50), (100..150).collect::<Vec<_>>());
    assert!(collect(&mut capture, 1, SILENCE).unwrap().is_empty());
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(50), Count::Exact(0))
    );

    let interface = capture.interface();
    assert_eq!(interface.namespace.as_ref(), Some(&namespace));
    let addresses = interface.addresses().unwrap();
    assert_eq!(addresses[0].ip.to_string(), "10.2.0.1");
    assert!(!interface.carries_default_route().unwrap());
    let route = || ip("route add default via 10.2.0.2");
    there.run(route).unwrap();
    assert!(interface.carries_default_route().unwrap());
    there.run(|| ip("link set v1 down")).unwrap();
    there.run(|| ip("link set v1 name eth1")).unwrap();
    assert_eq!(interface.current_name(), "eth1");
    // The ioctl calls also run there: no interface here has this name.
    assert!(interface.timestamping().is_ok());
    assert_eq!(of_this_thread(), before);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_link_is_watched_in_the_namespace_of_the_capture() {
    let (_here, there) = two();
    let mut capture = small(&there.handle().unwrap()).build().unwrap();
    let mut monitor = capture.link_monitor().unwrap();
    let changes = std::thread::spawn(move || {
        let mut changes = Vec::new();
        while let Some(state) = monitor.next_change().unwrap() {
            changes.push(state);
        }
        changes
    });
    // Changes of the interface with the same index here are not reported.
    ip("link set v1 down").unwrap();
    assert_eq!(capture.link_state().unwrap(), LinkState::Up);
    there.run(|| ip("link set v1 down")).unwrap();
    let down = |capture: &mut Capture| capture.link_state().unwrap() == LinkState::Down;
    wait_until("v1 there is down", LIMIT, || down(&mut capture));
    assert_eq!(capture.stats().unwrap().link_downs, Count::Exact(1));
    there.run(|| ip("link delete v1")).unwrap();
    let ended = loop {
        match capture.wait(Some(LIMIT)) {
            Err(error) if error.is_terminal() => break error,
            Ok(_) | Err(_) => {}
        }
    };
    assert!(
        matches!(&ended, Error::InterfaceRemoved { interface } if interface == "v1"),
        "{ended}"
    );
    assert_eq!(
        changes.join().unwrap(),
        [LinkState::Down, LinkState::Removed]
    );
    assert_eq!(Interface::by_name("v1").unwrap().name, "v1");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_monitor_of_a_capture_elsewhere_is_refused_rather_than_of_another_interface() {
    let (_here, there) = two();
    let open = || Capture::open("v1").map_err(std::io::Error::from);
    let capture = there.run(open).unwrap();
    let error = capture.link_monitor().unwrap_err();
    let text = "network namespace: v1 is in another one than this thread";
    assert!(error.to_string().starts_with(text), "{error}");
    let monitor = || capture.link_monitor().map_err(std::io::Error::from);
    assert_eq!(there.run(monitor).unwrap().state(), LinkState::Up);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn promiscuous_mode_is_of_the_interface_there() {
    let (_here, there) = two();
    let promiscuity = || {
        let reported = ip_says("-details link show dev v1")?;
        let (_, rest) = reported.split_once("promiscuity ").unwrap();
        Ok(rest.split_whitespace().next().unwrap().to_owned())
    };
    let capture = small(&there.handle().unwrap()).promiscuous(true).build();
    let capture = capture.unwrap();
    assert_eq!(there.run(promiscuity).unwrap(), "1");
    assert_eq!(promiscuity().unwrap(), "0");
    drop(capture);
    assert_eq!(there.run(promiscuity).unwrap(), "0");
}

/// The capture keeps the namespace; when both are gone, so is the far end of the wire.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_namespace_that_is_deleted_is_captured_until_the_capture_is_dropped() {
    let _here = Netns::enter().unwrap();
    own_names().unwrap();
    ip("netns add blue").unwrap();
    veth("v0", "v1").unwrap();
    ip("link set v1 netns blue").unwrap();
    // Its own setting for addresses did not move with it.
    ip("-n blue link set v1 addrgenmode none").unwrap();
    ip("-n blue link set v1 up").unwrap();
    let up = || Interface::by_name("v0").unwrap().is_up();
    wait_until("v0 has a carrier", LIMIT, up);
    assert_eq!(Namespace::names().unwrap(), ["blue"]);
    let mut capture = small(&Namespace::by_name("blue").unwrap()).build().unwrap();
    send(0..10);
    assert_eq!(numbers(&mut capture, 10), (0..10).collect::<Vec<_>>());
    ip("netns delete blue").unwrap();
    assert!(Namespace::names().unwrap().is_empty());
    send(10..30);
    assert_eq!(numbers(&mut capture, 20), (10..30).collect::<Vec<_>>());
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(30));
    capture.link_monitor().unwrap();
    assert!(Interface::by_name("v0").is_ok());
    drop(capture);
    wait_until("the pair is gone with the namespace", LIMIT, || {
        Interface::by_name("v0").is_err()
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_missing_there_is_named_with_the_namespace() {
    let _here = Netns::enter().unwrap();
    own_names().unwrap();
    let there = Netns::new().unwrap();
    let names = [("of a descriptor", "net:["), ("by a name", "blue")];
    ip("netns add blue").unwrap();
    let namespaces = [there.handle().unwrap(), Namespace::by_name("blue").unwrap()];
    for (namespace, (what, named)) in namespaces.iter().zip(names) {
        let error = small(namespace).build().unwrap_err();
        let text = format!("there is no interface \"v1\" in the network namespace {named}");
        assert!(error.to_string().starts_with(&text), "{what}: {error}");
        assert!(matches!(error, Error::NoSuchInterface { .. }), "{what}");
    }
    let error = small(&namespaces[1]).build().unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("`ip -n blue link` lists those that exist"),
        "{error}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_namespace_of_a_thread_is_its_own_whatever_happens_in_another() {
    let (_here, there) = two();
    let before = of_this_thread();
    let namespace = there.handle().unwrap();
    let inside = namespace.run(of_this_thread).unwrap();
    assert_ne!(inside, before);
    assert!(!namespace.is_current() && Namespace::current().unwrap().is_current());
    assert!(namespace.run(|| namespace.is_current()).unwrap());
    // Work for the thread's own namespace stays on the thread.
    let own = Namespace::current().unwrap();
    assert_eq!(own, Namespace::by_path("/proc/thread-self/ns/net").unwrap());
    let id = std::thread::current().id();
    assert_eq!(own.run(|| std::thread::current().id()).unwrap(), id);

    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        namespace.run(|| panic!("in there"))
    }));
    let panic = panicked.map(|_: Result<(), _>| ()).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"in there"));
    assert!(small(&namespace).snap_len(0).build().is_err());
    assert_eq!(of_this_thread(), before);
    // A copy of the descriptor is the same namespace.
    let copy = namespace.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(Namespace::from_fd(copy).unwrap(), namespace);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_fanout_group_in_another_namespace_shares_the_packets_there() {
    let (_here, there) = two();
    let namespace = there.handle().unwrap();
    let fanout = Fanout::new(FanoutMode::LoadBalance).workers(2);
    let mut group = FanoutGroup::open(small(&namespace), fanout).unwrap();
    send(0..20);
    there.run(sends(100..120)).unwrap();
    let mut all = Vec::new();
    for worker in group.workers_mut() {
        assert_eq!(worker.interface().namespace.as_ref(), Some(&namespace));
        let received = numbers(worker, 10);
        assert_eq!(received.len(), 10);
        all.extend(received);
    }
    all.sort_unstable();
    assert_eq!(all, (100..120).collect::<Vec<_>>());
    assert_eq!(group.stats().unwrap().offered, Count::Exact(20));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn all_and_several_interfaces_are_those_of_the_namespace() {
    let (_here, there) = two();
    let before = of_this_thread();
    let namespace = there.handle().unwrap();
    let inbound = || small(&namespace).ignore_outgoing(true);
    let mut all = inbound().all_interfaces().build().unwrap();
    let each = Capture::builder().namespace(namespace.clone());
    let each = each.profile(Profile::LowMemory).ignore_outgoing(true);
    let each = each.retire_timeout(Duration::from_millis(5));
    let builder = Captures::builder(each).interfaces(["v1", "w1"]).join(true);
    let mut several = builder.build().unwrap();
    assert_eq!(several.captures().len(), 1);
    send(0..20);
    there.run(sends(100..120)).unwrap();
    assert_eq!(numbers(&mut all, 20), (100..120).collect::<Vec<_>>());
    let packets = collect(&mut several, 20, LIMIT).unwrap();
    let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), (100..120).collect::<Vec<_>>());
    // An interface that appears here does not join; one that appears there does.
    veth("w0", "w1").unwrap();
    there.run(|| veth("w0", "w1")).unwrap();
    wait_until("w1 has joined", LIMIT, || {
        several.wait(Some(Duration::ZERO)).unwrap();
        several.captures().len() == 2
    });
    let joined = several.captures().map(|(_, capture)| capture.interface());
    let joined: Vec<_> = joined.cloned().collect();
    assert!(
        joined
            .iter()
            .all(|one| one.namespace.as_ref() == Some(&namespace))
    );
    assert_eq!(joined[1].name, "w1");
    let there_too = || Ok(Interface::by_name("w1").unwrap().index);
    assert_eq!(joined[1].index, there.run(there_too).unwrap());
    assert_eq!(of_this_thread(), before);
}
