//! Requests from another network namespace, in which the index belongs to another interface, are
//! refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::io;

use common::attached::interface;
use netring_sys::Error;
use netring_xdp::XdpCapture;
use netring_xdp::program::{AttachMode, Program};
use xtask::netns::{Netns, veth, veth_with_queues};

/// Two namespaces with a pair of interfaces each, with the same names and indexes. This thread is
/// in the first.
fn two(queues: u32) -> (Netns, Netns) {
    let here = Netns::enter().unwrap();
    let there = Netns::new().unwrap();
    veth_with_queues("v0", "v1", queues).unwrap();
    let other = there.run(|| veth("v0", "v1").map(|()| interface("v0").index));
    assert_eq!(other.unwrap(), interface("v0").index, "the same number");
    (here, there)
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, words: &[&str]) {
    let Err(error @ Error::Config { .. }) = result else {
        panic!("it is not refused");
    };
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_attachment_is_not_looked_for_in_another_namespace() {
    let (_here, there) = two(1);
    let program = Program::redirect().load().unwrap();
    let ours = program
        .attach(&interface("v0"), AttachMode::Native)
        .unwrap();
    assert!(ours.is_attached().unwrap());
    let asked = there.run(|| Ok(ours.is_attached())).unwrap();
    refused(asked, &["v0", "network namespace"]);
    assert!(ours.is_attached().unwrap());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_for_one_interface_is_not_attached_to_the_same_index_elsewhere() {
    let (_here, there) = two(1);
    let load = || Program::redirect().metadata(&interface("v0")).load();
    let program = load().unwrap();
    let elsewhere = there.run(|| Ok(program.attach(&interface("v0"), AttachMode::Native)));
    refused(
        elsewhere.unwrap(),
        &["bound to the interface", "network namespace"],
    );
    let there_too = there.run(|| {
        let program = load().map_err(io::Error::other)?;
        let attachment = program.attach(&interface("v0"), AttachMode::Native);
        attachment.map(drop).map_err(io::Error::other)
    });
    there_too.unwrap();
}

/// Each worker watches its interface, which has to be the one it was opened on.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn workers_are_not_made_in_another_namespace() {
    let (_here, there) = two(2);
    let open = || XdpCapture::open("v0").unwrap();
    let capture = open();
    let made = there.run(|| Ok(capture.into_workers())).unwrap();
    refused(made, &["v0", "network namespace"]);
    assert_eq!(open().into_workers().unwrap().len(), 2);
}
