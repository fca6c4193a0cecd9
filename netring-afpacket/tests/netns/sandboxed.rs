//! A capture in a sandbox: opening it does not fail because of what it does not need, and an error
//! names what it needs.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use crate::sandbox;

use std::time::Duration;

use netring_afpacket::{Capture, LinkState, Profile};
use netring_sys::{Count, Error, Interface, PacketSource, Readiness};
use sandbox::forbid_sockets;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, number, numbered};

const SECOND: Duration = Duration::from_secs(1);

fn capture(interface: &str) -> Result<Capture, Error> {
    let builder = Capture::builder().interface(interface);
    builder.profile(Profile::LowMemory).build()
}

/// A namespace in which other threads do what this thread no longer may.
fn without_netlink(errno: i32) -> Netns {
    let ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link set dev a mtu 1400").unwrap();
    ip("link property add dev a altname second altname a-name-of-many-bytes").unwrap();
    forbid_sockets(libc::AF_NETLINK, errno);
    ns
}

/// `ip` needs netlink, so it runs on a thread that was started before the sandbox.
struct Outside {
    commands: std::sync::mpsc::Sender<&'static str>,
    done: std::sync::mpsc::Receiver<()>,
}

impl Outside {
    fn new() -> Self {
        let (commands, todo) = std::sync::mpsc::channel();
        let (finished, done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for command in todo {
                ip(command).unwrap();
                finished.send(()).unwrap();
            }
        });
        Self { commands, done }
    }

    fn ip(&self, command: &'static str) {
        self.commands.send(command).unwrap();
        self.done.recv().unwrap();
    }
}

/// The driver is asked by ioctl; the rest needs netlink.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn without_netlink_an_interface_says_what_ioctl_can_ask() {
    let _ns = without_netlink(libc::EPERM);
    let information = Interface::by_name("a").unwrap().information().unwrap();
    let driver = information.driver.unwrap();
    assert_eq!(
        (driver.name.as_str(), driver.version.as_str()),
        ("veth", "1.0")
    );
    assert!(information.timestamping.is_some());
    assert_eq!((information.speed, information.queues), (None, None));
    assert_eq!((information.features, information.xdp), (None, None));
    assert_eq!(information.carries_default_route, None);
}

