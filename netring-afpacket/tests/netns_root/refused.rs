//! Whoever may not capture is told what helps there: as a user, in a container, under no_new_privs,
//! in a user namespace. Advice that can be followed on the spot is followed.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(
    clippy::print_stdout,
    reason = "a test that is run again tells by its output"
)]

use std::process::Command;

use netring_afpacket::Capture;
use xtask::netns::Netns;

const ROLE: &str = "NETRING_ROLE";
const USER: &str = "--reuid=65534 --regid=65534 --clear-groups";

/// What a process says that tries to capture in this thread's namespace, started behind these
/// words.
fn said(words: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let words = words.split_whitespace().collect::<Vec<_>>();
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((_, told)) = said.split_once("told: ") else {
        panic!("{words:?}: {output:?}");
    };
    told.lines().next().unwrap().to_owned()
}

/// The role of the other tests; nothing by itself.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tries_to_capture() {
    if std::env::var_os(ROLE).is_some() {
        match Capture::open("lo") {
            Ok(_) => println!("told: opened"),
            Err(error) => println!("told: {error}"),
        }
    }
}

fn needs(said: &str, contains: &[&str], lacks: &[&str]) {
    let start = "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW";
    assert!(said.starts_with(start), "{said}");
    for part in contains {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in lacks {
        assert!(!said.contains(part), "{part}: {said}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_user_is_told_how_to_give_the_program_the_capability() {
    let _ns = Netns::enter().unwrap();
    let said = said(&format!("setpriv {USER}"));
    assert_eq!(
        said,
        "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW; run it as root, or give the program the capability once with \
         `sudo setcap cap_net_raw=ep PROGRAM`, or run it in a namespace of its own with `unshare --user --map-root-user --net`"
    );
    assert_eq!(self::said("setpriv --reuid=0"), "opened");
}

/// As `docker run --cap-drop NET_RAW` does.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_of_a_container_without_the_capability_is_not_told_to_be_root() {
    let _ns = Netns::enter().unwrap();
    let outside = [
        "even root cannot get here",
        "`--cap-add=NET_RAW`",
        "add: [NET_RAW]",
    ];
    let root = said("setpriv --bounding-set=-net_raw");
    needs(&root, &outside, &["run it as root", "setcap"]);
    let user = said(&format!("setpriv --bounding-set=-net_raw {USER}"));
    let then = "then run it as root there, or give the program the capability once with `sudo setcap cap_net_raw=ep PROGRAM`";
    needs(&user, &[&outside[..], &[then]].concat(), &[]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_that_dropped_the_capability_is_not_told_to_be_root() {
    let _ns = Netns::enter().unwrap();
    let root = said("setpriv --securebits=+noroot,+noroot_locked --inh-caps=-all");
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
    let told = said(&user);
    let ambient = "--inh-caps=+net_raw --ambient-caps=+net_raw";
    needs(
        &told,
        &["no_new_privs", "`AmbientCapabilities=CAP_NET_RAW`", ambient],
        &["run it as root", "sudo setcap"],
    );
    assert_eq!(said(&format!("{user} {ambient}")), "opened");
    let root = said("setpriv --securebits=+noroot,+noroot_locked --inh-caps=-all --no-new-privs");
    needs(&root, &["no_new_privs"], &["run it as root", "sudo setcap"]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn root_of_a_user_namespace_is_told_that_the_network_is_not_its_own() {
    let _ns = Netns::enter().unwrap();
    let told = said("unshare --user --map-root-user");
    assert_eq!(
        told,
        "socket(AF_PACKET) was refused: the process has CAP_NET_RAW in its user namespace, to which this network does not belong; run it \
         outside of the user namespace, or in a network of its own with `unshare --net`"
    );
    assert_eq!(
        said("unshare --user --map-root-user unshare --net"),
        "opened"
    );
}
