//! Captures in a sandbox that forbids netlink: each backend opens, works, and reports what it does
//! not watch.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::sandbox;

use std::time::Duration;

use netring::auto::Backend;
use netring::{Count, PacketSource};
use sandbox::forbid_sockets;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, number, numbered};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_backend_works_without_netlink_and_says_what_it_does_not_watch() {
    for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
        std::thread::spawn(move || {
            let _ns = Netns::enter().unwrap();
            veth("v0", "v1").unwrap();
            let sender = Sender::on("v0").unwrap();
            forbid_sockets(libc::AF_NETLINK, libc::EAFNOSUPPORT);
            let builder = netring::auto::builder().interface("v1").backends([backend]);
            // Without netlink the default route is unknown, so this takes both words.
            let builder = builder.divert(true).divert_default_route(true);
            let mut capture = builder.build().unwrap();
            assert_eq!(capture.backend(), backend);
            let why = capture.why_link_unwatched().unwrap().to_string();
            assert!(why.contains("allow AF_NETLINK"), "{why}");
            for n in 0..3 {
                sender.send(&numbered(n, 60)).unwrap();
            }
            let packets = collect(&mut capture, 3, Duration::from_secs(1)).unwrap();
            let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
            assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2], "{backend:?}");
            assert_eq!(capture.stats().unwrap().link_downs, Count::AtLeast(0));
        })
        .join()
        .unwrap();
    }
}
