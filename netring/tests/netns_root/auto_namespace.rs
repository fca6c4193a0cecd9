//! `auto` in a network namespace other than the thread's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring::auto::{self, Backend};
use netring::{Error, PacketSource};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, number, numbered};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(300);

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_each_backend_opens_in_the_namespace_that_was_given() {
    let (_here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("v0", "v1").unwrap();
    there.run(|| veth("v0", "v1")).unwrap();
    let namespace = there.handle().unwrap();
    let builder = || auto::builder().interface("v1").namespace(namespace.clone());
    for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
        let mut capture = builder().divert(true).backends([backend]).build().unwrap();
        assert_eq!(capture.interface().namespace.as_ref(), Some(&namespace));
        let send = |first: u64| {
            let sender = Sender::on("v0").unwrap();
            (first..first + 10).for_each(|n| sender.send(&numbered(n, 100)).unwrap());
            Ok(())
        };
        send(0).unwrap();
        there.run(|| send(100)).unwrap();
        let packets = collect(&mut capture, 10, LIMIT).unwrap();
        let numbers = packets.iter().filter_map(|packet| number(packet.data()));
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            (100..110).collect::<Vec<_>>(),
            "{backend}"
        );
        assert!(collect(&mut capture, 1, SILENCE).unwrap().is_empty());
        assert_eq!(
            capture.stats().unwrap().delivered.exact(),
            Some(10),
            "{backend}"
        );
    }
    // The default route of that namespace is the one that matters.
    ip("route add default dev v1").unwrap();
    let opened = |backend| builder().divert(true).backends([backend]).build();
    assert!(opened(Backend::XdpNative).is_ok());
    there.run(|| ip("route add default dev v1")).unwrap();
    let error = opened(Backend::XdpNative).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a default route leads through v1"),
        "{error}"
    );
    let missing = auto::builder().interface("v7").namespace(namespace.clone());
    assert!(matches!(
        missing.build().unwrap_err(),
        Error::NoSuchInterface { .. }
    ));
}
