//! All permissions that a process needs, in one line: `setcap` removes the capabilities that it is
//! not given, so advice that names one at a time would never succeed.

use netring_sys::syscall::memlock_limit;
use netring_sys::{Error, SyscallError};

/// All permissions that the process needs for some settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Loads and attaches an XDP program (CAP_BPF and CAP_NET_ADMIN of the host).
    pub(crate) program: bool,
    /// Sets an option that needs CAP_NET_ADMIN of the host.
    pub(crate) net_admin: bool,
    /// Bytes of packet memory that it locks.
    pub(crate) memory: u64,
    /// Enters another network namespace.
    pub(crate) namespace: bool,
}

impl Needs {
    /// The needs of a program for AF_XDP sockets, including the sockets.
    const PROGRAM: Self = Self {
        program: true,
        net_admin: true,
        memory: 0,
        namespace: false,
    };

    /// Completes an error about a missing permission with everything that is needed.
    pub(crate) fn explain(self, mut error: Error) -> Error {
        if let Error::NotPermitted {
            capability, grant, ..
        } = &mut error
        {
            let locks = memlock_limit().is_some_and(|limit| self.memory > limit);
            (*capability, *grant) = self.capabilities(locks);
        }
        error
    }

    /// The error of packet memory that exceeds the limit of locked memory.
    pub(crate) fn too_much_memory(self, limit: u64) -> Error {
        let (_, grant) = self.capabilities(true);
        // Memory that the user has locked elsewhere is within the current limit.
        let enough = self.memory.saturating_add(limit).next_multiple_of(1024);
        Error::MemoryLimit {
            needed: self.memory,
            limit,
            advice: format!(
                "grant the capability together with the others that are needed (`sudo setcap \
                 {grant}=ep PROGRAM`; in a container `--cap-add IPC_LOCK`), raise the limit \
                 (`ulimit -l {}`, LimitMEMLOCK={enough}; in a container `--ulimit \
                 memlock={enough}`), or use fewer chunks",
                enough / 1024
            ),
        }
    }

    /// The capabilities in words, and for `setcap`.
    const fn capabilities(self, locks: bool) -> (&'static str, &'static str) {
        if self.namespace {
            return self.capabilities_elsewhere(locks);
        }
        match (self.program, self.net_admin, locks) {
            (true, _, false) => (
                "CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW of the host",
                "cap_net_raw,cap_bpf,cap_net_admin",
            ),
            (true, _, true) => (
                "CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_bpf,cap_net_admin,cap_ipc_lock",
            ),
            (false, true, false) => (
                "CAP_NET_RAW and CAP_NET_ADMIN of the host",
                "cap_net_raw,cap_net_admin",
            ),
            (false, true, true) => (
                "CAP_NET_RAW, CAP_NET_ADMIN and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_net_admin,cap_ipc_lock",
            ),
            (false, false, false) => ("CAP_NET_RAW", "cap_net_raw"),
            (false, false, true) => (
                "CAP_NET_RAW and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_ipc_lock",
            ),
        }
    }
}

impl Needs {
    /// Those for another network namespace.
    const fn capabilities_elsewhere(self, locks: bool) -> (&'static str, &'static str) {
        match (self.program, self.net_admin, locks) {
            (true, _, false) => (
                "CAP_SYS_ADMIN, CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW of the host",
                "cap_net_raw,cap_bpf,cap_net_admin,cap_sys_admin",
            ),
            (true, _, true) => (
                "CAP_SYS_ADMIN, CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_bpf,cap_net_admin,cap_sys_admin,cap_ipc_lock",
            ),
            (false, true, false) => (
                "CAP_SYS_ADMIN, CAP_NET_RAW and CAP_NET_ADMIN of the host",
                "cap_net_raw,cap_net_admin,cap_sys_admin",
            ),
            (false, true, true) => (
                "CAP_SYS_ADMIN, CAP_NET_RAW, CAP_NET_ADMIN and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_net_admin,cap_sys_admin,cap_ipc_lock",
            ),
            (false, false, false) => ("CAP_SYS_ADMIN and CAP_NET_RAW", "cap_net_raw,cap_sys_admin"),
            (false, false, true) => (
                "CAP_SYS_ADMIN, CAP_NET_RAW and, for its packet memory, CAP_IPC_LOCK of the host",
                "cap_net_raw,cap_sys_admin,cap_ipc_lock",
            ),
        }
    }
}

/// The error of a call about a program.
pub(crate) fn for_program(failed: SyscallError) -> Error {
    Needs::PROGRAM.explain(failed.needs_bpf())
}

/// The same, for a call whose error already names a permission.
pub(crate) fn explained_for_program(error: Error) -> Error {
    Needs::PROGRAM.explain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_another_namespace_has_everything_and_what_enters_it() {
        for bits in 0..8 {
            let needs = |namespace| Needs {
                program: bits & 1 != 0,
                net_admin: bits & 2 != 0,
                memory: 0,
                namespace,
            };
            let locks = bits & 4 != 0;
            let (_, here) = needs(false).capabilities(locks);
            let (named, elsewhere) = needs(true).capabilities(locks);
            let mut expected: Vec<_> = here.split(',').chain(["cap_sys_admin"]).collect();
            let mut granted: Vec<_> = elsewhere.split(',').collect();
            expected.sort_unstable();
            granted.sort_unstable();
            assert_eq!(granted, expected, "{bits}");
            for capability in granted {
                assert!(named.contains(&capability.to_uppercase()), "{named}");
            }
        }
    }
}
