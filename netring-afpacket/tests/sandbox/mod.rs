//! A sandbox of a test's own thread: a seccomp filter, which ends with the thread.
#![allow(unsafe_code, reason = "no safe function sets a seccomp filter")]

use netring_sys::kernel::filter::{BPF_JEQ_K, BPF_RET_K, SockFilter};

/// Makes `socket` fail with this number for one address family, from now on and in all threads and
/// processes that this one starts.
///
/// `RestrictAddressFamilies=` of systemd does this with `EAFNOSUPPORT`, profiles of containers with
/// `EPERM`.
pub(crate) fn forbid_sockets(family: i32, errno: i32) {
    /// Where the number of the call and the low half of its first argument are in `seccomp_data`,
    /// on a little-endian machine.
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    const BPF_LD_W_ABS: u16 = 0x20;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let filter = [
        SockFilter::stmt(BPF_LD_W_ABS, NUMBER),
        SockFilter::jump(BPF_JEQ_K, libc::SYS_socket as u32, 0, 3),
        SockFilter::stmt(BPF_LD_W_ABS, FIRST_ARGUMENT),
        SockFilter::jump(BPF_JEQ_K, family as u32, 0, 1),
        SockFilter::stmt(BPF_RET_K, ERRNO | errno as u32),
        SockFilter::stmt(BPF_RET_K, ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: filter and program are on this stack; nobody writes to them; the program says how
    // long the filter is. Root may set a filter without giving up privileges.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}
