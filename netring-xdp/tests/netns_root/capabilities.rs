//! The error for a missing capability names it and how to grant it, and does not mention what would
//! have been missing next.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![allow(
    clippy::print_stdout,
    reason = "a test that runs itself again reports by its output"
)]

use crate::common;

use std::process::Command;

use common::attached::*;
use netring_sys::{Error, XdpMode, syscall};
use netring_xdp::program::{AttachMode, Program};
use netring_xdp::{SockFilter, XdpCapture};
use std::os::fd::AsFd;
use xtask::netns::{Netns, veth};

/// Runs this test again in another process, in this thread's namespace, as root with these changes.
/// Returns what it prints after `reported: `.
fn reported(test: &str, command: &[&str]) -> String {
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("capabilities::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .env("NETRING_ROLE", "changed")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let (_, reported) = said
        .split_once("reported: ")
        .unwrap_or_else(|| panic!("{said}"));
    reported.lines().next().unwrap().to_owned()
}

/// The role of these tests: tries to capture, and prints why it cannot.
fn ran_as_role() -> bool {
    let is_it = std::env::var_os("NETRING_ROLE").is_some();
    if is_it {
        println!("reported: {}", XdpCapture::open("v0").unwrap_err());
    }
    is_it
}

/// The process may lock one page of memory, and the capture needs more. The error names the missing
/// capability first, and memory only in addition.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_missing_capability_is_reported_before_a_lack_of_memory() {
    if ran_as_role() {
        return;
    }
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let test = "a_missing_capability_is_reported_before_a_lack_of_memory";
    let limited = ["prlimit", "--memlock=4096:4096", "setpriv"];
    for (without, memory) in [("-bpf,-sys_admin,-ipc_lock", false), ("-ipc_lock", true)] {
        let change = format!("--bounding-set={without}");
        let said = reported(test, &[&limited[..], &[&change, "--"]].concat());
        if memory {
            assert!(said.contains("locked"), "{said}");
            continue;
        }
        assert!(said.starts_with("bpf(BPF_"), "{said}");
        for word in [
            "the process needs CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and, for its packet memory, CAP_IPC_LOCK of the host, which even root cannot get here",
            "`--cap-add=IPC_LOCK --cap-add=BPF`",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        for wrong in ["unshare", "setcap", "run it as root"] {
            assert!(!said.contains(wrong), "{wrong}: {said}");
        }
    }
}

/// A user namespace would permit the socket but not the program.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn advice_for_a_socket_is_not_a_namespace_in_which_no_program_loads() {
    if ran_as_role() {
        return;
    }
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let said = reported(
        "advice_for_a_socket_is_not_a_namespace_in_which_no_program_loads",
        &["setpriv", "--bounding-set=-net_raw", "--"],
    );
    assert!(
        said.starts_with(
            "socket(AF_XDP) was refused: the process needs CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW of the host, which even root"
        ),
        "{said}"
    );
    assert!(said.contains("`--cap-add=NET_RAW`"), "{said}");
    assert!(!said.contains("unshare"), "{said}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_error_for_a_foreign_program_names_what_replacing_it_takes() {
    let replace = || {
        let there = interface("v0").xdp.unwrap();
        let program = Program::redirect().load().unwrap();
        program.attach_replacing(&interface("v0"), AttachMode::Generic, there.id)
    };
    if std::env::var_os("NETRING_ROLE").is_some() {
        let error = replace().unwrap_err();
        assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
        println!("reported: {error}");
        return;
    }
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let foreign = syscall::bpf_load_xdp(&foreign_program(), c"GPL").unwrap();
    interface("v0")
        .attach_xdp(foreign.as_fd(), XdpMode::Generic)
        .unwrap();
    let said = reported(
        "an_error_for_a_foreign_program_names_what_replacing_it_takes",
        &["setpriv", "--bounding-set=-sys_admin", "--"],
    );
    assert!(said.contains("the process needs CAP_SYS_ADMIN"), "{said}");
    assert!(said.contains("`--cap-add=SYS_ADMIN`"), "{said}");
    assert!(!said.contains("unshare"), "{said}");
    replace().unwrap();
}

/// The verifier is stricter without CAP_PERFMON (which comes with CAP_SYS_ADMIN).
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_takes_no_more_capabilities_than_it_says() {
    if std::env::var_os("NETRING_ROLE").is_some() {
        for multi_buffer in [false, true] {
            let builder = XdpCapture::builder().interface("v0").chunks(512);
            let builder = builder.multi_buffer(multi_buffer);
            builder.build().unwrap();
            let builder = XdpCapture::builder().interface("v0").chunks(512);
            let builder = builder.multi_buffer(multi_buffer).filter(EVERYTHING);
            builder.build().unwrap();
        }
        println!("reported: done");
        return;
    }
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let said = reported(
        "a_capture_takes_no_more_capabilities_than_it_says",
        &["setpriv", "--bounding-set=-sys_admin,-perfmon", "--"],
    );
    assert_eq!(said, "done");
}

/// Every way in which a filter accesses a packet and its scratch memory.
const EVERYTHING: [SockFilter; 11] = [
    SockFilter::stmt(0x80, 0),
    SockFilter::stmt(0x02, 3),
    SockFilter::stmt(0xb1, 14),
    SockFilter::stmt(0x48, 16),
    SockFilter::stmt(0x1c, 0),
    SockFilter::stmt(0x61, 3),
    SockFilter::jump(0x2d, 0, 0, 1),
    SockFilter::stmt(0x20, 0x9000),
    SockFilter::stmt(0x74, 3),
    SockFilter::stmt(0x9c, 0),
    SockFilter::stmt(0x16, 0),
];
