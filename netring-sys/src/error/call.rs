//! A system call that failed, and the remedy.

use std::{fmt, io};

/// A system call that failed, and the kernel's error.
pub struct SyscallError {
    /// The call, with the option that was set, as a kernel manual names it:
    /// `setsockopt(PACKET_RX_RING)`.
    pub call: &'static str,
    /// The kernel's error.
    pub source: io::Error,
}

impl SyscallError {
    /// The error of the call that has just failed on this thread.
    pub(crate) fn last(call: &'static str) -> Self {
        Self {
            call,
            source: io::Error::last_os_error(),
        }
    }

    /// Whether memory was short: the kernel's, or the process's limit of locked memory.
    pub fn is_out_of_memory(&self) -> bool {
        let locked = self.call.starts_with("mmap") && self.is(libc::EAGAIN);
        self.source.kind() == io::ErrorKind::OutOfMemory || locked
    }

    /// Whether the interface does not exist, or no longer.
    pub fn is_no_device(&self) -> bool {
        self.is(libc::ENODEV) || self.is(libc::ENXIO)
    }

    /// Whether this is the kernel's error number (see [`errno`](crate::errno)).
    pub fn is(&self, errno: i32) -> bool {
        self.source.raw_os_error() == Some(errno)
    }
}

impl std::error::Error for SyscallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The call and the remedy, without the kernel's error.
impl fmt::Display for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed{}", self.call, hint(self.call, &self.source))
    }
}

/// The text followed by the kernel's error.
impl fmt::Debug for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}: {}", self.source)
    }
}

/// Whether this is the kernel's answer to a process that lacks a capability.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// What to do about a failed call, if there is something.
fn hint(call: &str, error: &io::Error) -> &'static str {
    let Some(errno) = error.raw_os_error() else {
        return "";
    };
    match errno {
        libc::EMFILE => "; raise the limit of open files (`ulimit -n`)",
        libc::ENFILE => "; raise the limit of open files of the system (`sysctl fs.file-max`)",
        libc::ENOMEM if call == MAP_HUGE => {
            "; reserve more huge pages (`sysctl vm.nr_hugepages`), or do without them"
        }
        libc::EINVAL if call == MAP_HUGE => "; the kernel has no huge pages: do without them",
        libc::ENOMEM if call == MAP_ANONYMOUS => "; request fewer chunks, or free some memory",
        libc::EAGAIN if call.starts_with("mmap") => {
            "; raise the limit of locked memory (`ulimit -l`), which counts everything that this process maps (`mlockall`), or request \
             less"
        }
        libc::ENOMEM if call.starts_with("mmap") || call.ends_with("_RING)") => {
            "; request a smaller ring, or free some memory"
        }
        libc::ENOMEM => "; free some memory",
        libc::ENOPROTOOPT => "; the running kernel is too old for it",
        _ if call.ends_with("(AF_NETLINK)") => {
            "; a sandbox forbids it, because every kernel supports it: allow AF_NETLINK (systemd: `RestrictAddressFamilies=`; docker: \
             `--security-opt seccomp=PROFILE`)"
        }
        libc::EAFNOSUPPORT if call == "socket(AF_PACKET)" => {
            "; the running kernel is built without it (`modprobe af_packet`, CONFIG_PACKET)"
        }
        libc::EAFNOSUPPORT => "; the running kernel is built without it (CONFIG_XDP_SOCKETS)",
        libc::ENOSYS => "; the running kernel is built without it, or a sandbox forbids it",
        _ => "",
    }
}

/// Calls with specific advice.
pub(crate) const MAP_HUGE: &str = "mmap(MAP_HUGETLB)";
pub(crate) const MAP_ANONYMOUS: &str = "mmap(MAP_ANONYMOUS)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn only_permission_errors_are_about_privileges() {
        let text_of = |errno| {
            let call = "socket(AF_PACKET)";
            let source = io::Error::from_raw_os_error(errno);
            SyscallError { call, source }.needs_net_raw()
        };
        for errno in [libc::EPERM, libc::EACCES] {
            assert!(matches!(text_of(errno), Error::NotPermitted { .. }));
        }
        for (errno, advice) in [
            (libc::EMFILE, "(`ulimit -n`)"),
            (libc::ENFILE, "fs.file-max"),
            (libc::ENOMEM, "; free some memory"),
        ] {
            let text = text_of(errno).to_string();
            assert!(text.contains(advice), "{text}");
        }
    }

    #[test]
    fn each_call_has_the_advice_that_is_about_it() {
        let text_of = |call, errno| {
            let source = io::Error::from_raw_os_error(errno);
            SyscallError { call, source }.to_string()
        };
        for (call, errno, advice) in [
            (
                MAP_HUGE,
                libc::ENOMEM,
                "huge pages (`sysctl vm.nr_hugepages`)",
            ),
            (MAP_HUGE, libc::EINVAL, "do without them"),
            (MAP_ANONYMOUS, libc::ENOMEM, "request fewer chunks"),
            ("mmap", libc::ENOMEM, "request a smaller ring"),
            ("mmap", libc::EAGAIN, "`ulimit -l`"),
            (
                "setsockopt(XDP_UMEM_FILL_RING)",
                libc::ENOMEM,
                "request a smaller ring",
            ),
            ("epoll_create1", libc::ENOMEM, "free some memory"),
            ("socket(AF_NETLINK)", libc::EAFNOSUPPORT, "allow AF_NETLINK"),
            ("socket(AF_NETLINK)", libc::EPERM, "allow AF_NETLINK"),
            (
                "socket(AF_PACKET)",
                libc::EAFNOSUPPORT,
                "modprobe af_packet",
            ),
            ("socket(AF_XDP)", libc::EAFNOSUPPORT, "CONFIG_XDP_SOCKETS"),
        ] {
            let text = text_of(call, errno);
            assert!(text.starts_with(&format!("{call} failed; ")), "{text}");
            assert!(text.contains(advice), "{text}");
            assert_eq!(text.contains("ring"), advice.contains("ring"), "{text}");
        }
        assert_eq!(
            text_of("bind(AF_PACKET)", libc::ENODEV),
            "bind(AF_PACKET) failed"
        );
    }

    #[test]
    fn a_failed_call_is_named_and_its_cause_is_the_source() {
        let error = Error::from(SyscallError {
            call: "setsockopt(PACKET_RX_RING)",
            source: io::Error::from_raw_os_error(libc::ENOMEM),
        });
        assert_eq!(
            error.to_string(),
            "setsockopt(PACKET_RX_RING) failed; request a smaller ring, or free some memory"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
}
