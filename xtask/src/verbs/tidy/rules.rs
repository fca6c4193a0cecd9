//! Rules for single files: each is a function from a file to its violations.

/// Workspace members, each with the members it may depend on: arrows point down.
const ARROWS: [(&str, &[&str]); 6] = [
    ("netring-sys", &[]),
    ("netring-afpacket", &["netring-sys"]),
    ("netring-xdp", &["netring-sys"]),
    ("netring-flow", &["netring-sys"]),
    ("netring-async", &["netring-sys", "netring-flow"]),
    (
        "netring",
        &[
            "netring-sys",
            "netring-afpacket",
            "netring-xdp",
            "netring-flow",
            "netring-async",
        ],
    ),
];

/// Dependencies that belong to one member. xtask measures and tests all of them, and is exempt.
const OWNERS: [(&str, &str); 5] = [
    ("libc", "netring-sys"),
    ("aya", "netring-xdp"),
    ("flowscope", "netring-flow"),
    ("tokio", "netring-async"),
    ("async-broadcast", "netring-async"),
];

/// The files that may contain unsafe code; each opens with the invariant that makes it sound.
pub(super) const UNSAFE_FILES: &[&str] = &[
    "netring-sys/src/syscall/bpf.rs",
    "netring-sys/src/syscall/bpf/array.rs",
    "netring-sys/src/syscall/bpf/test_run.rs",
    "netring-sys/src/syscall/ioctl.rs",
    "netring-sys/src/syscall/ioctl/facts.rs",
    "netring-sys/src/syscall/link.rs",
    "netring-sys/src/syscall/mmap.rs",
    "netring-sys/src/syscall/namespace.rs",
    "netring-sys/src/syscall/packet.rs",
    "netring-sys/src/syscall/packet/timestamps.rs",
    "netring-sys/src/syscall/packet/transmit.rs",
    "netring-sys/src/syscall/page.rs",
    "netring-sys/src/syscall/poll.rs",
    "netring-sys/src/syscall/sockopt.rs",
    "netring-sys/src/syscall/uname.rs",
    "netring-sys/src/syscall/xdp.rs",
    "netring-sys/src/syscall/xdp/rings.rs",
    "netring-afpacket/src/rx/ring.rs",
    "netring-afpacket/src/tx/ring.rs",
    "netring-afpacket/src/tx/ring/tests.rs",
    "xtask/src/tools/bench/minimal.rs",
    "xtask/src/tools/bench/sendmmsg.rs",
    "xtask/src/tools/conformance/live/tun.rs",
    "netring-flow/src/table/prefetch.rs",
    "netring-xdp/src/socket/rx.rs",
    "netring-xdp/src/socket/rx/batch.rs",
    "netring-xdp/src/socket/rx/recycle.rs",
    "netring-xdp/src/socket/rx/forward.rs",
    "netring-xdp/src/socket/rx/iter.rs",
    "netring-xdp/src/socket/rx/metadata.rs",
    "netring-xdp/src/memory/region.rs",
    "netring-xdp/src/memory/token.rs",
    "netring-xdp/src/ring/memory.rs",
    "netring-xdp/src/socket/tx/reclaim.rs",
];

const MAX_LINES: usize = 500;

/// Maximum columns of a comment line, including its indentation.
const MAX_COMMENT: usize = 100;

/// The violations in a file.
pub(super) fn check(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if name.ends_with(".rs") {
        length(name, text, &mut broken);
        comments(name, text, &mut broken);
        unfinished(name, text, &mut broken);
        interfaces(name, text, &mut broken);
        runtime(name, text, &mut broken);
        pure(name, text, &mut broken);
    }
    if name.ends_with("Cargo.toml") {
        dependencies(name, text, &mut broken);
    }
    if name == "README.md" || name == "CONTRIBUTING.md" {
        verbs(name, text, &mut broken);
    }
    broken
}

fn length(name: &str, text: &str, broken: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MAX_LINES {
        broken.push(format!(
            "{name}: {lines} lines; one idea per file, at most {MAX_LINES} lines"
        ));
    }
}

fn comments(name: &str, text: &str, broken: &mut Vec<String>) {
    for (number, line) in lines(text) {
        let comment = line.trim_start();
        let text = comment.trim_start_matches(['/', '!']).trim_start();
        // These cannot be wrapped: a table row, a hidden line of an example, a link with or without
        // a label.
        let is_link = text.starts_with('[') && text.contains("]: https://");
        let whole = text.starts_with(['|', '#']) || is_link || !text.contains(' ');
        if comment.starts_with("//") && !whole && line.chars().count() > MAX_COMMENT {
            broken.push(format!(
                "{name}:{number}: a comment line of more than {MAX_COMMENT} columns"
            ));
        }
    }
}

fn unfinished(name: &str, text: &str, broken: &mut Vec<String>) {
    // Assembled here, so that this file does not break its own rule.
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    for (number, line) in lines(text) {
        if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
            broken.push(format!("{name}:{number}: unfinished work: {mark}"));
        }
    }
}

fn interfaces(name: &str, text: &str, broken: &mut Vec<String>) {
    for (number, line) in lines(text) {
        let code = line.split("//").next().unwrap_or_default();
        if code.contains(concat!("/sys/class", "/net")) {
            broken.push(format!(
                "{name}:{number}: /sys shows the namespace in which it was mounted; ask netlink"
            ));
        }
    }
}

