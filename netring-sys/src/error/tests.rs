//! Every error as its users read it.

use std::io::{self, ErrorKind};

use super::*;
use crate::errno::{EBUSY, ENODEV, ENOMEM, EPERM};

fn os(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// A program's own device, with a cause.
#[derive(Debug)]
struct Broken(io::Error);

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mirror port is not connected")
    }
}

/// An error, its text, its cause, and its kind.
type Case = (Error, &'static str, Option<&'static str>, ErrorKind);

/// All texts in one place. The advice of [`Error::NotPermitted`] has its tests beside
/// [`Privileges`], that of a failed call beside [`SyscallError`].
fn all() -> Vec<Case> {
    let mut all = about_calls();
    all.extend(about_interfaces());
    all.extend(about_limits());
    all.extend(about_frames_and_sources());
    all
}

fn about_calls() -> Vec<Case> {
    let failed = |call, errno| {
        Error::from(SyscallError {
            call,
            source: os(errno),
        })
    };
    vec![
        (
            failed("bind(AF_PACKET)", ENODEV),
            "bind(AF_PACKET) failed",
            Some("No such device (os error 19)"),
            os(ENODEV).kind(),
        ),
        (
            failed("setsockopt(PACKET_RX_RING)", ENOMEM),
            "setsockopt(PACKET_RX_RING) failed; request a smaller ring, or free some memory",
            Some("Cannot allocate memory (os error 12)"),
            ErrorKind::OutOfMemory,
        ),
        (
            Error::NotPermitted {
                call: "socket(AF_PACKET)",
                capability: "CAP_NET_RAW",
                grant: "cap_net_raw",
                privileges: Privileges::unknown(),
                source: os(EPERM),
            },
            "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW; run it as root, or give the program the capability \
             once with `sudo setcap cap_net_raw=ep PROGRAM`, or run it in a namespace of its own with `unshare --user \
             --map-root-user --net`",
            Some("Operation not permitted (os error 1)"),
            ErrorKind::PermissionDenied,
        ),
        (
            Error::ProgramRefused {
                log: "R1 type=scalar expected=fp\nprocessed 3 insns\n".into(),
                source: os(EPERM),
            },
            "the kernel refused the eBPF program; its verifier reports:\nR1 type=scalar expected=fp\nprocessed 3 insns",
            Some("Operation not permitted (os error 1)"),
            ErrorKind::PermissionDenied,
        ),
    ]
}

fn about_interfaces() -> Vec<Case> {
    let eth0 = || "eth0".to_owned();
    let down = |was_up| Error::LinkDown {
        interface: eth0(),
        was_up,
    };
    let in_the_way = |name: Option<&str>| Error::ProgramInTheWay {
        interface: eth0(),
        id: 42,
        name: name.map(str::to_owned),
        mode: XdpMode::Native,
    };
    vec![
        (
            Error::NoSuchInterface {
                name: "eth7".into(),
                namespace: None,
            },
            "there is no interface \"eth7\" in this network namespace; `ip link` lists those that exist",
            None,
            ErrorKind::NotFound,
        ),
        (
            Error::NoSuchInterface {
                name: "eth7".into(),
                namespace: Some("blue".into()),
            },
            "there is no interface \"eth7\" in the network namespace blue; `ip -n blue link` lists those that exist",
            None,
            ErrorKind::NotFound,
        ),
        (
            Error::NoSuchNamespace {
                name: "blu".into(),
                advice: "those that exist: blue, red".into(),
            },
            "there is no network namespace \"blu\"; those that exist: blue, red",
            None,
            ErrorKind::NotFound,
        ),
        (
            down(true),
            "the interface eth0 went down; packets resume when it is up again",
            None,
            ErrorKind::NetworkDown,
        ),
        (
            down(false),
            "the interface eth0 is down; packets arrive when it is up",
            None,
            ErrorKind::NetworkDown,
        ),
        (
            Error::InterfaceRemoved { interface: eth0() },
            "the interface eth0 was removed; open it again when it is back",
            None,
            ErrorKind::NotFound,
        ),
        (
            in_the_way(Some("xdp_dispatcher")),
            "eth0 already has an XDP program (ID 42, xdp_dispatcher, native); stop its owner, or request to replace it",
            None,
            ErrorKind::ResourceBusy,
        ),
        (
            in_the_way(None),
            "eth0 already has an XDP program (ID 42, native); stop its owner, or request to replace it",
            None,
            ErrorKind::ResourceBusy,
        ),
    ]
}

