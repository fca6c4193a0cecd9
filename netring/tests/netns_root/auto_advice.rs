//! A process that may not capture gets one line for each backend that permits it. Each line is
//! followed literally.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::program;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::{Program, Said, command};
use xtask::netns::{Netns, ip, veth};

/// A copy of the example in a folder that every user may enter.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("netring-{}-auto", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let anybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder, anybody).unwrap();
        let copy = Self(folder);
        std::fs::copy(command("queues").get_program(), copy.program()).unwrap();
        copy
    }

    fn program(&self) -> PathBuf {
        self.0.join("queues")
    }

    /// The output as user `nobody` with 8 MiB of lockable memory, for a capture of no packets.
    fn said(&self) -> Said {
        let mut limited = Command::new("prlimit");
        limited.arg("--memlock=8388608:8388608");
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
        limited.arg("setpriv").args(nobody).arg(self.program());
        Program::spawn("queues", limited.args(["v1", "0"])).end()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Follows the advice for `setcap`.
#[track_caller]
fn follow(line: &str, program: &Path) {
    let (_, rest) = line
        .split_once("`sudo setcap ")
        .unwrap_or_else(|| panic!("{line}"));
    let (grant, _) = rest.split_once(" PROGRAM`").unwrap();
    let done = Command::new("setcap").arg(grant).arg(program).status();
    assert!(done.unwrap().success(), "{line}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_line_that_auto_says_lets_its_backend_be_opened() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let copy = Copy::new();
    let none = "AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)";
    for (mtu, driver) in [
        (
            1500,
            "AF_XDP native: opened; captured packets do not reach this host",
        ),
        // Packet memory exceeds what user `nobody` may lock.
        (
            9000,
            "AF_XDP native: opened with multi-buffer; captured packets do not reach this host",
        ),
    ] {
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu {mtu}")).unwrap();
        }
        // A program without capabilities: no backend is available.
        let _ = Command::new("setcap")
            .arg("-r")
            .arg(copy.program())
            .status();
        let refused = copy.said();
        assert!(!refused.ok, "{refused:?}");
        let lines: Vec<&str> = refused.err.lines().collect();
        // All backends of AF_XDP need the same here.
        let [none_is, xdp, af_packet] = lines[..] else {
            panic!("{refused:?}");
        };
        assert_eq!(none_is, "v1: no backend is available:");
        assert!(
            xdp.starts_with("  AF_XDP zero-copy, native, generic (skb): "),
            "{xdp}"
        );
        follow(xdp, &copy.program());
        let opened = copy.said();
        opened.went_well();
        assert_eq!(opened.out, [none, driver, "offered 0, dropped 0"], "{xdp}");
        // The smallest of them needs the least.
        follow(af_packet, &copy.program());
        let opened = copy.said();
        opened.went_well();
        assert_eq!(
            opened.out[1..],
            ["AF_PACKET: opened", "offered 0, dropped 0"]
        );
        // And reports what the better ones need, beyond what was granted.
        follow(&opened.out[0], &copy.program());
        assert_eq!(copy.said().out[1], driver);
    }
}
