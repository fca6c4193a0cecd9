//! `bpf(2)`: loading programs and linking them to an interface.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

mod array;
mod socket_filter;
mod test_run;

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_long};

use crate::kernel::bpf::{
    BPF_F_XDP_DEV_BOUND_ONLY, BPF_F_XDP_HAS_FRAGS, BPF_LINK_CREATE, BPF_LINK_DETACH,
    BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_LOAD, BPF_PROG_TYPE_XDP, BPF_XDP, bpf_attr_info,
    bpf_attr_link_create, bpf_attr_link_detach, bpf_attr_prog_load, bpf_insn, bpf_prog_info,
};
use crate::{Error, SyscallError, XdpMode};

pub use array::BpfArray;
pub use socket_filter::bpf_load_socket_filter;
pub use test_run::{bpf_send_xdp, bpf_test_xdp};

/// Options of `BPF_PROG_LOAD`.
#[derive(Clone, Copy, Debug, Default)]
pub struct XdpLoad {
    /// The interface that the program is bound to, so that it may query the driver about packets
    /// (kernel 6.3); 0 for none.
    #[doc(alias = "BPF_F_XDP_DEV_BOUND_ONLY")]
    pub interface: u32,
    /// Whether the program handles packets in several buffers (kernel 5.18).
    #[doc(alias = "BPF_F_XDP_HAS_FRAGS")]
    pub multi_buffer: bool,
    /// Its name, terminated by a zero byte: letters, digits, `_` and `.`.
    pub name: [u8; 16],
}

/// Loads an XDP program.
///
/// # Errors
/// [`Error::NotPermitted`] without CAP_BPF and CAP_NET_ADMIN (root of a user namespace does not
/// have them); [`Error::ProgramRefused`] with the log of the verifier.
#[doc(alias = "BPF_PROG_LOAD")]
pub fn bpf_load_xdp(program: &[bpf_insn], license: &CStr) -> Result<OwnedFd, Error> {
    bpf_load_xdp_with(program, license, &XdpLoad::default())
}

/// Loads an XDP program with options: bound to an interface, for packets in several buffers, or
/// with a name.
///
/// # Errors
/// The errors of [`bpf_load_xdp`]; `EINVAL` if the kernel is too old for an option, `EOPNOTSUPP` if
/// programs cannot be bound to the interface.
// [`bpf_prog_load`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/bpf/syscall.c#L2638
pub fn bpf_load_xdp_with(
    program: &[bpf_insn],
    license: &CStr,
    with: &XdpLoad,
) -> Result<OwnedFd, Error> {
    load_or_explain(|log| load_xdp(program, license, with, log))
}

/// Loads a program, and loads it again with a log only after a failure: with a log that is too
/// short, a good program would be refused as well.
fn load_or_explain(
    load: impl Fn(&mut [u8]) -> Result<OwnedFd, SyscallError>,
) -> Result<OwnedFd, Error> {
    let error = match load(&mut []) {
        Err(error) if error.is(libc::EACCES) || error.is(libc::EINVAL) => error,
        other => return other.map_err(SyscallError::needs_bpf),
    };
    let mut log = vec![0; 256 * 1024];
    match load(&mut log) {
        Ok(fd) => Ok(fd),
        Err(_) => {
            let said = log.split(|&byte| byte == 0).next().unwrap_or_default();
            // The verifier did not run: the request was refused, not the program.
            if said.is_empty() {
                return Err(error.needs_bpf());
            }
            Err(Error::ProgramRefused {
                log: String::from_utf8_lossy(said).into_owned(),
                source: error.source,
            })
        }
    }
}

/// Attempts to load a program whose verification was interrupted.
const MOST_ATTEMPTS: u32 = 64;

fn load_xdp(
    program: &[bpf_insn],
    license: &CStr,
    with: &XdpLoad,
    log: &mut [u8],
) -> Result<OwnedFd, SyscallError> {
    let mut attr = bpf_attr_prog_load {
        prog_type: BPF_PROG_TYPE_XDP,
        prog_name: with.name,
        prog_ifindex: with.interface,
        expected_attach_type: BPF_XDP,
        ..bpf_attr_prog_load::default()
    };
    if with.interface != 0 {
        attr.prog_flags |= BPF_F_XDP_DEV_BOUND_ONLY;
    }
    if with.multi_buffer {
        attr.prog_flags |= BPF_F_XDP_HAS_FRAGS;
    }
    load(program, license, attr, log)
}