fn about_limits() -> Vec<Case> {
    let interface = || "eth0".to_owned();
    vec![
        (
            Error::QueueBusy {
                interface: interface(),
                queue: 3,
            },
            "queue 3 of eth0 already has an AF_XDP socket; close that socket, use another queue, or share its UMEM",
            None,
            ErrorKind::ResourceBusy,
        ),
        (
            Error::MemoryLimit {
                needed: 16_777_216,
                limit: 8_388_608,
                advice: "raise it with `ulimit -l`".into(),
            },
            "16777216 bytes of packet memory exceed the limit of 8388608 bytes of locked memory for a user without CAP_IPC_LOCK; \
             raise it with `ulimit -l`",
            None,
            ErrorKind::OutOfMemory,
        ),
        (
            Error::MtuTooLarge {
                interface: interface(),
                mtu: 9000,
                max: 3506,
                advice: "lower it with `ip link set eth0 mtu 3506`".into(),
            },
            "the driver of eth0 runs an XDP program in native mode only up to an MTU of 3506; lower it with `ip link set eth0 mtu \
             3506`",
            None,
            ErrorKind::Unsupported,
        ),
        (
            Error::TooFewQueues {
                interface: interface(),
                queues: 1,
                advice: "add some with `ethtool -L eth0`".into(),
            },
            "the driver of eth0 has too few queues for native mode (1); add some with `ethtool -L eth0`",
            None,
            ErrorKind::Unsupported,
        ),
        (
            Error::Config {
                setting: "snap_len",
                why: "must be at least 1 byte".into(),
            },
            "snap_len: must be at least 1 byte",
            None,
            ErrorKind::InvalidInput,
        ),
    ]
}

fn about_frames_and_sources() -> Vec<Case> {
    let failed = |source| Error::Source {
        what: "tap".into(),
        source,
    };
    vec![
        (
            Error::FrameLength { len: 0, max: 1514 },
            "frame length 0 is out of range (1 to 1514 bytes)",
            None,
            ErrorKind::InvalidInput,
        ),
        (
            Error::FramePieces { count: 19, max: 18 },
            "the frame has 19 pieces, at most 18 are allowed",
            None,
            ErrorKind::InvalidInput,
        ),
        (
            Error::Request {
                request: "checksum",
                why: "it must lie in the first chunk".into(),
            },
            "checksum: it must lie in the first chunk",
            None,
            ErrorKind::InvalidInput,
        ),
        (
            Error::Closed,
            "it is closed: an earlier error was final",
            None,
            ErrorKind::BrokenPipe,
        ),
        (
            Error::SourceLost {
                origin: 3,
                error: failed(Box::new(Broken(os(EBUSY)))).into(),
            },
            "source 3 has ended, the others continue: tap: the mirror port is not connected",
            Some("Device or resource busy (os error 16)"),
            ErrorKind::Other,
        ),
        (
            failed(Box::new(Broken(os(EBUSY)))),
            "tap: the mirror port is not connected",
            Some("Device or resource busy (os error 16)"),
            ErrorKind::Other,
        ),
        (
            failed(os(EBUSY).into()),
            "tap: Device or resource busy (os error 16)",
            None,
            ErrorKind::ResourceBusy,
        ),
    ]
}

/// A new variant does not compile here before [`all`] has its text.
const fn number(error: &Error) -> usize {
    match error {
        Error::Syscall(_) => 0,
        Error::NotPermitted { .. } => 1,
        Error::ProgramRefused { .. } => 2,
        Error::ProgramInTheWay { .. } => 3,
        Error::NoSuchInterface { .. } => 4,
        Error::Config { .. } => 5,
        Error::QueueBusy { .. } => 6,
        Error::MemoryLimit { .. } => 7,
        Error::MtuTooLarge { .. } => 8,
        Error::TooFewQueues { .. } => 9,
        Error::FrameLength { .. } => 10,
        Error::FramePieces { .. } => 11,
        Error::Request { .. } => 12,
        Error::LinkDown { .. } => 13,
        Error::InterfaceRemoved { .. } => 14,
        Error::Closed => 15,
        Error::Source { .. } => 16,
        Error::SourceLost { .. } => 17,
        Error::NoSuchNamespace { .. } => 18,
    }
}

