//! The privileges of a thread, which decide what helps when a call was refused.

mod advice;

use advice::{is_of_the_host, once};

/// Facts about the thread whose call was refused: its capabilities, `no_new_privs`, seccomp filter
/// and user namespace, from `/proc/thread-self`.
/// [`Error::NotPermitted`](crate::Error::NotPermitted) bases its advice on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges(pub(crate) Option<Facts>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) is_root: bool,
    pub(crate) permitted: Capabilities,
    pub(crate) effective: Capabilities,
    pub(crate) bounding: Capabilities,
    pub(crate) no_new_privs: bool,
    pub(crate) seccomp: bool,
    /// In a user namespace other than the host's.
    pub(crate) in_user_namespace: bool,
}

/// A set of the capabilities that matter here, one bit for each of [`CAPABILITIES`], so that errors
/// stay small.
pub(crate) type Capabilities = u8;

/// Names as `setcap` takes them, with the kernel's numbers.
// [`CAP_NET_ADMIN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/capability.h#L204
const CAPABILITIES: [(&str, u32); 7] = [
    ("cap_net_admin", 12),
    ("cap_net_raw", 13),
    ("cap_ipc_lock", 14),
    ("cap_sys_ptrace", 19),
    ("cap_sys_admin", 21),
    ("cap_perfmon", 38),
    ("cap_bpf", 39),
];
const SYS_ADMIN: Capabilities = 1 << 4;
const BPF: Capabilities = 1 << 6;

impl Privileges {
    /// Whether a seccomp filter applies to its system calls.
    pub(crate) fn is_filtered(&self) -> bool {
        self.0.is_some_and(|facts| facts.seccomp)
    }

    /// Completes the sentence "… was refused: ". `grant` lists the required capabilities as
    /// `setcap` takes them, and `capability` is their name in the sentence; `denied` is false if
    /// the error is not the one for a missing capability.
    pub(crate) fn advice(&self, capability: &str, grant: &str, denied: bool) -> String {
        let usual = || {
            let elsewhere = match is_of_the_host(capability, grant) {
                false => {
                    ", or run it in a namespace of its own with `unshare --user --map-root-user --net`"
                }
                true => "; the root of a user namespace is not enough",
            };
            format!(
                "the process needs {capability}; run it as root, or {}{elsewhere}",
                once(grant)
            )
        };
        match &self.0 {
            None => usual(),
            Some(facts) => facts
                .advice(capability, grant, denied)
                .unwrap_or_else(usual),
        }
    }
}

/// The set of capabilities for which `choose` returns true.
pub(crate) fn chosen(choose: impl Fn(&str, u32) -> bool) -> Capabilities {
    let all = CAPABILITIES.iter().enumerate();
    let bits =
        all.map(|(place, (name, number))| Capabilities::from(choose(name, *number)) << place);
    bits.fold(0, |set, bit| set | bit)
}

/// Their names, without the `CAP_`.
fn list(set: Capabilities, separator: &str, prefix: &str) -> String {
    let all = CAPABILITIES.iter().enumerate();
    let names = all.filter(|(place, _)| set >> place & 1 != 0);
    let names =
        names.map(|(_, (name, _))| format!("{prefix}{}", name["cap_".len()..].to_uppercase()));
    names.collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
impl Privileges {
    /// As if `/proc` could not be read.
    pub(crate) const fn unknown() -> Self {
        Self(None)
    }
}
