//! What an interface says about itself, compared with ethtool, in namespaces of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::process::Command;

use netring_sys::{Duplex, Error, Interface, InterfaceInformation, Timestamping};
use xtask::netns::{Netns, ip, veth};

/// What ethtool prints with these arguments, in this thread's namespace; `None` if it fails.
fn ethtool(words: &str) -> Option<String> {
    let output = Command::new("ethtool").args(words.split(' ')).output();
    let output = output.expect("ethtool is installed (Debian: ethtool)");
    let is_done = output.status.success();
    is_done.then(|| String::from_utf8(output.stdout).unwrap())
}

/// The value after `name:` in what ethtool printed, the `nth` one.
fn value(text: &str, name: &str, nth: usize) -> String {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    let lines = lines.by_ref().filter(|(reported, _)| *reported == name);
    let found = lines.map(|(_, value)| value.trim()).nth(nth);
    found.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
}

fn of(name: &str) -> InterfaceInformation {
    Interface::by_name(name).unwrap().information().unwrap()
}

/// The names that ethtool has for some features, and the kernel's.
const RENAMED: [(&str, &str); 8] = [
    ("rx-checksumming", "rx-checksum"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("generic-receive-offload", "rx-gro"),
    ("large-receive-offload", "rx-lro"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("receive-hashing", "rx-hashing"),
];

/// Names that stand for several features.
const SEVERAL: [&str; 3] = [
    "tx-checksumming",
    "scatter-gather",
    "tcp-segmentation-offload",
];

/// Compares every feature that ethtool lists.
#[track_caller]
fn features_agree(interface: &str) {
    let ours = of(interface);
    let text = ethtool(&format!("-k {interface}")).unwrap();
    let mut compared = 0;
    for line in text.lines().skip(1) {
        let (name, state) = line.trim().split_once(": ").unwrap();
        if SEVERAL.contains(&name) {
            continue;
        }
        let renamed = RENAMED.iter().find(|(theirs, _)| *theirs == name);
        let kernel = renamed.map_or(name, |(_, kernel)| kernel);
        let is_on = state.starts_with("on");
        assert_eq!(ours.is_active(kernel), Some(is_on), "{interface}: {line}");
        let found = ours.feature(kernel);
        let changeable = found.is_some_and(|found| found.changeable);
        assert_eq!(
            changeable,
            !state.contains("[fixed]"),
            "{interface}: {line}"
        );
        if let Some(found) = found.filter(|found| found.changeable) {
            let wanted = match state.split_once("[requested ") {
                Some((_, wanted)) => wanted == "on]",
                None => is_on,
            };
            assert_eq!(found.wanted, wanted, "{interface}: {line}");
        }
        compared += 1;
    }
    assert!(compared > 40, "{text}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_driver_link_and_queues_are_those_that_ethtool_reports() {
    let _ns = Netns::enter().unwrap();
    ip("link add v0 numtxqueues 4 numrxqueues 4 type veth peer name v1 numtxqueues 2 numrxqueues 3")
        .unwrap();
    ip("link set v0 up").unwrap();
    ip("link set v1 up").unwrap();
    let driver = of("v0").driver.unwrap();
    let text = ethtool("-i v0").unwrap();
    assert_eq!(driver.name, value(&text, "driver", 0));
    assert_eq!(driver.version, value(&text, "version", 0));
    assert_eq!((driver.bus, driver.firmware), (None, None));

    let ours = of("v0");
    let text = ethtool("v0").unwrap();
    let speed = ours.speed.map(|speed| format!("{speed}Mb/s"));
    assert_eq!(speed, Some(value(&text, "Speed", 0)));
    assert_eq!(value(&text, "Duplex", 0), "Full");
    assert_eq!(ours.duplex, Some(Duplex::Full));
    assert_eq!(
        (
            value(&text, "Auto-negotiation", 0).as_str(),
            ours.negotiates
        ),
        ("off", Some(false))
    );
    // The driver has no rings.
    assert_eq!((ethtool("-g v0"), ours.rings), (None, None));

    for change in ["-L v0 rx 4 tx 4", "-L v0 rx 2 tx 3", "-L v0 rx 1 tx 1"] {
        ethtool(change).unwrap();
        let (queues, text) = (of("v0").queues.unwrap(), ethtool("-l v0").unwrap());
        let (rx, tx) = (queues.rx.unwrap(), queues.tx.unwrap());
        for (nth, rx, tx) in [(0, rx.max, tx.max), (1, rx.current, tx.current)] {
            assert_eq!(rx.to_string(), value(&text, "RX", nth), "{change}");
            assert_eq!(tx.to_string(), value(&text, "TX", nth), "{change}");
        }
        assert_eq!((rx.max, tx.max), (4, 4));
        assert_eq!((queues.combined, queues.other), (None, None));
        let interface = Interface::by_name("v0").unwrap();
        assert_eq!(
            (interface.rx_queues, interface.tx_queues),
            (rx.current, tx.current)
        );
    }
    let peer = of("v1").queues.unwrap();
    assert_eq!((peer.rx.unwrap().max, peer.tx.unwrap().max), (3, 2));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_feature_is_as_ethtool_reports_it_also_after_it_was_switched() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    features_agree("lo");
    features_agree("v0");
    for (change, name, active) in [
        ("gro on", "rx-gro", true),
        ("gro off", "rx-gro", false),
        ("rxvlan off", "rx-vlan-hw-parse", false),
        ("gso off", "tx-generic-segmentation", false),
        // Requested, and off because checksums are.
        ("tx off", "tx-tcp-segmentation", false),
        ("tx on", "tx-tcp-segmentation", true),
    ] {
        ethtool(&format!("-K v0 {change}")).unwrap();
        assert_eq!(of("v0").is_active(name), Some(active), "{change}");
        features_agree("v0");
    }
    ethtool("-K v0 tx off").unwrap();
    let ours = of("v0");
    let segmentation = ours.feature("tx-tcp-segmentation").unwrap();
    assert!(
        segmentation.wanted && !segmentation.active,
        "{segmentation:?}"
    );
    // The interface cannot have it, and there is none of this name.
    let joined = ours.feature("rx-lro").unwrap();
    assert!(!joined.active && !joined.wanted && !joined.changeable);
    assert_eq!(ours.feature("no-such-feature"), None);
    assert_eq!(ours.is_active("no-such-feature"), Some(false));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn speed_and_duplex_are_those_that_are_set() {
    let _ns = Netns::enter().unwrap();
    ip("tuntap add dev t0 mode tap").unwrap();
    for (speed, duplex, expected) in [
        (100, "half", Duplex::Half),
        (25_000, "full", Duplex::Full),
        (400_000, "full", Duplex::Full),
    ] {
        ethtool(&format!("-s t0 speed {speed} duplex {duplex}")).unwrap();
        let ours = of("t0");
        assert_eq!((ours.speed, ours.duplex), (Some(speed), Some(expected)));
    }
    let driver = of("t0").driver.unwrap();
    assert_eq!(
        (driver.name.as_str(), driver.bus.as_deref()),
        ("tun", Some("tap"))
    );
    assert_eq!(driver.to_string(), format!("tun {} at tap", driver.version));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_an_interface_does_not_report_is_none() {
    let _ns = Netns::enter().unwrap();
    let lo = of("lo");
    assert_eq!(ethtool("-i lo"), None);
    assert_eq!((&lo.driver, lo.speed, lo.duplex), (&None, None, None));
    assert_eq!((lo.queues, lo.rings), (None, None));
    assert_eq!(lo.carries_default_route, Some(false));
    let timestamping = lo.timestamping.as_ref().map(Timestamping::to_string);
    assert_eq!(timestamping.as_deref(), Some("no hardware timestamps"));
    let xdp = lo.xdp.unwrap();
    assert!(!xdp.native && !xdp.zero_copy, "{xdp:?}");
    assert!(lo.features.is_some());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_gone_is_an_error_with_its_name() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    ip("link del v0").unwrap();
    let error = v0.information().unwrap_err();
    assert!(
        matches!(&error, Error::NoSuchInterface { name, namespace: None } if name == "v0"),
        "{error}"
    );
}

/// An interface that was renamed is asked by its index; one of a given namespace is asked there.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_the_interface_is_asked_in_its_namespace_and_by_its_index() {
    let _ns = Netns::enter().unwrap();
    ip("link add v0 numtxqueues 2 numrxqueues 2 type veth peer name v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    ip("link set v0 name new").unwrap();
    ip("link add v0 type dummy")
        .or_else(|_| ip("link add v0 type veth peer name other"))
        .unwrap();
    let rx = |information: InterfaceInformation| information.queues.unwrap().rx.unwrap().max;
    let renamed = v0.information().unwrap();
    assert_eq!(renamed.driver.as_ref().unwrap().name, "veth");
    assert_eq!(rx(renamed), 2);

    let there = Netns::new().unwrap();
    there
        .run(|| ip("link add far numtxqueues 4 numrxqueues 4 type veth peer name peer"))
        .unwrap();
    let far = Interface::by_name_in(&there.handle().unwrap(), "far").unwrap();
    assert_eq!(rx(far.information().unwrap()), 4);
    there.run(|| ip("link del far")).unwrap();
    let error = far.information().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::NoSuchInterface {
                namespace: Some(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_default_route_and_xdp_are_as_they_are_set() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    assert_eq!(of("v0").carries_default_route, Some(false));
    ip("address add 10.0.0.1/24 dev v0").unwrap();
    ip("route add default via 10.0.0.2").unwrap();
    assert_eq!(of("v0").carries_default_route, Some(true));
    // The driver of v0 takes redirected packets if v1 polls for them, as it does for GRO.
    let xdp = of("v0").xdp.unwrap();
    assert!(
        xdp.native && xdp.redirect && xdp.receive_segments,
        "{xdp:?}"
    );
    assert!(!xdp.redirect_target && !xdp.zero_copy, "{xdp:?}");
    ethtool("-K v1 gro on").unwrap();
    assert!(of("v0").xdp.unwrap().redirect_target);
}