/// Loads a program of any type: `attr` says which.
fn load(
    program: &[bpf_insn],
    license: &CStr,
    mut attr: bpf_attr_prog_load,
    log: &mut [u8],
) -> Result<OwnedFd, SyscallError> {
    attr.insn_cnt = u32::try_from(program.len()).unwrap_or(u32::MAX);
    attr.insns = program.as_ptr().expose_provenance() as u64;
    attr.license = license.as_ptr().expose_provenance() as u64;
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        attr.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    }
    let mut load = || {
        // SAFETY: program, licence and log are borrowed for the call; nobody else writes to them;
        // their lengths go with them, and the licence ends in a zero byte.
        unsafe { bpf(BPF_PROG_LOAD, &mut attr, "bpf(BPF_PROG_LOAD)") }
    };
    // A signal to this thread makes the verifier give up, which says nothing about the program.
    let fd = (1..MOST_ATTEMPTS)
        .map(|_| load())
        .find(|result| !matches!(result, Err(error) if error.is(libc::EAGAIN)))
        .unwrap_or_else(load)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches an XDP program to an interface of this thread's network namespace until the link is
/// closed (kernel 5.9).
///
/// # Errors
/// `EBUSY` or `EEXIST` if the interface has a program, `EOPNOTSUPP` if the driver does not support
/// the mode, `ENODEV`, `EPERM`.
// [`link_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/bpf/syscall.c#L5224
#[doc(alias = "BPF_LINK_CREATE")]
pub fn bpf_link_xdp(
    program: BorrowedFd<'_>,
    interface: u32,
    mode: XdpMode,
) -> Result<OwnedFd, SyscallError> {
    let mut attr = bpf_attr_link_create {
        prog_fd: program.as_raw_fd() as u32,
        target_ifindex: interface,
        attach_type: BPF_XDP,
        flags: mode.flag(),
    };
    // SAFETY: no pointer is in the attributes, which are on this stack and nobody else's.
    let fd = unsafe { bpf(BPF_LINK_CREATE, &mut attr, "bpf(BPF_LINK_CREATE)") }?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Detaches the program of a link now, even if another process has the link open (kernel 5.11).
/// Closing the link does the same, but only once no process has it open: a forked child keeps it
/// until it executes another program.
///
/// # Errors
/// `EINVAL` on an older kernel.
// [`link_detach`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/bpf/syscall.c#L5413
#[doc(alias = "BPF_LINK_DETACH")]
pub fn bpf_link_detach(link: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let mut attr = bpf_attr_link_detach {
        link_fd: link.as_raw_fd() as u32,
    };
    // SAFETY: no pointer is in the attributes, which are on this stack and nobody else's.
    unsafe { bpf(BPF_LINK_DETACH, &mut attr, "bpf(BPF_LINK_DETACH)") }.map(drop)
}

/// The ID of a program.
///
/// # Errors
/// The descriptor is not that of a program.
// [`bpf_obj_get_info_by_fd`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/bpf/syscall.c#L4977
#[doc(alias = "BPF_OBJ_GET_INFO_BY_FD")]
pub fn bpf_program_id(program: BorrowedFd<'_>) -> Result<u32, SyscallError> {
    let mut info = bpf_prog_info::default();
    let mut attr = bpf_attr_info {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<bpf_prog_info>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    let call = "bpf(BPF_OBJ_GET_INFO_BY_FD)";
    // SAFETY: `info` is on this stack; nobody else uses it; its length goes with it.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr, call) }?;
    Ok(info.id)
}

/// The one call behind all of these.
///
/// # Safety
/// Each address in `attr` is that of memory which the kernel may read or write for as many bytes as
/// `attr`, or the map in it, says.
unsafe fn bpf<T: Copy>(
    command: c_long,
    attr: &mut T,
    call: &'static str,
) -> Result<c_int, SyscallError> {
    let attr: *mut T = attr;
    // SAFETY: the attributes are borrowed for the call; nobody else uses them; their length is that
    // of their type. The caller promises that what they point to is valid.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    super::check(result as c_int, call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_refused_in_words() {
        let error = bpf_load_xdp(&[bpf_insn::default()], c"GPL").unwrap_err();
        let said = error.to_string();
        // Without privilege it is the capability that is missing.
        assert!(
            said.contains("CAP_BPF") || said.contains("refused the eBPF program"),
            "{said}"
        );
    }
}
