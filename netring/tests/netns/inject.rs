//! The examples that send, each run on a wire and looked at from its other end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring::Interface;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::Sniffer;

use crate::program::{Program, argument_is_named};

const LIMIT: Duration = Duration::from_secs(10);

/// The numbers of the frames that arrive, which are as the example makes them.
fn numbers(sniffer: &Sniffer, source: [u8; 6], count: u64) {
    for number in 0..count {
        let frame = sniffer.receive(LIMIT).unwrap().unwrap();
        let mut expected = [0; 60];
        expected[..6].fill(0xff);
        expected[6..12].copy_from_slice(&source);
        expected[12..14].copy_from_slice(&[0x88, 0xb5]);
        expected[14..22].copy_from_slice(&number.to_be_bytes());
        assert_eq!(frame, expected);
    }
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn inject_sends_numbered_frames_and_prints_what_became_of_them() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let said = Program::start("inject", &["v0", "40"]).end();
    said.went_well();
    let line = "40 committed: 40 sent, 0 dropped, 0 rejected, 0 pending; 0 refused, 0 in flight";
    assert_eq!(said.out, [line]);
    numbers(
        &sniffer,
        Interface::by_name("v0").unwrap().address.unwrap(),
        40,
    );
    ip("link set v0 down").unwrap();
    let said = Program::start("inject", &["v0", "40"]).end();
    assert!(!said.ok && said.err.contains("down"), "{said:?}");
    argument_is_named("inject", &["lo"], "FRAMES");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn paced_inject_takes_the_time_that_its_rate_asks_for() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let said = Program::start("paced_inject", &["v0", "50", "2"]).end();
    said.went_well();
    let line = "101 committed: 101 sent, 0 dropped, 0 rejected, 0 pending; 0 refused, 0 in flight";
    assert_eq!(said.out[0], line);
    // One that was held up says so, and takes longer by that.
    let (took, rest) = said.out[1].split_once("s, ").unwrap();
    let took: f64 = took.parse().unwrap();
    assert!(rest.ends_with(" of it not made up for"), "{rest}");
    let kept = rest.starts_with("0ns");
    assert!(took >= 2.0 && (took < 2.2 || !kept), "{said:?}");
    numbers(&sniffer, [0; 6], 101);
    argument_is_named("paced_inject", &["lo"], "RATE");
    let refused = Program::start("paced_inject", &["v0", "0", "1"]).end();
    assert!(
        !refused.ok && refused.err.contains("from 1 to"),
        "{refused:?}"
    );
}
