//! What an interface receives because a capture requests it: all multicast groups, single
//! addresses.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::process::Command;
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Membership, Profile};
use netring_sys::{Count, Error, PacketSource};
use xtask::netns::{Netns, ip, ip_says, veth};
use xtask::wire::{Sender, collect, numbered};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(300);

fn on(interface: &str) -> CaptureBuilder {
    let builder = Capture::builder().interface(interface);
    let builder = builder.profile(Profile::LowMemory);
    builder.retire_timeout(Duration::from_millis(5))
}

/// An Ethernet multicast address of an IPv4 group.
fn group(n: u8) -> [u8; 6] {
    [0x01, 0x00, 0x5e, 0x11, 0x22, n]
}

fn to(address: [u8; 6], number: u64) -> Vec<u8> {
    let mut frame = numbered(number, 100);
    frame[..6].copy_from_slice(&address);
    frame
}

/// The groups of the received frames.
fn groups(capture: &mut Capture, count: usize, limit: Duration) -> Vec<u8> {
    let packets = collect(capture, count, limit).unwrap();
    packets.iter().map(|packet| packet.data()[5]).collect()
}

/// A macvlan interface `m` over `v1`, which filters by address as a card does.
fn filtering() -> (Netns, Sender) {
    let ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    ip("link add link v1 name m type macvlan mode bridge").unwrap();
    ip("link set dev m addrgenmode none").unwrap();
    ip("link set dev m up").unwrap();
    (ns, Sender::on("v0").unwrap())
}

