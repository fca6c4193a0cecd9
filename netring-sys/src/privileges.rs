//! What the calling thread may do, and so what helps if the kernel refuses it something.

use std::fs;

/// Facts about the thread whose call was refused: its capabilities, `no_new_privs`, seccomp filter
/// and user namespace, from `/proc/thread-self`. They choose the advice of
/// [`Error::NotPermitted`](crate::Error::NotPermitted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges(Option<Facts>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    is_root: bool,
    permitted: Capabilities,
    effective: Capabilities,
    bounding: Capabilities,
    no_new_privs: bool,
    seccomp: bool,
    /// In a user namespace other than the host's.
    in_user_namespace: bool,
}

/// A set of those that matter here: a bit for each of [`CAPABILITIES`], so that an error stays
/// small.
type Capabilities = u8;

/// Names as `setcap` takes them, and the kernel's numbers.
const CAPABILITIES: [(&str, u32); 6] = [
    ("cap_net_admin", 12),
    ("cap_net_raw", 13),
    ("cap_ipc_lock", 14),
    ("cap_sys_admin", 21),
    ("cap_perfmon", 38),
    ("cap_bpf", 39),
];
const SYS_ADMIN: Capabilities = 1 << 3;
const BPF: Capabilities = 1 << 5;

/// Capabilities that a user namespace does not give.
const OF_THE_HOST: [&str; 3] = ["cap_bpf", "cap_sys_admin", "cap_perfmon"];

impl Privileges {
    /// Those of this thread, now. They are unknown where `/proc` cannot be read, and the advice is
    /// the most usual one then.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status");
        let namespace = fs::read_link("/proc/thread-self/ns/user");
        let facts = status.ok().zip(namespace.ok());
        Self(facts.and_then(|(status, namespace)| Facts::read(&status, namespace.to_str()?)))
    }

    /// Whether a seccomp filter looks at its system calls.
    pub(crate) fn is_filtered(&self) -> bool {
        self.0.is_some_and(|facts| facts.seccomp)
    }

    /// The rest of the sentence "… was refused: ". `grant` lists what is needed as `setcap` takes
    /// it, and `capability` says it in words; `denied` is false if the kernel's answer is not
    /// the one for a missing capability.
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

impl Facts {
    fn read(status: &str, user_namespace: &str) -> Option<Self> {
        /// The number that the kernel gives to the host's (`PROC_USER_INIT_INO`).
        const HOST: &str = "user:[4026531837]";
        let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let set = |name| {
            let bits = u64::from_str_radix(line(name)?.trim(), 16).ok()?;
            Some(chosen(|_, number| bits >> number & 1 != 0))
        };
        Some(Self {
            // Real, effective, saved, of the file system.
            is_root: line("Uid:")?.split_whitespace().nth(1)? == "0",
            permitted: set("CapPrm:")?,
            effective: set("CapEff:")?,
            bounding: set("CapBnd:")?,
            // Kernels before 4.10 do not say.
            no_new_privs: line("NoNewPrivs:").is_some_and(|value| value.trim() == "1"),
            seccomp: line("Seccomp:").is_some_and(|value| value.trim() != "0"),
            in_user_namespace: user_namespace != HOST,
        })
    }

    /// `None` for what helps a usual user on a usual machine.
    fn advice(&self, capability: &str, grant: &str, denied: bool) -> Option<String> {
        let missing = self.missing(grant);
        let needs = format!("the process needs {capability}");
        if !denied {
            let too = if missing == 0 {
                String::new()
            } else {
                format!("; {needs} too")
            };
            return Some(format!("{FILTERED}{too}"));
        }
        if self.in_user_namespace && is_of_the_host(capability, grant) {
            return Some(format!(
                "{needs}, and it runs in a user namespace, as rootless containers do: the root of a user namespace is not enough; \
                 run it outside"
            ));
        }
        if missing == 0 {
            return Some(self.barrier(capability, grant));
        }
        if missing & !self.bounding != 0 {
            return Some(self.bounded(&needs, grant, missing & !self.bounding));
        }
        if missing & !self.permitted == 0 {
            return Some(format!(
                "{needs}, which it holds but has not made effective (`capset`)"
            ));
        }
        if self.no_new_privs {
            let names = |separator, prefix| list(missing, separator, prefix);
            return Some(format!(
                "{needs}, and it runs under no_new_privs, with which neither sudo nor `setcap` grants a capability; the program that \
                 starts it must grant it (systemd: `AmbientCapabilities={}`; `setpriv --inh-caps={caps} --ambient-caps={caps}`), or not set \
                 no_new_privs",
                names(" ", "CAP_"),
                caps = names(",", "+").to_lowercase(),
            ));
        }
        self.is_root.then(|| {
            format!(
                "{needs}, and it runs as root without it; start it with the capability, or {}",
                once(grant)
            )
        })
    }

    /// The bits of `grant` that are not effective.
    fn missing(&self, grant: &str) -> Capabilities {
        let needed = chosen(|name, _| grant.split(',').any(|needed| needed == name));
        // The older capability has the newer one in it.
        let implied = if self.effective & SYS_ADMIN != 0 {
            BPF
        } else {
            0
        };
        needed & !(self.effective | implied)
    }

    /// What refuses a process that has the capability.
    fn barrier(&self, capability: &str, grant: &str) -> String {
        let has = format!("the process has {capability}");
        if self.seccomp {
            return format!("{has}, but {FILTERED}");
        }
        if self.in_user_namespace {
            return format!(
                "{has} in its user namespace, to which this network does not belong; run it outside of the user namespace, or in a \
                 network of its own with `unshare --net`"
            );
        }
        let memory = match is_of_the_host(capability, grant) {
            true => ", or, before kernel 5.11, the limit of locked memory (`ulimit -l`)",
            false => "",
        };
        format!(
            "{has}, but a security module (SELinux, AppArmor, kernel lockdown) refuses it{memory}; the kernel's log has the reason"
        )
    }

