//! Socket filters as eBPF programs.
#![deny(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use super::{load, load_or_explain};
use crate::Error;
use crate::kernel::bpf::{BPF_PROG_TYPE_SOCKET_FILTER, bpf_attr_prog_load, bpf_insn};

/// Loads an eBPF socket filter, for [`attach_bpf`](crate::syscall::attach_bpf). The program runs
/// for each packet and returns how many bytes to keep, 0 to reject the packet.
///
/// # Errors
/// [`Error::NotPermitted`] without CAP_BPF, unless `kernel.unprivileged_bpf_disabled` is 0;
/// [`Error::ProgramRefused`] with the log of the verifier.
// [`BPF_PROG_TYPE_SOCKET_FILTER`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L1026
#[doc(alias = "BPF_PROG_TYPE_SOCKET_FILTER")]
pub fn bpf_load_socket_filter(program: &[bpf_insn], license: &CStr) -> Result<OwnedFd, Error> {
    let attr = bpf_attr_prog_load {
        prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
        ..bpf_attr_prog_load::default()
    };
    load_or_explain(|log| load(program, license, attr, log))
}
