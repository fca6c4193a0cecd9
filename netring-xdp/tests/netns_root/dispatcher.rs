//! Captures beside libxdp's dispatcher: it is left alone, and can feed our sockets.
//!
//! The dispatcher here is a stand-in with the same name: one function that passes everything. The
//! kernel reports it as it reports libxdp's own, and it is attached by netlink.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::attached::*;
use common::capture::*;
use common::*;
use netring_sys::{Error, XdpMode, syscall};
use netring_xdp::XdpCapture;
use netring_xdp::program::aya::programs::{Extension, Xdp};
use netring_xdp::program::aya::{Ebpf, EbpfLoader};
use netring_xdp::program::{AttachMode, Program, SocketMap};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, numbered};

const NAME: &str = "xdp_dispatcher";
/// The modes in which a dispatcher runs on veth.
const PLACES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

/// A loaded program.
fn loaded(object: &[u8]) -> Ebpf {
    let mut ebpf = Ebpf::load(object).unwrap();
    let program: &mut Xdp = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
    program.load().unwrap();
    ebpf
}

fn fd(ebpf: &mut Ebpf) -> OwnedFd {
    let program: &mut Xdp = ebpf.program_mut(NAME).unwrap().try_into().unwrap();
    let fd = program.fd().unwrap().as_fd();
    fd.try_clone_to_owned().unwrap()
}

/// A capture with our own program is refused, and the dispatcher stays attached.
#[track_caller]
fn in_the_way(foreign: u32, mode: XdpMode) {
    for asked in [
        AttachMode::Native,
        AttachMode::Generic,
        AttachMode::BestAvailable,
    ] {
        match builder(asked).build().unwrap_err() {
            Error::ProgramInTheWay {
                interface,
                id,
                name,
                mode: reported,
            } => {
                assert_eq!((interface.as_str(), id, reported), ("v0", foreign, mode));
                assert_eq!(name.as_deref(), Some(NAME));
            }
            other => panic!("{other}"),
        }
        assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));
    }
}

/// As libxdp does it: the program stays attached after the process that attached it has ended, and
/// anybody with the privilege can replace it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_dispatcher_by_netlink_is_left_alone_and_replaced_by_wish() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for mode in PLACES {
        let theirs = fd(&mut loaded(&dispatcher()));
        let foreign = syscall::bpf_program_id(theirs.as_fd()).unwrap();
        interface("v0").attach_xdp(theirs.as_fd(), mode).unwrap();
        drop(theirs);
        in_the_way(foreign, mode);

        let replaces = || {
            let program = Program::redirect().load().unwrap();
            program.attach_replacing(&interface("v0"), AttachMode::Native, foreign)
        };
        let ours = replaces().unwrap();
        assert_eq!(program_of("v0").unwrap().1, ours.program_id());
        drop(ours);
        // It was detached: the interface has no program now, and its packets go to the kernel.
        assert_eq!(program_of("v0"), None);
    }
}

/// A program attached by a link keeps the interface until its owner releases it: no request of ours
/// can replace it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_dispatcher_by_a_link_is_left_alone_and_cannot_be_replaced() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for mode in PLACES {
        let theirs = fd(&mut loaded(&dispatcher()));
        let foreign = syscall::bpf_program_id(theirs.as_fd()).unwrap();
        let link = syscall::bpf_link_xdp(theirs.as_fd(), interface("v0").index, mode).unwrap();
        drop(theirs);
        in_the_way(foreign, mode);

        let program = Program::redirect().load().unwrap();
        let error = program
            .attach_replacing(&interface("v0"), AttachMode::BestAvailable, foreign)
            .unwrap_err();
        assert!(
            error.to_string().contains("held by a link of its owner"),
            "{error}"
        );
        assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));
        // Until its owner releases it.
        syscall::bpf_link_detach(link.as_fd()).unwrap();
        drop(redirect("v0", AttachMode::Native).unwrap());
    }
}

/// A dispatcher runs a program in place of a function of its own (`freplace`), which requires
/// matching types on both sides. The object contains them, a loader reads it as such a program, and
/// the kernel accepts the types. (Whether the kernel lets one program replace another's function
/// depends on the machine, so that is not tested here.)
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_generated_program_has_the_types_that_a_dispatcher_takes_it_by() {
    let _ns = Netns::enter().unwrap();
    for multi_buffer in [false, true] {
        let redirect = Program::redirect().multi_buffer(multi_buffer);
        let object = redirect.object().unwrap();
        let mut as_component = EbpfLoader::new()
            .extension("netring_redirect")
            .load(&object)
            .unwrap();
        let program = as_component.program_mut("netring_redirect").unwrap();
        assert!(<&mut Extension>::try_from(program).is_ok());
        let mut program = Program::from_elf(&object, "netring_redirect", "netring_xsks").unwrap();
        let ours = program.xdp_mut().unwrap().info().unwrap();
        let mut theirs = loaded(&dispatcher());
        let theirs: &mut Xdp = theirs.program_mut(NAME).unwrap().try_into().unwrap();
        for info in [ours, theirs.info().unwrap()] {
            assert!(info.btf_id().is_some(), "{info:?}");
        }
    }
}

/// A capture through the pinned map of a foreign program. The test mounts a bpf file system of its
/// own in a mount namespace, which requires a process.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_receives_through_the_pinned_map_of_a_foreign_program() {
    let Some(bpffs) = std::env::var_os("NETRING_BPFFS").map(PathBuf::from) else {
        let name = format!("netring-bpffs-dispatcher-{}", std::process::id());
        let bpffs = std::env::temp_dir().join(name);
        std::fs::create_dir(&bpffs).unwrap();
        let inside = "mount -t bpf bpf $NETRING_BPFFS && exec \"$0\" \"$@\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", inside])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("dispatcher::a_capture_receives_through_the_pinned_map_of_a_foreign_program")
            .env("NETRING_BPFFS", &bpffs)
            .output();
        std::fs::remove_dir(&bpffs).unwrap();
        let output = output.unwrap();
        let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        assert!(output.status.success() && ran, "{output:?}");
        return;
    };
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let pin = bpffs.join("sockets");
    let program = {
        // A foreign program with its map, under the dispatcher's name.
        let object = programs::all_to_queue_0(NAME);
        let mut theirs = loaded(&object);
        theirs.map("sockets").unwrap().pin(&pin).unwrap();
        fd(&mut theirs)
    };
    let foreign = syscall::bpf_program_id(program.as_fd()).unwrap();
    interface("v0")
        .attach_xdp(program.as_fd(), XdpMode::Native)
        .unwrap();
    drop(program);
    in_the_way(foreign, XdpMode::Native);

    let sockets = SocketMap::from_pin(&pin).unwrap();
    let mut capture = XdpCapture::builder()
        .interface("v0")
        .chunks(1024)
        .sockets(sockets)
        .build()
        .unwrap();
    assert_eq!(capture.program_counters().unwrap(), None);
    let sender = Sender::on("v1").unwrap();
    let sniffer = Sniffer::on("v0").unwrap();
    for n in 0..100 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    take_numbered(&mut capture, 0, 100, 60);
    drop(capture);
    // Our socket has left the map by itself; the foreign program stays attached, and passes packets
    // for which there is no socket.
    assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));
    sender.send(&numbered(1, 60)).unwrap();
    assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(1, 60)));
    assert_eq!(
        sniffer.receive(Duration::from_millis(50)).unwrap(),
        None,
        "the host saw none of the others"
    );
}
