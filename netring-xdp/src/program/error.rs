//! What aya says of a failure, in the words of this workspace.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::{ProgramError, XdpError};
use netring_sys::{Error, SyscallError};

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
            // Without a word of the verifier's it was not asked: the process may not load, or the kernel is too old.
            if log.trim().is_empty() {
                failed("bpf(BPF_PROG_LOAD)", io_error)
            } else {
                Error::ProgramRefused {
                    log,
                    source: io_error,
                }
            }
        }
        other => match refusal(&other) {
            Some((call, errno)) => failed(call, io::Error::from_raw_os_error(errno)),
            None => unreadable(other),
        },
    }
}

/// The call that failed, and the number that the kernel gave for it.
pub(super) fn refusal(error: &ProgramError) -> Option<(&'static str, i32)> {
    match error {
        ProgramError::SyscallError(error) => {
            Some((name(error.call), error.io_error.raw_os_error()?))
        }
        ProgramError::XdpError(XdpError::NetlinkError(error)) => {
            let errno = error.raw_os_error()?;
            Some(("netlink(IFLA_XDP)", errno))
        }
        ProgramError::LoadError { io_error, .. } => {
            Some(("bpf(BPF_PROG_LOAD)", io_error.raw_os_error()?))
        }
        _ => None,
    }
}

fn failed(call: &'static str, source: io::Error) -> Error {
    SyscallError { call, source }.needs_bpf()
}

/// aya names the calls as libbpf's functions; here they are named as the manual has them.
fn name(call: &'static str) -> &'static str {
    match call {
        "bpf_link_create" => "bpf(BPF_LINK_CREATE)",
        "bpf_link_update" => "bpf(BPF_LINK_UPDATE)",
        "bpf_obj_get_info_by_fd" => "bpf(BPF_OBJ_GET_INFO_BY_FD)",
        other => other,
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Source {
        what: "the eBPF object cannot be used".into(),
        source: Box::new(error),
    }
}