fn next(capture: &mut Capture) -> Result<Readiness, Error> {
    capture.wait(Some(SECOND))
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_opens_without_netlink_and_says_what_it_does_not_watch() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let outside = Outside::new();
    forbid_sockets(libc::AF_NETLINK, libc::EAFNOSUPPORT);
    let mut capture = capture("a").unwrap();
    let why = capture.why_link_unwatched().unwrap();
    assert_eq!(why.call, "socket(AF_NETLINK)");
    assert!(why.to_string().contains("allow AF_NETLINK"), "{why}");
    assert_eq!(capture.stats().unwrap().link_downs, Count::AtLeast(0));
    for n in 0..3 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    let packets = collect(&mut capture, 3, SECOND).unwrap();
    let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2]);

    for downs in 1..=2 {
        outside.ip("link set dev a down");
        let down = next(&mut capture);
        assert!(
            matches!(&down, Err(Error::LinkDown { was_up: true, .. })),
            "{down:?}"
        );
        assert!(matches!(next(&mut capture), Ok(Readiness::Empty)));
        assert_eq!(capture.stats().unwrap().link_downs, Count::AtLeast(downs));
        outside.ip("link set dev a up");
    }
    outside.ip("link del dev a");
    for _ in 0..2 {
        let gone = loop {
            match next(&mut capture) {
                Err(Error::LinkDown { .. }) => {}
                other => break other,
            }
        };
        assert!(
            matches!(&gone, Err(Error::InterfaceRemoved { .. })),
            "{gone:?}"
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_removed_while_down_is_gone_without_netlink_too() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let outside = Outside::new();
    outside.ip("link set dev a down");
    forbid_sockets(libc::AF_NETLINK, libc::EPERM);
    let mut capture = capture("a").unwrap();
    let down = next(&mut capture);
    assert!(
        matches!(&down, Err(Error::LinkDown { was_up: false, .. })),
        "{down:?}"
    );
    assert!(matches!(next(&mut capture), Ok(Readiness::Empty)));
    assert_eq!(capture.link_state().unwrap(), LinkState::Unknown);
    let error = capture.link_monitor().map(drop).unwrap_err().to_string();
    assert!(error.contains("allow AF_NETLINK"), "{error}");
    // A reader that waits forever is not woken by the removal, and learns of it nevertheless.
    let reader = std::thread::spawn(move || {
        let next = capture.next_batch().map(|batch| batch.is_some());
        (next, capture)
    });
    std::thread::sleep(Duration::from_millis(50));
    outside.ip("link del dev a");
    let (gone, mut capture) = reader.join().unwrap();
    assert!(
        matches!(&gone, Err(Error::InterfaceRemoved { .. })),
        "{gone:?}"
    );
    assert_eq!(capture.link_state().unwrap(), LinkState::Removed);
    let gone = next(&mut capture);
    assert!(
        matches!(&gone, Err(Error::InterfaceRemoved { .. })),
        "{gone:?}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_is_known_by_ioctl_where_netlink_is_forbidden() {
    for errno in [libc::EAFNOSUPPORT, libc::EPERM, libc::EACCES, libc::ENOSYS] {
        std::thread::spawn(move || {
            let ns = Netns::enter().unwrap();
            veth("a", "b").unwrap();
            ip("link set dev a mtu 1400").unwrap();
            let full = Interface::by_name("a").unwrap();
            drop(ns);
            forbid_sockets(libc::AF_NETLINK, errno);
            let mut a = Interface::by_name("a").unwrap();
            assert!(a.is_partial && !full.is_partial);
            (a.is_partial, a.counters) = (false, full.counters);
            // The flags above the lower 16 bits are unavailable, except the carrier.
            assert_eq!(a.flags, full.flags & 0x1_ffff);
            a.flags = full.flags;
            assert_eq!(a, full);
            assert_eq!(Interface::by_index(a.index).unwrap().name, "a");
            let missing = Interface::by_name("c").unwrap_err();
            assert!(
                matches!(missing, Error::NoSuchInterface { .. }),
                "{missing}"
            );
            let all = Interface::all().unwrap_err().to_string();
            assert!(
                all.starts_with("socket(AF_NETLINK) failed; a sandbox forbids it"),
                "{all}"
            );
        })
        .join()
        .unwrap();
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_alternative_name_is_found_without_netlink_if_ioctl_has_room_for_it() {
    let _ns = without_netlink(libc::EAFNOSUPPORT);
    let a = Interface::by_name("second").unwrap();
    assert_eq!((a.name.as_str(), a.mtu), ("a", 1400));
    let long = Interface::by_name("a-name-of-many-bytes")
        .unwrap_err()
        .to_string();
    assert!(long.contains("allow AF_NETLINK"), "{long}");
}

/// systemd answers `EAFNOSUPPORT`, as a kernel without packet sockets does; containers answer
/// `EPERM`, as for a process without the capability. This one is root and has it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_that_forbids_packet_sockets_is_named() {
    for errno in [libc::EAFNOSUPPORT, libc::EPERM, libc::EACCES] {
        std::thread::spawn(move || {
            let _ns = Netns::enter().unwrap();
            forbid_sockets(libc::AF_PACKET, errno);
            let error = Capture::open("lo").unwrap_err();
            assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
            let text = error.to_string();
            assert!(
                text.starts_with("socket(AF_PACKET) was refused: "),
                "{text}"
            );
            assert!(text.contains("a seccomp filter forbids the call"), "{text}");
            assert!(text.contains("RestrictAddressFamilies="), "{text}");
            for wrong in ["run it as root", "setcap", "built without"] {
                assert!(!text.contains(wrong), "{wrong}: {text}");
            }
        })
        .join()
        .unwrap();
    }
}
