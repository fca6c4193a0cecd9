//! What went wrong, which call said so, and what to do about it.

use std::io;

use crate::XdpMode;

/// What can go wrong between a program and a packet source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Syscall(#[from] SyscallError),

    /// The process lacks a capability.
    #[error(
        "{call} was refused: the process needs {capability}; run it as root, or give the program the \
         capability once with `sudo setcap {grant}=ep PROGRAM`{}", in_namespace(.grant)
    )]
    NotPermitted {
        /// The call that was refused.
        call: &'static str,
        /// The capability, as `capabilities(7)` names it.
        capability: &'static str,
        /// The same, as `setcap` takes it.
        grant: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// The kernel's verifier does not let an eBPF program in.
    #[error("the kernel refused the eBPF program; its verifier says:\n{log}")]
    ProgramRefused {
        /// What the verifier wrote.
        log: String,
        /// What the call said.
        source: io::Error,
    },

    /// The interface has an XDP program of somebody else's, which is left alone.
    #[error(
        "{interface} has an XDP program already: number {id}{}, {mode}; stop its owner, or ask to replace it",
        named(.name)
    )]
    ProgramInTheWay {
        /// The name of the interface.
        interface: String,
        /// The program's number.
        id: u32,
        /// The program's name; `None` where it has none, or where this process may not know it (CAP_SYS_ADMIN).
        name: Option<String>,
        /// Where it runs.
        mode: XdpMode,
    },

    /// There is no interface of this name in this network namespace.
    #[error(
        "there is no interface {name:?} in this network namespace; `ip link` lists those there are"
    )]
    NoSuchInterface {
        /// The name that was asked for.
        name: String,
    },

    /// A setting is impossible; the sentence says what is allowed.
    #[error("{setting}: {why}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// Why it cannot be, and what can.
        why: String,
    },

    /// A frame is too long, or empty. Nothing was sent of it, and the sink goes on.
    #[error("a frame of {len} bytes cannot be sent: 1 to {max} bytes can")]
    FrameLength {
        /// Bytes of the frame.
        len: usize,
        /// Bytes of the longest frame.
        max: usize,
    },

    /// A frame lies in too many pieces. Nothing was sent of it, and the sink goes on.
    #[error("a frame in {count} pieces cannot be sent: up to {max} can")]
    FramePieces {
        /// How many pieces it has.
        count: usize,
        /// The most that one frame may have.
        max: usize,
    },

    /// What was asked for with a frame (a checksum, a timestamp) cannot be; the sentence says why. Nothing was changed or sent by the call,
    /// and the sink goes on.
    #[error("{request}: {why}")]
    Request {
        /// What was asked for.
        request: &'static str,
        /// Why it cannot be, and what can.
        why: String,
    },

    /// The interface is down: set down by the administrator, or without a carrier. A report, made once each time: call again, packets
    /// resume when the interface is up.
    #[error("the interface {interface} {}", if *.was_up { "went down; packets resume when it is up again" } else { "is down; packets come when it is up" })]
    LinkDown {
        /// The name that the interface has now.
        interface: String,
        /// Whether it was seen up before and so went down; false if it was down when the source was opened, or when a sink wanted to send.
        was_up: bool,
    },

    /// The interface was removed from this network namespace. Final: one of the same name that comes later is another.
    #[error("the interface {interface} was removed; open it again when it is back")]
    InterfaceRemoved {
        /// The name of the interface.
        interface: String,
    },

    /// Of several ways to capture from an interface none can be had.
    #[error(transparent)]
    NoBackend(#[from] NoBackend),

    /// The source was stopped, or is at its end.
    #[error("the packet source is closed: it was stopped, or is at its end")]
    Closed,

    /// A source that is not of this workspace failed: a file that is cut short, a device of the caller's own.
    #[error("{what}")]
    Source {
        /// Which source, and what it could not do.
        what: String,
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// This error and its causes, in one line.
    pub fn with_causes(&self) -> impl std::fmt::Display {
        WithCauses(self)
    }

    /// Whether the source or sink is lost. False for a report after which it goes on ([`Error::LinkDown`],
    /// [`Error::FrameLength`], [`Error::FramePieces`], [`Error::Request`]).
    pub const fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::LinkDown { .. }
                | Self::FrameLength { .. }
                | Self::FramePieces { .. }
                | Self::Request { .. }
        )
    }
}

/// Each backend that was tried, and why it cannot be had.
///
/// Its text has them all, those before the last with their causes. The cause of the last, which asks for least, is the cause of this
/// ([`source`](std::error::Error::source)): who writes an error with its causes writes each of them once.
#[derive(Debug)]
pub struct NoBackend {
    /// The name of the interface.
    pub interface: String,
    /// What was tried, in this order.
    pub tried: Vec<Refusal>,
}

/// One backend that cannot be had.
#[derive(Debug)]
pub struct Refusal {
    /// The backend, in words.
    pub backend: String,
    /// Why it cannot be had.
    pub why: Error,
}

impl std::error::Error for NoBackend {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.tried.last()?.why.source()
    }
}

/// A line for each backend, each with its causes.
impl std::fmt::Display for NoBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no backend can capture from {}:", self.interface)?;
        let Some((last, others)) = self.tried.split_last() else {
            return Ok(());
        };
        for refusal in others {
            write!(f, "\n  {refusal}")?;
        }
        write!(f, "\n  {}: {}", last.backend, last.why)
    }
}

/// With its causes.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.backend, self.why.with_causes())
    }
}

struct WithCauses<'a>(&'a Error);

