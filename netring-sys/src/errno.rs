//! Error numbers of the kernel, for [`SyscallError::is`](crate::SyscallError::is).
//!
//! Only this crate uses libc; the others compare with these constants.

pub use libc::{
    EACCES, EAGAIN, EBUSY, EEXIST, EINVAL, ENETDOWN, ENOBUFS, ENODEV, ENOENT, ENOMEM, ENOSPC,
    ENXIO, EOPNOTSUPP, EPERM, ERANGE,
};
