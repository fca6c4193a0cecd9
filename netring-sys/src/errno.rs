//! Error numbers of the kernel, for [`SyscallError::is`](crate::SyscallError::is).
//!
//! Only this crate uses libc; the others compare with these constants.
//!
//! ```
//! use netring_sys::{SyscallError, errno};
//!
//! fn is_transient(error: &SyscallError) -> bool {
//!     error.is(errno::EBUSY) || error.is(errno::ENOBUFS)
//! }
//! ```

pub use libc::{
    EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINTR, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV,
    ENOENT, ENOMEM, ENOSPC, ENOTTY, ENXIO, EOPNOTSUPP, EPERM, ERANGE,
};