    /// What helps a process that cannot get the capability, as in a container that was started
    /// without it.
    fn bounded(&self, needs: &str, grant: &str, never: Capabilities) -> String {
        let then = match self.is_root {
            true => String::new(),
            false => format!("; then run it as root there, or {}", once(grant)),
        };
        format!(
            "{needs}, which even root cannot get here; the program that starts it must allow it (docker, podman: `{}`; Kubernetes: \
             `capabilities: {{add: [{}]}}`; systemd: `CapabilityBoundingSet=`){then}",
            list(never, " ", "--cap-add="),
            list(never, ", ", ""),
        )
    }
}

const FILTERED: &str = "a seccomp filter forbids the call; allow it in the sandbox (docker: `--security-opt seccomp=PROFILE`; systemd: \
                        `RestrictAddressFamilies=`, `SystemCallFilter=`)";

fn once(grant: &str) -> String {
    format!("give the program the capability once with `sudo setcap {grant}=ep PROGRAM`")
}

fn is_of_the_host(capability: &str, grant: &str) -> bool {
    let named = grant.split(',').any(|name| OF_THE_HOST.contains(&name));
    named || capability.ends_with("of the host")
}

/// Those whose name and number are chosen.
fn chosen(choose: impl Fn(&str, u32) -> bool) -> Capabilities {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NET_RAW: (&str, &str) = ("CAP_NET_RAW", "cap_net_raw");
    const PROGRAMS: (&str, &str) = (
        "CAP_BPF and CAP_NET_ADMIN of the host",
        "cap_net_raw,cap_bpf,cap_net_admin",
    );
    const ALL: Capabilities = 0b11_1111;
    const RAW: Capabilities = 0b10;

    const ROOT: Facts = Facts {
        is_root: true,
        permitted: ALL,
        effective: ALL,
        bounding: ALL,
        no_new_privs: false,
        seccomp: false,
        in_user_namespace: false,
    };
    const USER: Facts = Facts {
        is_root: false,
        permitted: 0,
        effective: 0,
        ..ROOT
    };

    fn said(facts: Facts, (capability, grant): (&str, &str), denied: bool) -> String {
        Privileges(Some(facts)).advice(capability, grant, denied)
    }

    #[track_caller]
    fn says(text: &str, contains: &[&str], lacks: &[&str]) {
        for part in contains {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in lacks {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }

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
        assert_eq!(list(BPF | SYS_ADMIN, " ", "+"), "+SYS_ADMIN +BPF");
    }

    #[test]
    fn who_may_not_load_programs_is_not_sent_into_a_user_namespace() {
        for facts in [Privileges(None), Privileges(Some(USER))] {
            let text = facts.advice(PROGRAMS.0, PROGRAMS.1, true);
            says(
                &text,
                &[
                    "run it as root",
                    "sudo setcap cap_net_raw,cap_bpf,cap_net_admin=ep",
                ],
                &["unshare"],
            );
        }
        let inside = Facts {
            in_user_namespace: true,
            ..ROOT
        };
        let text = said(inside, PROGRAMS, true);
        says(
            &text,
            &["rootless containers", "run it outside"],
            &["run it as root", "setcap"],
        );
    }

    /// As docker starts a container: the packet capability is there, those for programs are not.
    #[test]
    fn a_container_is_told_all_that_it_lacks_and_nothing_that_it_has() {
        let docker = Facts {
            permitted: RAW,
            effective: RAW,
            bounding: RAW,
            seccomp: true,
            ..ROOT
        };
        let text = said(docker, PROGRAMS, true);
        says(
            &text,
            &[
                "`--cap-add=NET_ADMIN --cap-add=BPF`",
                "add: [NET_ADMIN, BPF]",
            ],
            &["NET_RAW", "setcap", "run it as root"],
        );
        let text = said(docker, NET_RAW, true);
        says(
            &text,
            &["has CAP_NET_RAW", "a seccomp filter"],
            &["needs", "run it as root"],
        );
    }

    #[test]
    fn the_older_capability_has_the_newer_one_in_it() {
        let older = Facts {
            effective: ALL & !BPF,
            ..ROOT
        };
        let text = said(older, PROGRAMS, true);
        says(&text, &["a security module", "`ulimit -l`"], &["needs"]);
        let neither = ALL & !BPF & !SYS_ADMIN;
        let dropped = Facts {
            permitted: neither,
            effective: neither,
            ..ROOT
        };
        says(
            &said(dropped, PROGRAMS, true),
            &["runs as root without it"],
            &["run it as root"],
        );
    }

    #[test]
    fn an_answer_that_no_capability_explains_is_the_filters() {
        let filtered = Facts {
            seccomp: true,
            ..USER
        };
        let text = said(filtered, NET_RAW, false);
        assert!(
            text.starts_with("a seccomp filter forbids the call"),
            "{text}"
        );
        assert!(
            text.ends_with("; the process needs CAP_NET_RAW too"),
            "{text}"
        );
        let root = said(
            Facts {
                seccomp: true,
                ..ROOT
            },
            NET_RAW,
            false,
        );
        says(&root, &["a seccomp filter"], &["CAP_NET_RAW"]);
    }

    #[test]
    fn a_capability_that_is_held_has_to_be_made_effective() {
        let held = Facts {
            permitted: RAW,
            ..USER
        };
        says(&said(held, NET_RAW, true), &["capset"], &["setcap", "root"]);
    }
}
