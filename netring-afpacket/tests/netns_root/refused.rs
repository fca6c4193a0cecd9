//! A process that may not capture gets advice that helps where it runs: as a user, in a container,
//! under no_new_privs, in a user namespace. The tests follow the advice if they can.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(
    clippy::print_stdout,
    reason = "a test that runs again reports by its output"
)]

use std::process::Command;

use netring_afpacket::Capture;
use xtask::netns::Netns;

const ROLE: &str = "NETRING_ROLE";
const USER: &str = "--reuid=65534 --regid=65534 --clear-groups";

/// Returns what a process prints that tries to capture in this thread's namespace, started through
/// this command.
fn output_of(command: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let words = command.split_whitespace().collect::<Vec<_>>();
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg(program)
        .args([
            "--exact",
            "refused::tries_to_capture",
            "--ignored",
            "--nocapture",
        ])
        .env(ROLE, "tries")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((_, text)) = text.split_once("result: ") else {
        panic!("{words:?}: {output:?}");
    };
    text.lines().next().unwrap().to_owned()
}

/// The process that the other tests start; without a role it does nothing.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tries_to_capture() {
    if std::env::var_os(ROLE).is_some() {
        match Capture::open("lo") {
            Ok(_) => println!("result: opened"),
            Err(error) => println!("result: {error}"),
        }
    }
}

fn needs(text: &str, contains: &[&str], lacks: &[&str]) {
    let start = "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW";
    assert!(text.starts_with(start), "{text}");
    for part in contains {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in lacks {
        assert!(!text.contains(part), "{part}: {text}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_user_learns_how_to_give_the_program_the_capability() {
    let _ns = Netns::enter().unwrap();
    let text = output_of(&format!("setpriv {USER}"));
    assert_eq!(
        text,
        "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW; run it as root, or give the program the capability once with \
         `sudo setcap cap_net_raw=ep PROGRAM`, or run it in a namespace of its own with `unshare --user --map-root-user --net`"
    );
    assert_eq!(output_of("setpriv --reuid=0"), "opened");
}

/// As `docker run --cap-drop NET_RAW` does.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_of_a_container_without_the_capability_is_not_advised_to_be_root() {
    let _ns = Netns::enter().unwrap();
    let outside = [
        "even root cannot get here",
        "`--cap-add=NET_RAW`",
        "add: [NET_RAW]",
    ];
    let root = output_of("setpriv --bounding-set=-net_raw");
    needs(&root, &outside, &["run it as root", "setcap"]);
    let user = output_of(&format!("setpriv --bounding-set=-net_raw {USER}"));
    let then = "then run it as root there, or give the program the capability once with `sudo setcap cap_net_raw=ep PROGRAM`";
    needs(&user, &[&outside[..], &[then]].concat(), &[]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_that_dropped_the_capability_is_not_advised_to_be_root() {
    let _ns = Netns::enter().unwrap();
    let root = output_of("setpriv --securebits=+noroot,+noroot_locked --inh-caps=-all");
    needs(
        &root,
        &["it runs as root without it", "setcap cap_net_raw=ep"],
        &["run it as root"],
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn under_no_new_privs_the_capability_has_to_come_from_outside() {
    let _ns = Netns::enter().unwrap();
    let user = format!("setpriv {USER} --no-new-privs");
    let text = output_of(&user);
    let ambient = "--inh-caps=+net_raw --ambient-caps=+net_raw";
    needs(
        &text,
        &["no_new_privs", "`AmbientCapabilities=CAP_NET_RAW`", ambient],
        &["run it as root", "sudo setcap"],
    );
    assert_eq!(output_of(&format!("{user} {ambient}")), "opened");
    let root =
        output_of("setpriv --securebits=+noroot,+noroot_locked --inh-caps=-all --no-new-privs");
    needs(&root, &["no_new_privs"], &["run it as root", "sudo setcap"]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_of_a_user_namespace_learns_that_the_network_is_not_its_own() {
    let _ns = Netns::enter().unwrap();
    let text = output_of("unshare --user --map-root-user");
    assert_eq!(
        text,
        "socket(AF_PACKET) was refused: the process has CAP_NET_RAW in its user namespace, to which this network does not belong; run it \
         outside the user namespace, or in a network namespace of its own with `unshare --net`"
    );
    assert_eq!(
        output_of("unshare --user --map-root-user unshare --net"),
        "opened"
    );
}
