//! Where a program runs: the requested mode, the mode that was reached, and interfaces that support
//! neither.

use crate::common;

use common::attached::*;
use netring_sys::{Error, XdpMode};
use netring_xdp::program::{AttachMode, Program};
use xtask::netns::{Netns, ip, veth};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x20_what_was_reached_is_reported_with_the_reason() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    // The driver of `lo` has no native mode.
    let error = redirect("lo", AttachMode::Native).unwrap_err();
    assert!(
        matches!(&error, Error::Syscall(failed) if failed.is(EOPNOTSUPP)),
        "{error}"
    );
    assert_eq!(program_of("lo"), None);
    let best = redirect("lo", AttachMode::BestAvailable).unwrap();
    assert_eq!(
        (best.requested(), best.mode()),
        (AttachMode::BestAvailable, XdpMode::Generic)
    );
    let why = best.why_not_native().unwrap();
    assert!(
        matches!(why, Error::Syscall(failed) if failed.is(EOPNOTSUPP)),
        "{why}"
    );
    assert_eq!(
        program_of("lo"),
        Some(("xdpgeneric".to_owned(), best.program_id()))
    );
    drop(best);
    // The requested mode was reached: there is nothing to explain.
    assert!(
        redirect("lo", AttachMode::Generic)
            .unwrap()
            .why_not_native()
            .is_none()
    );
    let best = redirect("v0", AttachMode::BestAvailable).unwrap();
    assert_eq!(
        (best.mode(), best.why_not_native().is_none()),
        (XdpMode::Native, true)
    );
    drop(best);

    // A frame that does not fit in one buffer of the driver.
    ip("link set v1 mtu 9000").unwrap();
    let error = redirect("v0", AttachMode::Native).unwrap_err();
    assert!(error.to_string().contains("3506"), "{error}");
    let best = redirect("v0", AttachMode::BestAvailable).unwrap();
    assert_eq!(best.mode(), XdpMode::Generic);
    assert!(best.why_not_native().is_some());
    drop(best);
    let whole = Program::redirect().multi_buffer(true).load().unwrap();
    let whole = whole
        .attach(&interface("v0"), AttachMode::BestAvailable)
        .unwrap();
    assert_eq!(
        (whole.mode(), whole.why_not_native().is_none()),
        (XdpMode::Native, true)
    );
}

const EOPNOTSUPP: i32 = 95;

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_with_more_queues_than_there_is_room_for_is_refused() {
    let _ns = Netns::enter().unwrap();
    ip("link add v0 numrxqueues 4 type veth peer name v1 numtxqueues 4").unwrap();
    let few = Program::redirect().queues(3).load().unwrap();
    let error = few
        .attach(&interface("v0"), AttachMode::Generic)
        .unwrap_err()
        .to_string();
    assert!(error.contains("room for 3, and v0 has 4"), "{error}");
    let enough = Program::redirect().queues(4).load().unwrap();
    enough
        .attach(&interface("v0"), AttachMode::Generic)
        .unwrap();
    for queues in [0, 65_537] {
        let error = Program::redirect()
            .queues(queues)
            .load()
            .unwrap_err()
            .to_string();
        assert!(error.contains("not between 1 and 65536"), "{error}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_removed_takes_the_program_along() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = interface("v0");
    let attachment = redirect("v0", AttachMode::Native).unwrap();
    ip("link set v0 down").unwrap();
    assert!(attachment.is_attached().unwrap(), "down is not gone");
    ip("link del v0").unwrap();
    assert!(!attachment.is_attached().unwrap());
    assert_eq!(attachment.counters_total().unwrap().unwrap().offered(), 0);
    drop(attachment);
    let error = Program::redirect()
        .load()
        .unwrap()
        .attach(&v0, AttachMode::Native)
        .unwrap_err();
    assert!(matches!(error, Error::NoSuchInterface { .. }), "{error}");
}
