//! The texts of all errors.

use std::fmt;

use super::Error;
use super::is_denied;

/// What failed and what to do about it, without the causes, which are
/// [`source`](std::error::Error::source)s.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syscall(error) => error.fmt(f),
            Self::NotPermitted {
                call,
                capability,
                grant,
                privileges,
                source,
            } => {
                let advice = privileges.advice(capability, grant, is_denied(source));
                write!(f, "{call} was refused: {advice}")
            }
            Self::ProgramRefused { log, .. } => write!(
                f,
                "the kernel refused the eBPF program; its verifier reports:\n{}",
                log.trim_end()
            ),
            Self::Config { setting, why } => write!(f, "{setting}: {why}"),
            Self::Request { request, why } => write!(f, "{request}: {why}"),
            Self::FrameLength { len, max } => {
                write!(f, "frame length {len} is out of range (1 to {max} bytes)")
            }
            Self::FramePieces { count, max } => {
                write!(f, "the frame has {count} pieces, at most {max} are allowed")
            }
            Self::Closed => f.write_str("it is closed: an earlier error was final"),
            // The error of another crate says what happened: it belongs to the text.
            Self::Source { what, source } => write!(f, "{what}: {source}"),
            Self::SourceLost { origin, error } => {
                write!(f, "source {origin} has ended, the others continue: {error}")
            }
            Self::NoSuchInterface { .. }
            | Self::NoSuchNamespace { .. }
            | Self::LinkDown { .. }
            | Self::InterfaceRemoved { .. } => self.about_the_interface(f),
            Self::ProgramInTheWay { .. }
            | Self::QueueBusy { .. }
            | Self::MemoryLimit { .. }
            | Self::MtuTooLarge { .. }
            | Self::TooFewQueues { .. } => self.about_xdp(f),
        }
    }
}

impl Error {
    fn about_the_interface(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInterface { name, namespace } => match namespace {
                None => write!(
                    f,
                    "there is no interface {name:?} in this network namespace; {}",
                    about_name(name, "`ip link`")
                ),
                Some(namespace) => write!(
                    f,
                    "there is no interface {name:?} in the network namespace {namespace}; {}",
                    about_name(name, &listing(namespace))
                ),
            },
            Self::NoSuchNamespace { name, advice } => {
                write!(f, "there is no network namespace {name:?}; {advice}")
            }
            Self::LinkDown { interface, was_up } => write!(
                f,
                "the interface {interface} {}",
                match was_up {
                    true => "went down; packets resume when it is up again",
                    false => "is down; packets arrive when it is up",
                }
            ),
            Self::InterfaceRemoved { interface } => write!(
                f,
                "the interface {interface} was removed; open it again when it is back"
            ),
            _ => Ok(()),
        }
    }

    fn about_xdp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProgramInTheWay {
                interface,
                id,
                name,
                mode,
            } => {
                write!(f, "{interface} already has an XDP program (ID {id}")?;
                if let Some(name) = name {
                    write!(f, ", {name}")?;
                }
                write!(f, ", {mode}); stop its owner, or request to replace it")
            }
            Self::QueueBusy { interface, queue } => write!(
                f,
                "queue {queue} of {interface} already has an AF_XDP socket; close that socket, use another queue, or share its UMEM"
            ),
            Self::MemoryLimit {
                needed,
                limit,
                advice,
            } => write!(
                f,
                "{needed} bytes of packet memory exceed the limit of {limit} bytes of locked memory for a user without CAP_IPC_LOCK; {advice}"
            ),
            Self::MtuTooLarge {
                interface,
                max,
                advice,
                ..
            } => write!(
                f,
                "the driver of {interface} runs an XDP program in native mode only up to an MTU of {max}; {advice}"
            ),
            Self::TooFewQueues {
                interface,
                queues,
                advice,
            } => write!(
                f,
                "the driver of {interface} has too few queues for native mode ({queues}); {advice}"
            ),
            _ => Ok(()),
        }
    }
}

/// The text followed by its causes, for `fn main() -> Result<(), Error>`, `unwrap` and logs.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The command that lists the interfaces of a namespace, which is named by a name, a path, or
/// `net:[INODE]` for a descriptor.
fn listing(namespace: &str) -> String {
    match namespace {
        path if path.contains('/') => format!("`nsenter --net={path} ip link`"),
        inode if inode.starts_with("net:[") => "`ip link` there".into(),
        name => format!("`ip -n {name} link`"),
    }
}

/// What to do about a name that no interface has; `command` lists the interfaces.
fn about_name(name: &str, command: &str) -> String {
    let list = format!("{command} lists those that exist");
    if name == "any" {
        return format!("{list}; `Capture::builder().all_interfaces()` captures from all of them");
    }
    let bare = name.trim().trim_end_matches(':');
    match bare.split_once('@') {
        Some((before, _)) => format!(
            "{list}, as NAME@PEER if they have a peer: the name is what precedes the @, {before:?}"
        ),
        None if bare != name && !bare.is_empty() => {
            format!("{list}; a name has no white space around it and no colon after it: {bare:?}")
        }
        None => list,
    }
}
