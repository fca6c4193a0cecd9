//! A program on an interface: who owns it, and when it is detached.
#![expect(clippy::unwrap_used, reason = "functions that serve tests")]

use crate::common;

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::LIMIT;
use common::attached::*;
use netring_sys::{Error, XdpMode, syscall};
use netring_xdp::program::{AttachMode, Program};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, Sniffer, numbered};

/// Attaches a program with `ip`, by netlink, and returns its id.
fn attach_foreign(on: &str, how: &str) -> u32 {
    attach_with_ip(on, how, &dispatcher(), "xdp")
}

fn attach_with_ip(on: &str, how: &str, object: &[u8], section: &str) -> u32 {
    // Tests run in parallel with the same names.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = format!("netring-{}-{number}.o", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, object).unwrap();
    let attached = ip(&format!(
        "link set {on} {how} object {} section {section}",
        path.display()
    ));
    std::fs::remove_file(&path).unwrap();
    attached.unwrap();
    program_of(on).unwrap().1
}

/// Runs this test program again as another process in this thread's namespace, with this test only.
fn again(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &format!("program_attach::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .env("NETRING_ROLE", role);
    command
}

fn holder() -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = again("an_attachment_is_seen_by_others", "hold")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the holder ended");
    }
    (child, lines)
}

/// Without a role it is a test; with one, the process that holds an attachment until it is killed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_attachment_is_seen_by_others() {
    let holds = std::env::var_os("NETRING_ROLE").is_some();
    let _ns = (!holds).then(|| {
        let ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        ns
    });
    for (mode, reported) in [
        (AttachMode::Native, "xdp"),
        (AttachMode::Generic, "xdpgeneric"),
    ] {
        let attachment = redirect("v0", mode).unwrap();
        assert_eq!(
            program_of("v0"),
            Some((reported.to_owned(), attachment.program_id()))
        );
        if holds {
            println!("attached");
            std::thread::sleep(Duration::from_secs(60));
        }
        drop(attachment);
        assert_eq!(program_of("v0"), None);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_after_a_kill_no_program_is_left() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for _ in 0..3 {
        let (mut child, _lines) = holder();
        assert!(program_of("v0").is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        while program_of("v0").is_some() {
            assert!(Instant::now() < deadline, "{}", shown("v0"));
        }
    }
    // The interface is free: no clean-up is necessary.
    redirect("v0", AttachMode::Native).unwrap();
}

/// Sets the flag when it is dropped, also if the test fails: otherwise a thread would wait forever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A child that starts has all descriptors of its parent for a moment, including that of the
/// attachment.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_dropped_attachment_is_gone_at_once_also_while_children_start() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
        }
        let _over = Over(&done);
        for _ in 0..60 {
            drop(redirect("v0", AttachMode::Native).unwrap());
            assert_eq!(interface("v0").xdp, None);
        }
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_foreign_program_is_named_and_left_alone() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for (how, mode) in [
        ("xdpdrv", XdpMode::Native),
        ("xdpgeneric", XdpMode::Generic),
    ] {
        let foreign = attach_foreign("v0", how);
        for asked in [
            AttachMode::Native,
            AttachMode::Generic,
            AttachMode::BestAvailable,
        ] {
            let error = redirect("v0", asked).unwrap_err();
            match &error {
                Error::ProgramInTheWay {
                    interface,
                    id,
                    name,
                    mode: reported,
                } => {
                    assert_eq!((interface.as_str(), *id, *reported), ("v0", foreign, mode));
                    assert_eq!(name.as_deref(), Some("xdp_dispatcher"));
                }
                other => panic!("{other}"),
            }
            assert_eq!(
                program_of("v0").map(|(_, id)| id),
                Some(foreign),
                "{asked:?}"
            );
        }
        ip(&format!("link set v0 {how} off")).unwrap();
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_program_of_another_process_is_left_alone_and_cannot_be_replaced() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (mut child, _lines) = holder();
    let theirs = program_of("v0").unwrap();
    let error = redirect("v0", AttachMode::BestAvailable).unwrap_err();
    assert!(
        matches!(error, Error::ProgramInTheWay { id, .. } if id == theirs.1),
        "{error}"
    );
    let program = Program::redirect().load().unwrap();
    let error = program
        .attach_replacing(&interface("v0"), AttachMode::BestAvailable, theirs.1)
        .unwrap_err();
    assert!(
        error.to_string().contains("held by a link of its owner"),
        "{error}"
    );
    assert_eq!(program_of("v0"), Some(theirs));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_foreign_program_is_replaced_by_explicit_wish_only() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for how in ["xdpdrv", "xdpgeneric"] {
        let foreign = attach_foreign("v0", how);
        let load = || Program::redirect().load().unwrap();
        // The request names another program, so this one stays.
        let error = load()
            .attach_replacing(&interface("v0"), AttachMode::Native, foreign + 1)
            .unwrap_err();
        assert!(
            matches!(error, Error::ProgramInTheWay { id, .. } if id == foreign),
            "{error}"
        );
        assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));

        let ours = load()
            .attach_replacing(&interface("v0"), AttachMode::Native, foreign)
            .unwrap();
        assert_eq!(
            program_of("v0"),
            Some(("xdp".to_owned(), ours.program_id()))
        );
        drop(ours);
        assert_eq!(program_of("v0"), None);
    }
    // There is nothing left to replace, so it is attached as usual.
    let ours = Program::redirect().load().unwrap().attach_replacing(
        &interface("v0"),
        AttachMode::Native,
        1,
    );
    assert!(ours.unwrap().is_attached().unwrap());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_replaced_program_is_put_back_where_ours_cannot_be_attached() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let foreign = attach_foreign("v0", "xdpgeneric");
    // With this MTU a frame does not fit in one buffer: no native program without `multi_buffer`.
    ip("link set v1 mtu 9000").unwrap();
    let program = Program::redirect().load().unwrap();
    let error = program
        .attach_replacing(&interface("v0"), AttachMode::Native, foreign)
        .unwrap_err();
    assert!(error.to_string().contains("3506"), "{error}");
    assert_eq!(program_of("v0"), Some(("xdpgeneric".to_owned(), foreign)));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn without_the_capabilities_the_error_names_them() {
    let _ns = Netns::enter().unwrap();
    if std::env::var_os("NETRING_ROLE").is_some() {
        let error = Program::redirect().load().unwrap_err();
        assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
        println!("reported: {error}");
        return;
    }
    assert!(Program::redirect().load().is_ok());
    let inside = again(
        "without_the_capabilities_the_error_names_them",
        "unprivileged",
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(inside.get_program())
        .args(inside.get_args())
        .env("NETRING_ROLE", "unprivileged")
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{reported}");
    for word in [
        "reported: bpf(BPF_",
        "CAP_BPF",
        "CAP_NET_ADMIN",
        "run it outside",
    ] {
        assert!(reported.contains(word), "{word}: {reported}");
    }
}

/// Any loader accepts the generated object: here that of iproute2, which is libbpf.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_generated_object_is_loaded_by_others_too() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v0").unwrap();
    for (multi_buffer, section) in [(false, "xdp"), (true, "xdp.frags")] {
        let shape = Program::redirect().multi_buffer(multi_buffer);
        let id = attach_with_ip("v0", "xdpdrv", &shape.object().unwrap(), section);
        assert!(shown("v0").contains(&format!("id {id} name netring_redirec")));
        Sender::on("v1").unwrap().send(&numbered(1, 60)).unwrap();
        let passed = sniffer.receive(Duration::from_secs(2)).unwrap();
        assert_eq!(passed, Some(numbered(1, 60)));
        ip("link set v0 xdpdrv off").unwrap();
    }
}

