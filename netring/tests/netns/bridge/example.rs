//! Runs the example as a program.

use xtask::netns::Netns;
use xtask::wire::{Sender, Sniffer, numbered, tcp4};

use super::{LIMIT, SILENCE, wires};
use crate::program::{Program, argument_is_named, captures};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn bridge_forwards_what_an_expression_does_not_select() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    let senders = ["a1", "b1"].map(|name| Sender::on(name).unwrap());
    let mut program = Program::start("bridge", &["a0", "b0", "tcp port 23", "4"]);
    program.until("capture", |pid| captures(pid, "a0") && captures(pid, "b0"));
    let telnet = tcp4(1, 23, 1, 2, &[]);
    for sender in &senders {
        sender.send(&numbered(1, 100)).unwrap();
        sender.send(&telnet).unwrap();
        sender.send(&numbered(2, 100)).unwrap();
    }
    for sniffer in &sniffers {
        for n in [1, 2] {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
        }
    }
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "A to B: 3 received: 2 forwarded, 1 dropped",
            "B to A: 3 received: 2 forwarded, 1 dropped"
        ]
    );
    for sniffer in &sniffers {
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn bridge_names_what_is_wrong() {
    let _ns = Netns::enter().unwrap();
    wires();
    argument_is_named("bridge", &["a0", "b0", "ip"], "SECONDS");
    let said = Program::start("bridge", &["a0", "none"]).end();
    assert!(
        !said.ok && said.err.contains("there is no interface \"none\""),
        "{said:?}"
    );
    let said = Program::start("bridge", &["a0", "b0", "ip and and"]).end();
    assert!(
        !said.ok && said.out.is_empty() && !said.err.is_empty(),
        "{said:?}"
    );
}
