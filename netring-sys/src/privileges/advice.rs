//! Advice for a thread whose call was refused.

use super::{BPF, Capabilities, Facts, SYS_ADMIN, chosen, list};

/// Capabilities that a user namespace does not give.
const OF_THE_HOST: [&str; 3] = ["cap_bpf", "cap_sys_admin", "cap_perfmon"];

impl Facts {
    /// Returns `None` for an ordinary user on an ordinary machine.
    pub(super) fn advice(&self, capability: &str, grant: &str, denied: bool) -> Option<String> {
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
        // CAP_SYS_ADMIN includes CAP_BPF.
        let implied = if self.effective & SYS_ADMIN != 0 {
            BPF
        } else {
            0
        };
        needed & !(self.effective | implied)
    }

    /// What stopped a process that has the capability.
    fn barrier(&self, capability: &str, grant: &str) -> String {
        let has = format!("the process has {capability}");
        if self.seccomp {
            return format!("{has}, but {FILTERED}");
        }
        if self.in_user_namespace {
            return format!(
                "{has} in its user namespace, to which this network does not belong; run it outside the user namespace, or in a \
                 network namespace of its own with `unshare --net`"
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

    /// Advice for a process that cannot get the capability, as in a container that was started
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

pub(super) fn once(grant: &str) -> String {
    format!("give the program the capability once with `sudo setcap {grant}=ep PROGRAM`")
}

pub(super) fn is_of_the_host(capability: &str, grant: &str) -> bool {
    let named = grant.split(',').any(|name| OF_THE_HOST.contains(&name));
    named || capability.ends_with("of the host")
}

#[cfg(test)]
mod tests {
    use super::super::Privileges;
    use super::*;

    const NET_RAW: (&str, &str) = ("CAP_NET_RAW", "cap_net_raw");
    const PROGRAMS: (&str, &str) = (
        "CAP_BPF and CAP_NET_ADMIN of the host",
        "cap_net_raw,cap_bpf,cap_net_admin",
    );
    const ALL: Capabilities = 0b111_1111;
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

    #[test]
    fn a_set_is_listed_in_the_order_of_the_numbers() {
        assert_eq!(list(BPF | SYS_ADMIN, " ", "+"), "+SYS_ADMIN +BPF");
    }

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
    fn a_user_who_may_not_load_programs_is_not_sent_into_a_user_namespace() {
        for facts in [Privileges::unknown(), Privileges(Some(USER))] {
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

    /// The state in a Docker container: it has the packet capability, but not those for programs.
    #[test]
    fn the_advice_for_a_container_names_all_that_it_lacks_and_nothing_that_it_has() {
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