/// Another process may attach between our check of an interface and our attachment. Each of the two
/// either gets the interface for itself or gets an error.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_race_for_an_interface_leaves_the_foreign_program_alone() {
    const EBUSY: i32 = 16;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = interface("v0");
    let foreign = syscall::bpf_load_xdp(&foreign_program(), c"GPL").unwrap();
    let done = AtomicBool::new(false);
    let theirs = AtomicU32::new(0);
    let ours = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match v0.attach_xdp(foreign.as_fd(), XdpMode::Native) {
                    Ok(()) => {
                        std::thread::sleep(Duration::from_millis(1));
                        // It fails if this program is no longer the attached one.
                        v0.detach_xdp(foreign.as_fd(), XdpMode::Native).unwrap();
                        theirs.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(refused) => assert!(refused.is(EBUSY), "{refused}"),
                }
            }
        });
        let (mut ours, mut attempts) = (0, 0);
        let deadline = Instant::now() + LIMIT;
        // At least 40 attempts, and more until both sides have won once.
        let both = |ours| ours > 0 && theirs.load(Ordering::Relaxed) > 0;
        while attempts < 40 || !both(ours) && Instant::now() < deadline {
            attempts += 1;
            match redirect("v0", AttachMode::BestAvailable) {
                Ok(attachment) => {
                    assert!(attachment.is_attached().unwrap());
                    ours += 1;
                }
                Err(Error::ProgramInTheWay { .. }) => {}
                Err(Error::Syscall(refused)) if refused.is(EBUSY) => {}
                Err(other) => panic!("{other}"),
            }
        }
        done.store(true, Ordering::Relaxed);
        ours
    });
    let theirs = theirs.into_inner();
    assert!(
        ours > 0 && theirs > 0,
        "a race has two sides: {ours}, {theirs}"
    );
}
