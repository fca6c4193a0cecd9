//! What went wrong, which call failed, and what to do about it.

mod call;
mod io;
mod text;

use std::sync::Arc;

use crate::{Privileges, XdpMode};

pub use call::SyscallError;
pub(crate) use call::is_denied;
pub(crate) use call::{MAP_ANONYMOUS, MAP_HUGE};

/// What can go wrong between a program and a packet source.
///
/// `{}` prints what failed and what to do about it. `{:?}`, and so a `main` that returns the error,
/// prints the same followed by its causes. It converts into an [`io::Error`](std::io::Error).
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    Syscall(SyscallError),

    /// The process may not make this call: it lacks a capability, or has it but a sandbox, a
    /// security module or a namespace forbids the call. The text says which, and gives a remedy.
    NotPermitted {
        /// The call that was refused.
        call: &'static str,
        /// The capability, as `capabilities(7)` names it.
        capability: &'static str,
        /// The same in the form that `setcap` takes, with all others that the program needs:
        /// `setcap` removes those that it is not given.
        grant: &'static str,
        /// The thread's privileges when the call was refused.
        privileges: Privileges,
        /// The kernel's error.
        source: std::io::Error,
    },

    /// The kernel's verifier rejected an eBPF program.
    ProgramRefused {
        /// The verifier's log.
        log: String,
        /// The kernel's error.
        source: std::io::Error,
    },

    /// The interface already has an XDP program of another owner, which was left alone.
    ProgramInTheWay {
        /// The name of the interface.
        interface: String,
        /// The program's ID.
        id: u32,
        /// The program's name; `None` if it has none, or if this process may not read it
        /// (CAP_SYS_ADMIN).
        name: Option<String>,
        /// Where it runs.
        mode: XdpMode,
    },

    /// There is no interface of this name in the network namespace.
    NoSuchInterface {
        /// The requested name.
        name: String,
        /// The network namespace that was [given](crate::Namespace), as it was named; `None` for
        /// that of the thread.
        namespace: Option<String>,
    },

    /// There is no network namespace of this name, or no process whose namespace it would be.
    NoSuchNamespace {
        /// What was requested: a name, a path, or the number of a process.
        name: String,
        /// The names that exist, or another remedy.
        advice: String,
    },

    /// A setting is invalid; the text says what is allowed.
    Config {
        /// The setting.
        setting: &'static str,
        /// Why it is invalid, and what is allowed.
        why: String,
    },

    /// The queue has an AF_XDP socket already. Waiting helps if its owner is about to close it: the
    /// kernel frees a queue up to a second after its socket was closed.
    QueueBusy {
        /// The name of the interface.
        interface: String,
        /// The number of the queue, from 0.
        queue: u32,
    },

    /// The packet memory exceeds what the process may lock (`RLIMIT_MEMLOCK`).
    MemoryLimit {
        /// Bytes of packet memory that were to be locked.
        needed: u64,
        /// Bytes that the user may lock, including those that are locked already.
        limit: u64,
        /// The ways to raise the limit, with the commands.
        advice: String,
    },

    /// The driver does not run an XDP program in native mode at this MTU, unless the program takes
    /// packets in several buffers.
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
    TooFewQueues {
        /// The name of the interface.
        interface: String,
        /// Its receive queues.
        queues: u32,
        /// The ways out, with the commands.
        advice: String,
    },

    /// A frame is too long, or empty. None of it was sent, and the sink continues.
    FrameLength {
        /// Bytes of the frame.
        len: usize,
        /// Bytes of the longest frame.
        max: usize,
    },

    /// A frame has too many pieces. None of it was sent, and the sink continues.
    FramePieces {
        /// Pieces of the frame.
        count: usize,
        /// The most pieces that a frame may have.
        max: usize,
    },

    /// A request for a frame (a checksum, a timestamp) cannot be met; the text says why. The call
    /// changed and sent nothing, and the sink continues.
    Request {
        /// What was requested.
        request: &'static str,
        /// Why it cannot be met, and what can.
        why: String,
    },

    /// The interface is down: the administrator set it down, or it has no carrier. This is reported
    /// once each time; call again, and packets resume when the interface is up.
    LinkDown {
        /// The current name of the interface.
        interface: String,
        /// Whether it was up before and went down; false if it was down when the source was opened,
        /// or when a sink was to send.
        was_up: bool,
    },

    /// The interface was removed from this network namespace. This is final: a later interface of
    /// the same name is another one.
    InterfaceRemoved {
        /// The name of the interface.
        interface: String,
    },

    /// One of several merged sources ended with an error. The others continue, and so does the
    /// source that they are merged into. This is reported once.
    SourceLost {
        /// The number of the source: [`Merge`](crate::wait::Merge) counts from 0.
        origin: usize,
        /// The error that it ended with. Its text is part of this one's.
        error: Arc<Self>,
    },

    /// An earlier error was final, and the writer, tee or sink that reported it was used again.
    Closed,

    /// Something failed that has an error type of its own: a capture file, the choice of a backend,
    /// a source of another crate. [`downcast_ref`](Self::downcast_ref) returns that error.
    Source {
        /// The operation that failed.
        what: String,
        /// The error. Its text is part of this one's, so the [`source`](std::error::Error::source)
        /// is its cause and not the error itself.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the source or sink is lost. False for a report after which it continues
    /// ([`Error::LinkDown`], [`Error::SourceLost`], [`Error::FrameLength`], [`Error::FramePieces`],
    /// [`Error::Request`]).
    pub const fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::LinkDown { .. }
                | Self::SourceLost { .. }
                | Self::FrameLength { .. }
                | Self::FramePieces { .. }
                | Self::Request { .. }
        )
    }

    /// The error inside an [`Error::Source`], if it is a `T`.
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        match self {
            Self::Source { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syscall(error) => error.source(),
            Self::NotPermitted { source, .. } | Self::ProgramRefused { source, .. } => Some(source),
            // The error itself is in the text.
            Self::Source { source, .. } => source.source(),
            Self::SourceLost { error, .. } => error.source(),
            _ => None,
        }
    }
}

impl From<SyscallError> for Error {
    fn from(error: SyscallError) -> Self {
        Self::Syscall(error)
    }
}

#[cfg(test)]
mod tests;
