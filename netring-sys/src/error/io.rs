//! Errors as [`io::Error`]s, for programs that have no other error type.

use std::io::{self, ErrorKind};

use super::{Error, SyscallError};

/// Keeps the text, and the kind of the kernel's own error, which is the
/// [`source`](std::error::Error::source) of the result and has the error number. The error itself
/// is what [`io::Error::get_ref`] returns.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(kind(&error), error)
    }
}

/// Keeps the text, and the kind of the kernel's own error, which is the
/// [`source`](std::error::Error::source) of the result and has the error number.
impl From<SyscallError> for io::Error {
    fn from(error: SyscallError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Syscall(error) => error.source.kind(),
        Error::ProgramRefused { source, .. } => source.kind(),
        Error::NotPermitted { .. } => ErrorKind::PermissionDenied,
        Error::NoSuchInterface { .. }
        | Error::NoSuchNamespace { .. }
        | Error::InterfaceRemoved { .. } => ErrorKind::NotFound,
        Error::ProgramInTheWay { .. } | Error::QueueBusy { .. } => ErrorKind::ResourceBusy,
        Error::MemoryLimit { .. } => ErrorKind::OutOfMemory,
        Error::MtuTooLarge { .. } | Error::TooFewQueues { .. } => ErrorKind::Unsupported,
        Error::Config { .. }
        | Error::Request { .. }
        | Error::FrameLength { .. }
        | Error::FramePieces { .. } => ErrorKind::InvalidInput,
        Error::LinkDown { .. } => ErrorKind::NetworkDown,
        Error::SourceLost { error, .. } => kind(error),
        Error::Closed => ErrorKind::BrokenPipe,
        Error::Source { source, .. } => source
            .downcast_ref::<io::Error>()
            .map_or(ErrorKind::Other, io::Error::kind),
    }
}