/// How often a mode is requested of `interface`, as the kernel counts.
fn requests(interface: &str, mode: &str) -> u32 {
    let reported = ip_says(&format!("-details link show dev {interface}")).unwrap();
    let (_, rest) = reported.split_once(&format!("{mode} ")).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The link layer groups of `interface`, as the kernel lists them.
fn joined(interface: &str) -> Vec<String> {
    let reported = ip_says(&format!("maddress show dev {interface}")).unwrap();
    let links = reported
        .lines()
        .filter_map(|line| line.trim().strip_prefix("link "));
    let groups = links.filter(|line| line.trim().starts_with("01:00:5e:11:22"));
    groups.map(|line| line.trim().to_owned()).collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn all_multicast_brings_groups_that_nobody_joined() {
    let (_ns, sender) = filtering();
    // The interface filters by a hash of the address, so a group may pass for another's sake.
    let mut plain = on("m").build().unwrap();
    (0..8).for_each(|n| sender.send(&to(group(n), 0)).unwrap());
    let by_chance = groups(&mut plain, 8, SILENCE);
    assert!(by_chance.len() < 4, "{by_chance:?}");
    let silent = |n: &u8| !by_chance.contains(n);
    assert_eq!(requests("m", "allmulti"), 0);

    let (one, two) = (on("m").all_multicast(true), on("m").all_multicast(true));
    let (one, mut two) = (one.build().unwrap(), two.build().unwrap());
    assert_eq!(two.memberships(), [Membership::AllMulticast]);
    assert_eq!(requests("m", "allmulti"), 2);
    drop(one);
    assert_eq!(
        (requests("m", "allmulti"), requests("m", "promiscuity")),
        (1, 0)
    );
    (0..8).for_each(|n| sender.send(&to(group(n), 0)).unwrap());
    assert_eq!(groups(&mut two, 8, LIMIT), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(two.stats().unwrap().offered, Count::Exact(8));
    drop(two);
    assert_eq!(requests("m", "allmulti"), 0);

    // One group alone, while a capture that requests it exists.
    let wanted = (0..8).find(silent).unwrap();
    let mut one = on("m").multicast(group(wanted)).build().unwrap();
    (0..8).for_each(|n| sender.send(&to(group(n), 0)).unwrap());
    let received = groups(&mut one, 8, SILENCE);
    let expected: Vec<_> = (0..8).filter(|n| *n == wanted || !silent(n)).collect();
    // And those whose hash equals that of the requested one.
    assert!(
        expected.iter().all(|n| received.contains(n)),
        "{received:?}"
    );
    assert!(received.len() < 5, "{received:?}");
    // macvlan forgets the hash of a group late; the kernel's list of groups is exact.
    assert_eq!(joined("m").len(), 1);
    drop(one);
    assert_eq!(joined("m"), [""; 0]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_address_is_kept_as_long_as_one_capture_asks_for_it() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (first, second) = ("01:00:5e:11:22:01", "01:00:5e:11:22:02");
    let both = on("v1")
        .multicast(group(1))
        .multicast(group(2))
        .build()
        .unwrap();
    let memberships = [1, 2].map(|n| Membership::Multicast(group(n).into()));
    assert_eq!(both.memberships(), memberships);
    // Twice in one capture is once.
    let one = on("v1")
        .multicast(group(1))
        .multicast(group(1))
        .build()
        .unwrap();
    assert_eq!(joined("v1"), [format!("{first} users 2"), second.into()]);
    drop(both);
    assert_eq!(joined("v1"), [first]);
    drop(one);
    assert_eq!(joined("v1"), [""; 0]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_second_unicast_address_is_in_the_filter_of_the_interface() {
    let (_ns, sender) = filtering();
    let other = [0x02, 0, 0, 0, 0, 0x55];
    let kept = |interface: &str| {
        let output = Command::new("bridge")
            .args(["fdb", "show", "dev", interface])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.lines()
            .filter(|line| line.starts_with("02:00:00:00:00:55"))
            .count()
    };
    // A macvlan interface has room for another address, and passes it to the interface below.
    let capture = on("m").unicast(other).build().unwrap();
    assert_eq!((kept("m"), kept("v1")), (1, 1));
    assert_eq!(requests("m", "promiscuity"), 0);
    drop(capture);
    assert_eq!((kept("m"), kept("v1")), (0, 0));
    // veth has none, and becomes promiscuous.
    assert_eq!(requests("v0", "promiscuity"), 0);
    let capture = on("v0").unicast(other).build().unwrap();
    assert_eq!((kept("v0"), requests("v0", "promiscuity")), (1, 1));
    drop(capture);
    assert_eq!((kept("v0"), requests("v0", "promiscuity")), (0, 0));

    // veth does not filter: packets to any address arrive with or without.
    let mut plain = on("v1").build().unwrap();
    sender.send(&to(other, 7)).unwrap();
    assert_eq!(collect(&mut plain, 1, LIMIT).unwrap().len(), 1);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_address_that_the_interface_cannot_have_is_refused() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let unicast = [0x02, 0, 0, 0, 0, 0x55];
    let long = vec![1; 33];
    for (builder, text) in [
        (
            on("v1").multicast([1, 2, 3, 4, 5]),
            "multicast: 5 bytes; a hardware address of v1 has 6",
        ),
        (
            on("v1").multicast([]),
            "multicast: 0 bytes; a hardware address of v1 has 6",
        ),
        (
            on("v1").unicast(long.clone()),
            "unicast: 33 bytes; a hardware address of v1 has 6",
        ),
        (
            on("v1").multicast(unicast),
            "multicast: 02:00:00:00:00:55 is a unicast address; use `unicast`",
        ),
        (
            on("v1").unicast(group(1)),
            "unicast: 01:00:5e:11:22:01 is a multicast address; use `multicast`",
        ),
    ] {
        let error = builder.promiscuous(true).build().unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        assert_eq!(error.to_string(), text);
        assert_eq!(requests("v1", "promiscuity"), 0);
    }
    // An interface without hardware addresses: the kernel refuses, and what was set is undone.
    ip("tuntap add dev tun0 mode tun").unwrap();
    ip("link set dev tun0 up").unwrap();
    for (address, text) in [
        (
            group(1).to_vec(),
            "multicast: tun0 does not take an address of 6 bytes",
        ),
        (long, "multicast: 33 bytes; a hardware address has 1 to 32"),
    ] {
        let builder = on("tun0").promiscuous(true).multicast(address);
        assert_eq!(builder.build().unwrap_err().to_string(), text);
        assert_eq!(requests("tun0", "promiscuity"), 0);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_removed_takes_its_memberships_with_it() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let builder = on("v1").promiscuous(true).all_multicast(true);
    let mut capture = builder.multicast(group(1)).build().unwrap();
    ip("link delete v0").unwrap();
    let ended = loop {
        match capture.wait(Some(LIMIT)) {
            Err(error) if error.is_terminal() => break error,
            Ok(_) | Err(_) => {}
        }
    };
    assert!(matches!(ended, Error::InterfaceRemoved { .. }), "{ended}");
    // An interface of the same name is another one, and dropping the capture does not touch it.
    veth("v0", "v1").unwrap();
    let new = on("v1").promiscuous(true).build().unwrap();
    drop(capture);
    assert_eq!(requests("v1", "promiscuity"), 1);
    drop(new);
}
