//! The size of a page: `sysconf(3)`.
//!
//! # Safety
//! The invariant of this file: the kernel is given no memory.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

/// The size of a page, in bytes.
#[doc(alias = "sysconf")]
pub fn page_size() -> usize {
    // SAFETY: no memory is handed over; nothing is shared; the name is one that Linux always
    // answers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
