//! A process that may capture but not enter another network namespace learns what it lacks.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(
    clippy::print_stdout,
    reason = "a test that runs again reports by its output"
)]

use std::process::Command;

use netring_afpacket::Capture;
use netring_sys::Namespace;
use xtask::netns::{Netns, ip, own_names};

const ROLE: &str = "NETRING_ROLE";
const USER: &str = "--reuid=65534 --regid=65534 --clear-groups";

/// The process that the other tests start; without a role it does nothing.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tries_to_capture_elsewhere() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let namespace = match role.to_str() {
        Some("current") => Namespace::current(),
        Some("name") => Namespace::by_name("blue"),
        process => Namespace::of_process(process.unwrap().parse().unwrap()),
    };
    let capture = namespace.and_then(|namespace| {
        let builder = Capture::builder().interface("lo").namespace(namespace);
        builder.build()
    });
    match capture {
        Ok(_) => println!("result: opened"),
        Err(error) => println!("result: {error}"),
    }
}

/// The output of an unprivileged process with these capabilities.
fn output_of(role: &str, capabilities: &str) -> String {
    let given = match capabilities {
        "" => String::new(),
        names => format!(" --inh-caps={names} --ambient-caps={names}"),
    };
    let output = Command::new("setpriv")
        .args(format!("{USER}{given}").split_whitespace())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "namespace::tries_to_capture_elsewhere",
            "--ignored",
            "--nocapture",
        ])
        .env(ROLE, role)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((_, text)) = text.split_once("result: ") else {
        panic!("{output:?}");
    };
    text.lines().next().unwrap().to_owned()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_error_for_a_forbidden_namespace_names_both_capabilities() {
    let _ns = Netns::enter().unwrap();
    own_names().unwrap();
    ip("netns add blue").unwrap();
    assert_eq!(
        output_of("name", "+net_raw"),
        "setns(CLONE_NEWNET) was refused: the process needs CAP_SYS_ADMIN; run it as root, or give the program the capability once \
         with `sudo setcap cap_net_raw,cap_sys_admin=ep PROGRAM`; the root of a user namespace is not enough"
    );
    let text = output_of("name", "+sys_admin");
    let start = "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW and CAP_SYS_ADMIN;";
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.contains("`sudo setcap cap_net_raw,cap_sys_admin=ep PROGRAM`"),
        "{text}"
    );
    assert_eq!(output_of("name", "+net_raw,+sys_admin"), "opened");
    // No capability to enter the namespace that the process is in.
    assert_eq!(output_of("current", "+net_raw"), "opened");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_namespace_of_a_process_of_another_user_takes_another_capability() {
    let _ns = Netns::enter().unwrap();
    let there = Netns::new().unwrap();
    let sleep = || Command::new("sleep").arg("60").spawn();
    let mut sleeping = there.run(sleep).unwrap();
    let process = sleeping.id().to_string();
    let texts = ["+net_raw,+sys_admin", "+net_raw,+sys_admin,+sys_ptrace"]
        .map(|capabilities| output_of(&process, capabilities));
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    let [text, with_all] = texts;
    let start = "open(NAMESPACE) was refused: the process needs CAP_SYS_PTRACE;";
    assert!(text.starts_with(start), "{text}");
    let grant = "`sudo setcap cap_net_raw,cap_sys_ptrace,cap_sys_admin=ep PROGRAM`";
    assert!(text.contains(grant), "{text}");
    assert_eq!(with_all, "opened");
}
