//! The user's own program and map, and objects that contain none.
//!
//! A separate test program: one of these tests examines all programs that its process holds, so no
//! other test may hold any.
#![expect(clippy::unwrap_used, reason = "functions that serve tests")]

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use aya_obj::programs::XdpAttachType;
use netring_sys::kernel::bpf::{XDP_DROP, XDP_PASS, XDP_REDIRECT, xdp_md};
use netring_sys::{Error, Interface, syscall};
use netring_xdp::program::asm::{Alu, Assembler, Cond, Helper, MapDef, MapKind, Reg, Size};
use netring_xdp::program::aya::Ebpf;
use netring_xdp::program::aya::maps::{Array, XskMap};
use netring_xdp::program::aya::programs::Xdp;
use netring_xdp::program::{AttachMode, Program, SocketMap};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, numbered};

/// Tests with programs run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// A user's program: counts in a map of its own, drops every second packet, redirects the others to
/// socket 0 of its own map.
fn own() -> Vec<u8> {
    let mut asm = Assembler::new();
    let map = |name: &str, kind, value_size| MapDef {
        name: name.into(),
        kind,
        key_size: 4,
        value_size,
        max_entries: 1,
    };
    let sockets = asm.map(map("my_sockets", MapKind::XskMap, 4));
    let counts = asm.map(map("my_count", MapKind::Array, 8));
    let (drop, out) = (asm.label(), asm.label());
    asm.store(Size::Word, Reg::R10, -4, 0);
    asm.mov(Reg::R2, Reg::R10);
    asm.add(Reg::R2, -4);
    asm.load_map(Reg::R1, counts);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, Reg::R0, 0, drop);
    asm.load(Size::Double, Reg::R6, Reg::R0, 0);
    asm.mov(Reg::R1, 1);
    asm.atomic_add(Reg::R0, 0, Reg::R1);
    asm.alu(Alu::And, Reg::R6, 1);
    asm.jump_if(Cond::Ne, Reg::R6, 0, drop);
    asm.load_map(Reg::R1, sockets);
    asm.mov(Reg::R2, 0);
    asm.mov(Reg::R3, 2);
    asm.call(Helper::RedirectMap);
    asm.jump(out);
    asm.bind(drop);
    asm.mov(Reg::R0, 1);
    asm.bind(out);
    asm.exit();
    asm.finish().unwrap().object("mine", "xdp").unwrap()
}

/// The XDP programs that this process holds, as the kernel lists its descriptors.
fn held() -> BTreeSet<u32> {
    let mut held = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        // The descriptor of the directory itself is closed by now.
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        if field("prog_type:") == Some(6) && text.contains("prog_jited") {
            held.extend(field("prog_id:"));
        }
    }
    held
}