#[test]
fn every_error_has_its_text_here() {
    let mut seen = [false; 19];
    for (error, text, _, _) in all() {
        seen[number(&error)] = true;
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(seen, [true; 19]);
}

/// `{}`, `{:?}` (as a `main` that returns the error prints it), anyhow and eyre: the text and the
/// cause once each, and no struct syntax.
#[test]
fn every_error_reads_well_however_it_is_printed() {
    for (error, text, cause, _) in all() {
        let line = match cause {
            Some(cause) => format!("{text}: {cause}"),
            None => text.to_owned(),
        };
        let paragraphs = match cause {
            Some(cause) => format!("{text}\n\nCaused by:\n    {cause}"),
            None => text.to_owned(),
        };
        assert_eq!(format!("{error:?}"), line);
        assert_eq!(format!("{error:#?}"), line);
        let error = anyhow::Error::from(error);
        assert_eq!(format!("{error}"), text);
        assert_eq!(format!("{error:#}"), line);
        let shown = format!("{error:?}");
        // Behind it with RUST_BACKTRACE.
        let shown = shown.split("\n\nStack backtrace").next();
        assert_eq!(shown, Some(paragraphs.as_str()));
    }
    for (error, text, cause, _) in all() {
        let shown = eyre::Report::from(error);
        assert_eq!(format!("{shown}"), text);
        for shown in [format!("{shown:#}"), format!("{shown:?}")] {
            assert!(shown.starts_with(text), "{shown}");
            assert_eq!(shown.matches(text).count(), 1, "{shown}");
            let causes = cause.map_or(0, |cause| shown.matches(cause).count());
            assert_eq!(causes, usize::from(cause.is_some()), "{shown}");
        }
    }
}

#[test]
fn an_error_is_an_io_error_with_its_text_its_kind_and_the_number() {
    for (error, text, cause, kind) in all() {
        let errno = std::error::Error::source(&error)
            .and_then(|cause| cause.downcast_ref::<io::Error>())
            .and_then(io::Error::raw_os_error);
        let error = io::Error::from(error);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.kind(), kind, "{text}");
        assert!(error.get_ref().unwrap().is::<Error>());
        let source = std::error::Error::source(&error);
        assert_eq!(source.map(ToString::to_string).as_deref(), cause);
        let number = source.and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(number.and_then(io::Error::raw_os_error), errno);
    }
    let error = io::Error::from(SyscallError {
        call: "bind(AF_PACKET)",
        source: os(ENODEV),
    });
    assert_eq!(error.kind(), os(ENODEV).kind());
    assert_eq!(error.to_string(), "bind(AF_PACKET) failed");
}

#[test]
fn a_failed_call_prints_as_the_error_of_it_does() {
    let error = || SyscallError {
        call: "bind(AF_PACKET)",
        source: os(ENODEV),
    };
    let line = "bind(AF_PACKET) failed: No such device (os error 19)";
    assert_eq!(format!("{:?}", error()), line);
    assert_eq!(format!("{:?}", Error::from(error())), line);
    assert_eq!(format!("{:#}", anyhow::Error::from(error())), line);
}

#[test]
fn an_error_of_another_crate_is_got_back() {
    let error = Error::Source {
        what: "tap".into(),
        source: Box::new(Broken(os(EBUSY))),
    };
    assert!(error.downcast_ref::<Broken>().is_some());
    assert!(error.downcast_ref::<io::Error>().is_none());
    assert!(Error::Closed.downcast_ref::<Broken>().is_none());
}

#[test]
fn a_name_as_ip_link_prints_it_is_explained() {
    let text = |name: &str| {
        let (name, namespace) = (name.into(), None);
        Error::NoSuchInterface { name, namespace }.to_string()
    };
    let end = |name| text(name).split_once("`ip link` ").unwrap().1.to_owned();
    for name in ["eth7", "", ":", "eth0:1", "-x"] {
        assert_eq!(end(name), "lists those that exist", "{name}");
    }
    let peer = "the name is what precedes the @, \"v0\"";
    for name in ["v0@if2", "v0@v1", "v0@NONE", "v0@if2:"] {
        assert!(end(name).ends_with(peer), "{}", end(name));
    }
    for name in ["v0:", " v0", "v0\n", "v0: "] {
        assert!(
            end(name).ends_with("no colon after it: \"v0\""),
            "{}",
            end(name)
        );
    }
}

#[test]
fn only_reports_are_not_terminal() {
    assert!(!Error::FrameLength { len: 0, max: 1514 }.is_terminal());
    assert!(!Error::FramePieces { count: 19, max: 18 }.is_terminal());
    let (request, why) = ("checksum", "outside".into());
    assert!(!Error::Request { request, why }.is_terminal());
    assert!(
        !Error::LinkDown {
            interface: "eth0".into(),
            was_up: true
        }
        .is_terminal()
    );
    assert!(
        Error::InterfaceRemoved {
            interface: "eth0".into()
        }
        .is_terminal()
    );
    assert!(Error::Closed.is_terminal());
    let (origin, error) = (0, Error::Closed.into());
    assert!(!Error::SourceLost { origin, error }.is_terminal());
}
