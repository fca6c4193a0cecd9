//! What went wrong, which call said so, and what to do about it.

mod call;

use std::io;

use crate::{Privileges, XdpMode};

pub use call::SyscallError;
use call::is_denied;
pub(crate) use call::{MAP_ANONYMOUS, MAP_HUGE};

/// What can go wrong between a program and a packet source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Syscall(#[from] SyscallError),

    /// The process may not make this call: it lacks a capability, or has it and a sandbox, a
    /// security module or a namespace stands in the way. The sentence says which, and what
    /// helps there.
    #[error("{call} was refused: {}", privileges.advice(capability, grant, is_denied(source)))]
    NotPermitted {
        /// The call that was refused.
        call: &'static str,
        /// The capability, as `capabilities(7)` names it.
        capability: &'static str,
        /// The same, as `setcap` takes it; with it all others that the program needs, for `setcap`
        /// takes away what it is not given.
        grant: &'static str,
        /// What the thread could do when it was refused.
        privileges: Privileges,
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
        /// The program's name; `None` where it has none, or where this process may not know it
        /// (CAP_SYS_ADMIN).
        name: Option<String>,
        /// Where it runs.
        mode: XdpMode,
    },

    /// There is no interface of this name in this network namespace.
    #[error(
        "there is no interface {name:?} in this network namespace; {}",
        about_name(name)
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

    /// The queue has an AF_XDP socket already. Waiting helps if its owner is about to close it: the
    /// kernel frees a queue up to a second after its socket was closed.
    #[error(
        "queue {queue} of {interface} already has an AF_XDP socket; close that socket, use another queue, or share its UMEM"
    )]
    QueueBusy {
        /// The name of the interface.
        interface: String,
        /// The number of the queue, from 0.
        queue: u32,
    },

    /// The packet memory exceeds what the process may lock (`RLIMIT_MEMLOCK`).
    #[error(
        "{needed} bytes of packet memory are more than the {limit} bytes that can be locked by a user without CAP_IPC_LOCK; {advice}"
    )]
    MemoryLimit {
        /// Bytes of packet memory that were to be locked.
        needed: u64,
        /// Bytes that the user may lock, what is locked elsewhere included.
        limit: u64,
        /// The ways to raise the limit, with the commands.
        advice: String,
    },

    /// The driver runs no XDP program in native mode at this MTU, unless it takes packets in
    /// several buffers.
    #[error(
        "the driver of {interface} runs an XDP program in native mode only up to an MTU of {max}; {advice}"
    )]
    MtuTooLarge {
        /// The name of the interface.
        interface: String,
        /// Bytes of the interface's own MTU. On veth the MTU of the other end counts too.
        mtu: u32,
        /// The largest MTU that native mode takes, in bytes.
        max: u32,
        /// The ways out, with the commands.
        advice: String,
    },

    /// The driver has too few queues to run an XDP program in native mode.
    #[error("the driver of {interface} has too few queues for native mode ({queues}); {advice}")]
    TooFewQueues {
        /// The name of the interface.
        interface: String,
        /// Its receive queues.
        queues: u32,
        /// The ways out, with the commands.
        advice: String,
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

    /// What was asked for with a frame (a checksum, a timestamp) cannot be; the sentence says why.
    /// Nothing was changed or sent by the call, and the sink goes on.
    #[error("{request}: {why}")]
    Request {
        /// What was asked for.
        request: &'static str,
        /// Why it cannot be, and what can.
        why: String,
    },

    /// The interface is down: set down by the administrator, or without a carrier. A report, made
    /// once each time: call again, packets resume when the interface is up.
    #[error("the interface {interface} {}", if *.was_up { "went down; packets resume when it is up again" } else { "is down; packets come when it is up" })]
    LinkDown {
        /// The name that the interface has now.
        interface: String,
        /// Whether it was seen up before and so went down; false if it was down when the source
        /// was opened, or when a sink wanted to send.
        was_up: bool,
    },

    /// The interface was removed from this network namespace. Final: one of the same name that
    /// comes later is another.
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

    /// A source that is not of this workspace failed: a file that is cut short, a device of the
    /// caller's own.
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

    /// Whether the source or sink is lost. False for a report after which it goes on
    /// ([`Error::LinkDown`], [`Error::FrameLength`], [`Error::FramePieces`],
    /// [`Error::Request`]).
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
/// Its text has them all, those before the last with their causes. The cause of the last, which
/// asks for least, is the cause of this ([`source`](std::error::Error::source)): who writes an
/// error with its causes writes each of them once.
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

/// What to do about a name that no interface has.
fn about_name(name: &str) -> String {
    let listed = "`ip link` lists those there are";
    let bare = name.trim().trim_end_matches(':');
    match bare.split_once('@') {
        Some((before, _)) => format!(
            "{listed}, as NAME@PEER if they have a peer: the name is what stands before the @, {before:?}"
        ),
        None if bare != name && !bare.is_empty() => {
            format!(
                "{listed}; a name has no white space around it and no colon behind it: {bare:?}"
            )
        }
        None => listed.into(),
    }
}

fn named(name: &Option<String>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!(" ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_what_was_printed_is_told_from_one_that_is_missing() {
        let said = |name: &str| Error::NoSuchInterface { name: name.into() }.to_string();
        let end = |name| said(name).split_once("`ip link` ").unwrap().1.to_owned();
        for name in ["eth7", "", ":", "eth0:1", "-x"] {
            assert_eq!(end(name), "lists those there are", "{name}");
        }
        let peer = "the name is what stands before the @, \"v0\"";
        for name in ["v0@if2", "v0@v1", "v0@NONE", "v0@if2:"] {
            assert!(end(name).ends_with(peer), "{}", end(name));
        }
        for name in ["v0:", " v0", "v0\n", "v0: "] {
            assert!(
                end(name).ends_with("no colon behind it: \"v0\""),
                "{}",
                end(name)
            );
        }
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
        assert_eq!(cause, io::Error::from_raw_os_error(libc::EBUSY).to_string());
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
