//! aya's errors as those of this workspace.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use netring_sys::{Error, SyscallError};

use crate::permit;

pub(super) fn load(error: EbpfError) -> Error {
    match error {
        EbpfError::MapError(error) => map("bpf(BPF_MAP_CREATE)", error),
        EbpfError::ProgramError(error) => program(error),
        other => unreadable(other),
    }
}

pub(super) fn map(call: &'static str, error: MapError) -> Error {
    match error {
        MapError::CreateError { io_error, .. } => failed("bpf(BPF_MAP_CREATE)", io_error),
        MapError::SyscallError(error) => failed(call, error.io_error),
        other => unreadable(other),
    }
}

pub(super) fn program(error: ProgramError) -> Error {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            // Without a log the verifier did not run: the process may not load programs, or the
            // kernel is too old.
            if log.trim().is_empty() {
                failed("bpf(BPF_PROG_LOAD)", io_error)
            } else {
                Error::ProgramRefused {
                    log,
                    source: io_error,
                }
            }
        }
        ProgramError::SyscallError(error) => failed(error.call, error.io_error),
        other => unreadable(other),
    }
}

fn failed(call: &'static str, source: io::Error) -> Error {
    permit::for_program(SyscallError { call, source })
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Source {
        what: "the eBPF object cannot be used".into(),
        source: Box::new(error),
    }
}
