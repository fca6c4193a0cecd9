//! Beside a dispatcher, as libxdp has one: it is left alone, and feeds our sockets.
//!
//! The dispatcher here is a stand-in of the same name: one function that passes everything. What it
//! has in common with libxdp's own is what the kernel tells of it, and that it is attached by
//! netlink.
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
/// In which a dispatcher may run on veth.
const PLACES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

/// A program that is loaded.
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

/// A capture by our own program is refused, and the dispatcher is still there.
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
                mode: told,
            } => {
                assert_eq!((interface.as_str(), id, told), ("v0", foreign, mode));
                assert_eq!(name.as_deref(), Some(NAME));
            }
            other => panic!("{other}"),
        }
        assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));
    }
}

/// As libxdp does it: the program stays when whoever attached it is gone, and whoever may can take
/// it off.
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
        // It was taken off for good: the interface has none now, and its packets go to the kernel.
        assert_eq!(program_of("v0"), None);
    }
}

/// Who attaches by a link keeps the interface until they let it go: no wish of ours takes it off.
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
        // Until its owner lets it go.
        syscall::bpf_link_detach(link.as_fd()).unwrap();
        drop(redirect("v0", AttachMode::Native).unwrap());
    }
}

/// A dispatcher runs a program in the place of a function of its own (`freplace`), which takes
/// types on both sides that agree. The object has them, a loader reads it as such a program, and
/// the kernel takes the types. (Whether it lets one program take the place of another's function is
/// up to the machine, and not tested here: not every one does.)
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

/// A capture over the pinned map of a program that somebody else attached. The bpf file system is
/// one of this test's, in a mount namespace: that takes a process.
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
        // Their program with their map, under the dispatcher's name.
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
    // Its socket has left the map by itself; their program is where it was, and passes what has no
    // socket.
    assert_eq!(program_of("v0").map(|(_, id)| id), Some(foreign));
    sender.send(&numbered(1, 60)).unwrap();
    assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(1, 60)));
    assert_eq!(
        sniffer.receive(Duration::from_millis(50)).unwrap(),
        None,
        "the host saw none of the others"
    );
}
