//! A capture, an injector and a program in a network namespace other than the thread's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::path::PathBuf;
use std::time::Duration;

use netring_sys::wait::LinkState;
use netring_sys::{Error, Interface, Membership, PacketSink};
use netring_xdp::program::{AttachMode, Program};
use netring_xdp::{XdpCapture, XdpInjector};
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, collect, number, numbered};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(300);

fn of_this_thread() -> PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

/// Two namespaces with a pair of interfaces each, with the same names and indexes. This thread is
/// in the first.
fn two() -> (Netns, Netns) {
    let (here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("v0", "v1").unwrap();
    there.run(|| veth_with_queues("v0", "v1", 2)).unwrap();
    (here, there)
}

fn program_of(interface: &str) -> bool {
    Interface::by_name(interface).unwrap().xdp.is_some()
}

fn send(numbers: std::ops::Range<u64>) {
    let sender = Sender::on("v0").unwrap();
    numbers.for_each(|n| sender.send(&numbered(n, 100)).unwrap());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_a_capture_elsewhere_takes_the_packets_there_alone() {
    let (_here, there) = two();
    let before = of_this_thread();
    let builder = XdpCapture::builder().interface("v1").promiscuous(true);
    let builder = builder.namespace(there.handle().unwrap());
    let mut capture = builder.attach_mode(AttachMode::Native).build().unwrap();
    assert_eq!(of_this_thread(), before);
    assert_eq!(capture.queues().count(), 2);
    assert_eq!(capture.memberships(), [Membership::Promiscuous]);
    assert!(!program_of("v1"));
    assert!(there.run(|| Ok(program_of("v1"))).unwrap());

    send(0..20);
    let far = || {
        send(100..120);
        Ok(())
    };
    there.run(far).unwrap();
    let packets = collect(&mut capture, 20, LIMIT).unwrap();
    let mut numbers: Vec<_> = packets
        .iter()
        .filter_map(|one| number(one.data()))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (100..120).collect::<Vec<_>>());
    assert!(collect(&mut capture, 1, SILENCE).unwrap().is_empty());

    let mut monitor = capture.link_monitor().unwrap();
    let mut workers = capture.into_workers().unwrap();
    assert_eq!(workers.len(), 2);
    there.run(|| ip("link set dev v1 down")).unwrap();
    assert_eq!(monitor.next_change().unwrap(), Some(LinkState::Down));
    for worker in &mut workers {
        assert_eq!(worker.link_state().unwrap(), LinkState::Down);
    }
    drop(workers);
    assert!(!there.run(|| Ok(program_of("v1"))).unwrap());
    assert_eq!(of_this_thread(), before);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_injector_elsewhere_sends_there() {
    let (_here, there) = two();
    let namespace = there.handle().unwrap();
    let sniff = || Sniffer::on("v1").map_err(std::io::Error::from);
    let (near, far) = (sniff().unwrap(), there.run(sniff).unwrap());
    let builder = XdpInjector::builder("v0").namespace(namespace.clone());
    let mut injector = builder.build().unwrap();
    assert_eq!(injector.interface().namespace.as_ref(), Some(&namespace));
    for n in 0..10 {
        assert!(injector.send(&numbered(n, 100)).unwrap());
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    for n in 0..10 {
        assert_eq!(far.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
    }
    assert_eq!(near.receive(SILENCE).unwrap(), None);
    let error = XdpInjector::builder("v7")
        .namespace(namespace)
        .build()
        .unwrap_err();
    assert!(matches!(error, Error::NoSuchInterface { .. }), "{error}");
    assert!(
        error.to_string().contains("in the network namespace net:["),
        "{error}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_is_attached_where_its_interface_was_looked_up() {
    let (_here, there) = two();
    let far = Interface::by_name_in(&there.handle().unwrap(), "v1").unwrap();
    let program = Program::redirect().queues(2).load().unwrap();
    let attached = program.attach(&far, AttachMode::Native).unwrap();
    assert!(attached.is_attached().unwrap());
    assert!(!program_of("v1"));
    assert!(there.run(|| Ok(program_of("v1"))).unwrap());
    drop(attached);
    assert!(!there.run(|| Ok(program_of("v1"))).unwrap());
}