impl std::fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A system call that failed: which one, and what the kernel said.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed{hint}", hint = Hint(.source))]
pub struct SyscallError {
    /// The call, with the option that was set, as a kernel manual names it: `setsockopt(PACKET_RX_RING)`.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// The capability that raw packet sockets need.
const NET_RAW: (&str, &str) = ("CAP_NET_RAW", "cap_net_raw");
/// The capabilities that XDP programs need; a user namespace cannot give them.
const BPF: (&str, &str) = (
    "CAP_BPF and CAP_NET_ADMIN of the host",
    "cap_bpf,cap_net_admin",
);

impl SyscallError {
    /// The error of the call that has just failed on this thread.
    pub(crate) fn last(call: &'static str) -> Self {
        Self {
            call,
            source: io::Error::last_os_error(),
        }
    }

    /// This error, or [`Error::NotPermitted`] where it says that CAP_NET_RAW is missing.
    pub fn needs_net_raw(self) -> Error {
        self.needs(NET_RAW)
    }

    /// This error, or [`Error::NotPermitted`] where it says that CAP_BPF or CAP_NET_ADMIN is missing.
    pub fn needs_bpf(self) -> Error {
        self.needs(BPF)
    }

    fn needs(self, (capability, grant): (&'static str, &'static str)) -> Error {
        if self.is(libc::EPERM) || self.is(libc::EACCES) {
            return Error::NotPermitted {
                call: self.call,
                capability,
                grant,
                source: self.source,
            };
        }
        self.into()
    }

    /// Whether the kernel had not enough memory.
    pub fn is_out_of_memory(&self) -> bool {
        self.source.kind() == io::ErrorKind::OutOfMemory
    }

    /// Whether the interface is not there (any more).
    pub fn is_no_device(&self) -> bool {
        self.is(libc::ENODEV) || self.is(libc::ENXIO)
    }

    /// Whether the kernel said this number (`libc::ENOMEM` …).
    pub fn is(&self, errno: i32) -> bool {
        self.source.raw_os_error() == Some(errno)
    }
}

/// Root of a user namespace has the one capability and not the others.
fn in_namespace(grant: &str) -> &'static str {
    if grant == NET_RAW.1 {
        ", or run it in a namespace of its own with `unshare --user --map-root-user --net`"
    } else {
        "; the root of a user namespace is not enough"
    }
}

fn named(name: &Option<String>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!(" ({name})"))
}

/// What to do about an error, where there is something.
struct Hint<'a>(&'a io::Error);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let advice = match self.0.raw_os_error() {
            Some(libc::ENOMEM) => "; ask for a smaller ring, or free some memory",
            Some(libc::EMFILE | libc::ENFILE) => "; raise the limit of open files (`ulimit -n`)",
            Some(libc::ENOPROTOOPT) => "; the running kernel is too old for it",
            Some(libc::EAFNOSUPPORT) => {
                "; the running kernel is built without it (`modprobe af_packet`, CONFIG_XDP_SOCKETS)"
            }
            _ => "",
        };
        f.write_str(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_is_named_with_the_line_that_grants_it() {
        let refused = SyscallError {
            call: "socket(AF_PACKET)",
            source: io::Error::from_raw_os_error(libc::EPERM),
        };
        let text = refused.needs_net_raw().to_string();
        assert!(text.contains("socket(AF_PACKET)"), "{text}");
        assert!(text.contains("CAP_NET_RAW"), "{text}");
        assert!(text.contains("setcap cap_net_raw=ep"), "{text}");
        assert!(text.contains("unshare --user"), "{text}");
    }

    #[test]
    fn who_may_not_load_programs_is_not_sent_into_a_user_namespace() {
        let refused = SyscallError {
            call: "bpf(BPF_PROG_LOAD)",
            source: io::Error::from_raw_os_error(libc::EPERM),
        };
        let text = refused.needs_bpf().to_string();
        assert!(text.contains("CAP_BPF and CAP_NET_ADMIN"), "{text}");
        assert!(text.contains("setcap cap_bpf,cap_net_admin=ep"), "{text}");
        assert!(!text.contains("unshare"), "{text}");
    }

    #[test]
    fn a_program_in_the_way_is_named() {
        let in_the_way = |name: Option<&str>| Error::ProgramInTheWay {
            interface: "eth0".into(),
            id: 42,
            name: name.map(str::to_owned),
            mode: XdpMode::Native,
        };
        let text = in_the_way(Some("xdp_dispatcher")).to_string();
        assert!(
            text.starts_with(
                "eth0 has an XDP program already: number 42 (xdp_dispatcher), native;"
            ),
            "{text}"
        );
        assert!(in_the_way(None).to_string().contains("number 42, native;"));
    }

    #[test]
    fn a_failed_call_is_named_and_its_cause_is_the_source() {
        let error = Error::from(SyscallError {
            call: "setsockopt(PACKET_RX_RING)",
            source: io::Error::from_raw_os_error(libc::ENOMEM),
        });
        assert_eq!(
            error.to_string(),
            "setsockopt(PACKET_RX_RING) failed; ask for a smaller ring, or free some memory"
        );
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn each_backend_that_cannot_be_had_is_told_with_its_reason() {
        let refusal = |backend: &str, errno| Refusal {
            backend: backend.into(),
            why: SyscallError {
                call: "open",
                source: io::Error::from_raw_os_error(errno),
            }
            .into(),
        };
        let error = Error::from(NoBackend {
            interface: "eth0".into(),
            tried: vec![refusal("one", libc::ENODEV), refusal("other", libc::EBUSY)],
        });
        assert_eq!(
            error.to_string(),
            "no backend can capture from eth0:\n  one: open failed: No such device (os error 19)\n  \
             other: open failed"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "Device or resource busy (os error 16)");
        assert_eq!(error.with_causes().to_string(), format!("{error}: {cause}"));
        assert!(error.is_terminal());
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
    }
}