/// Six frames arrive; the host gets those that the program passes because there is no socket.
fn three_of_six_pass() {
    let sniffer = Sniffer::on("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    for number in 0..6 {
        sender.send(&numbered(number, 60)).unwrap();
    }
    for number in [0, 2, 4] {
        let passed = sniffer.receive(Duration::from_secs(2)).unwrap();
        assert_eq!(passed, Some(numbered(number, 60)));
    }
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x19_the_users_object_is_loaded_and_nothing_beside_it() {
    let _alone = ALONE.lock().unwrap();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    assert_eq!(held(), BTreeSet::new());
    let mut program = Program::from_elf(&own(), "mine", "my_sockets").unwrap();
    let id = program.id().unwrap();
    assert_eq!(held(), BTreeSet::from([id]));
    let socket = syscall::xdp_socket().unwrap();
    let mut attachment = program.attach(&v0, AttachMode::BestAvailable).unwrap();
    assert_eq!(held(), BTreeSet::from([id]));
    assert_eq!(attachment.program_id(), id);
    let shown = Command::new("ip")
        .args(["-d", "link", "show", "v0"])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(&format!("prog/xdp id {id} name mine")),
        "{shown}"
    );

    three_of_six_pass();
    let count = attachment.ebpf_mut().unwrap().take_map("my_count").unwrap();
    let count: Array<_, u64> = Array::try_from(count).unwrap();
    assert_eq!(count.get(&0, 0).unwrap(), 6);
    // Only the program knows its counts, and we do not claim to.
    assert_eq!(attachment.counters_total().unwrap(), None);
    assert_eq!(attachment.counters(0).unwrap(), None);
    assert_eq!(attachment.queues(), 1);
    attachment.set_socket(0, socket.as_fd()).unwrap();
    attachment.clear_socket(0).unwrap();
    let error = attachment.set_socket(1, socket.as_fd()).unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    drop(attachment);
    assert_eq!(held(), BTreeSet::new());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x19_a_program_that_aya_has_loaded_is_used_as_it_is() {
    let _alone = ALONE.lock().unwrap();
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let mut ebpf = Ebpf::load(&own()).unwrap();
    let xdp: &mut Xdp = ebpf.program_mut("mine").unwrap().try_into().unwrap();
    xdp.load().unwrap();
    let id = xdp.info().unwrap().id();
    let info = xdp.info().unwrap();
    // The program on its own, as a process sees it that did not load it.
    let alone = Xdp::from_program_info(info, "mine".into(), XdpAttachType::Interface).unwrap();
    let sockets = XskMap::try_from(ebpf.take_map("my_sockets").unwrap()).unwrap();
    let attachment = Program::from_xdp(alone, SocketMap::from(sockets)).unwrap();
    let mut attachment = attachment.attach(&v0, AttachMode::Native).unwrap();
    assert_eq!(attachment.program_id(), id);
    assert!(attachment.ebpf_mut().is_none());
    three_of_six_pass();
    drop((attachment, ebpf));

    let mut ebpf = Ebpf::load(&own()).unwrap();
    let xdp: &mut Xdp = ebpf.program_mut("mine").unwrap().try_into().unwrap();
    xdp.load().unwrap();
    let program = Program::from_ebpf(ebpf, "mine", "my_sockets").unwrap();
    let attachment = program.attach(&v0, AttachMode::Generic).unwrap();
    three_of_six_pass();
    drop(attachment);
}

/// A foreign program redirects to sockets of ours through its pinned map. The test mounts a bpf
/// file system of its own in a mount namespace, which requires a process.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x19_a_pinned_map_takes_sockets() {
    let _alone = ALONE.lock().unwrap();
    let Some(bpffs) = std::env::var_os("NETRING_BPFFS").map(PathBuf::from) else {
        let bpffs = std::env::temp_dir().join(format!("netring-bpffs-{}", std::process::id()));
        std::fs::create_dir(&bpffs).unwrap();
        let inside = "mount -t bpf bpf $NETRING_BPFFS && exec \"$0\" \"$@\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", inside])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "x19_a_pinned_map_takes_sockets", "--ignored"])
            .env("NETRING_BPFFS", &bpffs)
            .output();
        std::fs::remove_dir(&bpffs).unwrap();
        let output = output.unwrap();
        let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        assert!(output.status.success() && ran, "{output:?}");
        return;
    };
    let _ns = Netns::enter().unwrap();
    let mut theirs = Ebpf::load(&own()).unwrap();
    let pin = bpffs.join("sockets");
    theirs.map("my_sockets").unwrap().pin(&pin).unwrap();
    let xdp: &mut Xdp = theirs.program_mut("mine").unwrap().try_into().unwrap();
    xdp.load().unwrap();
    let program = xdp.fd().unwrap().try_clone().unwrap();
    // The first of every two packets is for the socket.
    let run = || {
        let context = xdp_md {
            data_end: 60,
            ..xdp_md::default()
        };
        let frame = numbered(0, 60);
        let run = || {
            syscall::bpf_test_xdp(program.as_fd(), &frame, context)
                .unwrap()
                .0
        };
        [run(), run()]
    };
    assert_eq!(run(), [XDP_PASS, XDP_DROP]);
    let mut sockets = SocketMap::from_pin(&pin).unwrap();
    assert_eq!(sockets.queues(), 1);
    let socket = syscall::xdp_socket().unwrap();
    sockets.set(0, socket.as_fd()).unwrap();
    assert_eq!(run(), [XDP_REDIRECT, XDP_DROP]);
    sockets.clear(0).unwrap();
    assert_eq!(run(), [XDP_PASS, XDP_DROP]);
    let error = SocketMap::from_pin(&bpffs.join("none")).unwrap_err();
    assert!(error.to_string().contains("bpf(BPF_OBJ_GET)"), "{error}");
    theirs
        .map("my_count")
        .unwrap()
        .pin(bpffs.join("count"))
        .unwrap();
    assert!(
        SocketMap::from_pin(&bpffs.join("count")).is_err(),
        "no map of sockets"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn names_missing_from_the_object_are_reported() {
    let _alone = ALONE.lock().unwrap();
    for (program, map, reported) in [
        (
            "mine",
            "my_maps",
            "map: the object has none named \"my_maps\"",
        ),
        (
            "mine",
            "my_count",
            "\"my_count\" is not a map of AF_XDP sockets",
        ),
        (
            "yours",
            "my_sockets",
            "program: the object has none named \"yours\"",
        ),
    ] {
        let error = Program::from_elf(&own(), program, map)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reported), "{error}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_verifiers_refusal_is_in_the_error() {
    let _alone = ALONE.lock().unwrap();
    let mut asm = Assembler::new();
    asm.map(MapDef {
        name: "my_sockets".into(),
        kind: MapKind::XskMap,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
    });
    // Reads the first byte of the packet without checking its length.
    asm.load(Size::Word, Reg::R1, Reg::R1, 0);
    asm.load(Size::Byte, Reg::R0, Reg::R1, 0);
    asm.exit();
    let object = asm.finish().unwrap().object("mine", "xdp").unwrap();
    let error = Program::from_elf(&object, "mine", "my_sockets").unwrap_err();
    assert!(matches!(error, Error::ProgramRefused { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("invalid access to packet"), "{text}");
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("Permission denied")
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_no_object_is_an_error() {
    let _alone = ALONE.lock().unwrap();
    let good = own();
    for bad in [&[], &b"\x7fELF"[..], &good[..good.len() / 2]] {
        let error = Program::from_elf(bad, "mine", "my_sockets").unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error}");
        let reported = error.to_string();
        assert!(reported.starts_with("the eBPF object"), "{reported}");
    }
}