/// Waiting is the adapter's job: the layers below it know no runtime.
fn runtime(name: &str, text: &str, broken: &mut Vec<String>) {
    let below = [
        "netring-sys/src/",
        "netring-afpacket/src/",
        "netring-xdp/src/",
        "netring-flow/src/",
    ];
    if !below.iter().any(|folder| name.starts_with(folder)) {
        return;
    }
    for (number, line) in lines(text) {
        let code = line.split("//").next().unwrap_or_default();
        if code.contains(concat!(".aw", "ait")) || code.contains(concat!("tok", "io::")) {
            broken.push(format!("{name}:{number}: a runtime below netring-async"));
        }
    }
}

/// Types, filters and the contract make no system call. The check of the doors ensures that they
/// use no module that makes one.
fn pure(name: &str, text: &str, broken: &mut Vec<String>) {
    let is_pure = |door: &str| {
        let rest = name.strip_prefix("netring-sys/src/");
        let rest = rest.and_then(|rest| rest.strip_prefix(door));
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    let doors = ["kernel", "packet", "filter", "contract"];
    if !doors.iter().any(|door| is_pure(door)) {
        return;
    }
    for (number, line) in lines(text) {
        let code = line.split("//").next().unwrap_or_default();
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| word == "libc") {
            broken.push(format!(
                "{name}:{number}: libc in a module that makes no system call"
            ));
        }
    }
}

/// The dependencies of a member, without those of its tests.
fn dependencies(name: &str, text: &str, broken: &mut Vec<String>) {
    let member = name.trim_end_matches("Cargo.toml").trim_end_matches('/');
    let mut inside = false;
    for (number, line) in lines(text) {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            continue;
        }
        let Some(dependency) = line
            .split(['.', ' ', '='])
            .next()
            .filter(|word| inside && !word.is_empty())
        else {
            continue;
        };
        let arrow = ARROWS.iter().find(|(from, _)| *from == member);
        if let Some((_, to)) = arrow {
            if dependency.starts_with("netring") && !to.contains(&dependency) {
                broken.push(format!(
                    "{name}:{number}: {member} must not know {dependency}"
                ));
            }
            let owner = OWNERS.iter().find(|(what, _)| *what == dependency);
            if let Some((_, owner)) = owner.filter(|(_, owner)| *owner != member) {
                broken.push(format!("{name}:{number}: {dependency} belongs to {owner}"));
            }
        }
    }
}

/// A command that is mentioned to readers exists.
fn verbs(name: &str, text: &str, broken: &mut Vec<String>) {
    let known = [
        "demo",
        "test",
        "test-netns",
        "bench",
        "conformance",
        "conformance-files",
        "conformance-filter",
        "conformance-streams",
        "instructions",
        "public-api",
        "tidy",
        "package",
        "ci",
    ];
    for (number, line) in lines(text) {
        for rest in line.split("cargo xtask ").skip(1) {
            let verb: String = rest
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            if !known.contains(&verb.as_str()) {
                broken.push(format!("{name}:{number}: there is no `cargo xtask {verb}`"));
            }
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_fires_on_what_breaks_it() {
        let long = "\n".repeat(MAX_LINES + 1);
        let wide = format!("    // two {}", "w".repeat(MAX_COMMENT - 9));
        let samples = [
            ("netring/src/a.rs", long.as_str(), "one idea per file"),
            ("netring/src/a.rs", &wide, "100 columns"),
            ("netring/src/a.rs", concat!("to", "do!()"), "unfinished"),
            (
                "netring-sys/src/a.rs",
                concat!("\"/sys/class", "/net/eth0\""),
                "netlink",
            ),
            ("netring-flow/src/a.rs", concat!("x.aw", "ait"), "runtime"),
            (
                "netring-sys/src/filter/a.rs",
                "use libc::EINVAL;",
                "no system call",
            ),
            (
                "netring-sys/src/packet.rs",
                "use crate::{Error, libc};",
                "no system call",
            ),
            (
                "netring-sys/src/contract/adapters/a.rs",
                "fn f() { libc::read() }",
                "no system call",
            ),
            (
                "netring-afpacket/Cargo.toml",
                "[dependencies]\nlibc.workspace = true",
                "belongs to netring-sys",
            ),
            (
                "netring-flow/Cargo.toml",
                "[dependencies]\nnetring-afpacket.workspace = true",
                "must not know",
            ),
            (
                "netring/Cargo.toml",
                "[dependencies]\ntokio = \"1\"",
                "belongs to netring-async",
            ),
            ("README.md", "run `cargo xtask fly`", "no `cargo xtask fly`"),
        ];
        for (name, text, reported) in samples {
            let broken = check(name, text);
            assert!(
                broken.iter().any(|line| line.contains(reported)),
                "{name}: {reported}: {broken:?}"
            );
        }
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let tests_only = "[dev-dependencies]\ntokio = \"1\"\nnetring-afpacket.workspace = true";
        assert_eq!(
            check("netring-flow/Cargo.toml", tests_only),
            Vec::<String>::new()
        );
        assert_eq!(
            check("README.md", "cargo xtask demo eth0 10s"),
            Vec::<String>::new()
        );
        let link = format!(
            "// [`tpacket_req3`]: https://example.org/{}",
            "w".repeat(MAX_COMMENT)
        );
        assert_eq!(check("netring/src/a.rs", &link), Vec::<String>::new());
        let words = "use crate::kernel::filter; // as libc has it\nfn libc_word() {}";
        assert_eq!(
            check("netring-sys/src/filter/a.rs", words),
            Vec::<String>::new()
        );
        assert_eq!(
            check("netring-sys/src/filters.rs", "use libc::EINVAL;"),
            Vec::<String>::new()
        );
    }
}
