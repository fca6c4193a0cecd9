//! The privileges of a thread, read from `/proc` when a call was refused.

use std::fs;

use crate::error::is_denied;
use crate::privileges::{Facts, chosen};
use crate::{Error, Privileges, SyscallError};

/// The capability that raw packet sockets need.
const NET_RAW: (&str, &str) = ("CAP_NET_RAW", "cap_net_raw");
/// The capabilities that XDP programs need; a user namespace does not grant them.
const BPF: (&str, &str) = (
    "CAP_BPF and CAP_NET_ADMIN of the host",
    "cap_bpf,cap_net_admin",
);
/// The capability that changing an interface needs.
const NET_ADMIN: (&str, &str) = ("CAP_NET_ADMIN of the host", "cap_net_admin");
/// The capabilities that entering a network namespace and capturing in it need.
const SYS_ADMIN: (&str, &str) = ("CAP_SYS_ADMIN", "cap_net_raw,cap_sys_admin");
/// The same, for a namespace that is found by a process of another user.
const PTRACE: (&str, &str) = ("CAP_SYS_PTRACE", "cap_net_raw,cap_sys_ptrace,cap_sys_admin");

impl SyscallError {
    /// Returns this error, or [`Error::NotPermitted`] if CAP_NET_RAW is missing or a sandbox may be
    /// the reason.
    pub fn needs_net_raw(self) -> Error {
        self.needs(NET_RAW)
    }

    /// Returns this error, or [`Error::NotPermitted`] if CAP_BPF or CAP_NET_ADMIN is missing or a
    /// sandbox may be the reason.
    pub fn needs_bpf(self) -> Error {
        self.needs(BPF)
    }

    /// Returns this error, or [`Error::NotPermitted`] if CAP_NET_ADMIN is missing.
    pub fn needs_net_admin(self) -> Error {
        self.needs(NET_ADMIN)
    }

    /// Returns this error, or [`Error::NotPermitted`] if CAP_SYS_ADMIN is missing, which entering a
    /// network namespace needs, or a sandbox may be the reason.
    pub fn needs_sys_admin(self) -> Error {
        self.needs(SYS_ADMIN)
    }

    /// Returns this error, or [`Error::NotPermitted`] if CAP_SYS_PTRACE is missing, which the
    /// namespace of a process of another user needs.
    pub(crate) fn needs_ptrace(self) -> Error {
        self.needs(PTRACE)
    }

    fn needs(self, (capability, grant): (&'static str, &'static str)) -> Error {
        // A seccomp filter can answer with any error number; these are the usual ones for whole
        // families of calls.
        let unsupported =
            self.is(libc::EAFNOSUPPORT) || self.is(libc::EPROTONOSUPPORT) || self.is(libc::ENOSYS);
        let denied = is_denied(&self.source);
        if !denied && !unsupported {
            return self.into();
        }
        let privileges = Privileges::now();
        if !denied && !privileges.is_filtered() {
            return self.into();
        }
        Error::NotPermitted {
            call: self.call,
            capability,
            grant,
            privileges,
            source: self.source,
        }
    }
}

impl Privileges {
    /// The privileges of this thread, now. They are unknown if `/proc` cannot be read; the advice
    /// is then for the most common case.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status");
        let namespace = fs::read_link("/proc/thread-self/ns/user");
        let facts = status.ok().zip(namespace.ok());
        Self(facts.and_then(|(status, namespace)| Facts::read(&status, namespace.to_str()?)))
    }
}

impl Facts {
    fn read(status: &str, user_namespace: &str) -> Option<Self> {
        /// The inode number of the host's user namespace (`PROC_USER_INIT_INO`).
        // [`PROC_USER_INIT_INO`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/linux/proc_ns.h#L45
        const HOST: &str = "user:[4026531837]";
        let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let set = |name| {
            let bits = u64::from_str_radix(line(name)?.trim(), 16).ok()?;
            Some(chosen(|_, number| bits >> number & 1 != 0))
        };
        Some(Self {
            // Real, effective, saved and filesystem UID.
            is_root: line("Uid:")?.split_whitespace().nth(1)? == "0",
            permitted: set("CapPrm:")?,
            effective: set("CapEff:")?,
            bounding: set("CapBnd:")?,
            // Missing before kernel 4.10.
            no_new_privs: line("NoNewPrivs:").is_some_and(|value| value.trim() == "1"),
            seccomp: line("Seccomp:").is_some_and(|value| value.trim() != "0"),
            in_user_namespace: user_namespace != HOST,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u8 = 0b111_1111;
    const RAW: u8 = 0b10;

    #[test]
    fn the_facts_are_read_from_what_the_kernel_writes() {
        let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t0000000000002000\n\
                      CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let facts = Facts {
            is_root: true,
            permitted: RAW,
            effective: 0,
            bounding: ALL,
            no_new_privs: true,
            seccomp: true,
            in_user_namespace: false,
        };
        assert_eq!(Facts::read(status, "user:[4026531837]"), Some(facts));
        let inside = Facts::read(status, "user:[4026532201]").unwrap();
        assert!(inside.in_user_namespace);
        for cut in 0..status.find("NoNewPrivs").unwrap() - 1 {
            assert!(Facts::read(&status[..cut], "user:[1]").is_none_or(|facts| facts != inside));
        }
        assert!(Privileges::now().0.is_some());
    }
}
