//! The doors of `netring-sys`: which of its top modules may use which.
//!
//! The crate holds what the kernel says, and the words that every layer shares. Cargo keeps the
//! arrows between crates; this keeps the arrows inside of this one, so that words, filters and the
//! contract stay free of the system.

use super::modules::{Graph, Modules};
use super::source::Source;

const FOLDER: &str = "netring-sys/src/";

/// Each door, and the doors that it may use besides itself.
const DOORS: [(&str, &[&str]); 10] = [
    ("kernel", &[]),
    ("errno", &[]),
    ("privileges", &[]),
    ("xdp_program", &[]),
    ("error", &["errno", "privileges", "xdp_program"]),
    ("packet", &["kernel"]),
    ("filter", &["kernel", "error", "packet"]),
    ("contract", &["kernel", "error", "packet", "filter"]),
    ("syscall", &["kernel", "errno", "error", "xdp_program"]),
    (
        "os",
        &[
            "kernel",
            "errno",
            "privileges",
            "xdp_program",
            "error",
            "packet",
            "contract",
            "syscall",
        ],
    ),
];

/// Reports each file that uses a door which its own must not know.
pub(super) fn check(sources: &[Source], broken: &mut Vec<String>) {
    forbidden(&Modules::read(FOLDER, sources).graph_with_exports(), broken);
}

fn forbidden(graph: &Graph<'_>, broken: &mut Vec<String>) {
    for (file, uses) in graph {
        let Some(from) = door(file) else {
            continue;
        };
        let Some((_, allowed)) = DOORS.iter().find(|(name, _)| *name == from) else {
            broken.push(format!("{file}: {from} is not a door that tidy knows"));
            continue;
        };
        for used in uses {
            let to = door(used).unwrap_or_default();
            if to != from && !allowed.contains(&to) {
                broken.push(format!("{file}: {from} must not use {to} ({used})"));
            }
        }
    }
}

/// The top module of a file; the root of the crate has none.
fn door(file: &str) -> Option<&str> {
    let rest = file.strip_prefix(FOLDER)?;
    let door = rest.split('/').next()?.trim_end_matches(".rs");
    (door != "lib").then_some(door)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reported if a file of one door uses an item of another, by each way to name it.
    fn broken(from: &str, to: &str) -> Vec<String> {
        let read = |name: &str, text: &str| Source::read(&format!("{FOLDER}{name}"), text).unwrap();
        let root = format!("mod {from}; mod {to}; pub use {to}::Thing;");
        let mut all = Vec::new();
        for way in [
            format!("use crate::{to}::deep::Thing; fn f(_: Thing) {{}}"),
            format!("fn f(_: super::super::{to}::Thing) {{}}"),
            "use crate::Thing; fn f(_: Thing) {}".to_owned(),
            format!("pub use crate::{to}::*;"),
        ] {
            let sources = [
                read("lib.rs", &root),
                read(&format!("{from}.rs"), "mod part;"),
                read(&format!("{from}/part.rs"), &way),
                read(&format!("{to}.rs"), "mod deep; pub use deep::Thing;"),
                read(&format!("{to}/deep.rs"), "pub struct Thing;"),
            ];
            let before = all.len();
            check(&sources, &mut all);
            assert!(all.len() - before <= 1, "{all:?}");
        }
        all
    }

    #[test]
    fn each_arrow_that_is_not_allowed_is_reported_however_it_is_written() {
        let mut forbidden = 0;
        for (from, allowed) in DOORS {
            for (to, _) in DOORS.iter().filter(|(to, _)| *to != from) {
                let broken = broken(from, to);
                if allowed.contains(to) {
                    assert_eq!(broken, Vec::<String>::new());
                } else {
                    forbidden += 1;
                    let told = format!("{from} must not use {to} ");
                    assert_eq!(broken.len(), 4, "{from} to {to}: {broken:?}");
                    assert!(broken.iter().all(|line| line.contains(&told)), "{broken:?}");
                }
            }
        }
        // Of ten doors, each to nine others.
        let allowed: usize = DOORS.iter().map(|(_, allowed)| allowed.len()).sum();
        assert_eq!(forbidden, 90 - allowed);
    }

    #[test]
    fn the_words_know_neither_calls_nor_the_system() {
        for from in ["packet", "contract", "filter", "error", "kernel"] {
            let (_, allowed) = DOORS.iter().find(|(name, _)| *name == from).unwrap();
            assert!(!allowed.contains(&"os") && !allowed.contains(&"syscall"));
        }
    }

    #[test]
    fn a_new_top_module_needs_a_place_among_the_doors() {
        let sources = [Source::read("netring-sys/src/cellar.rs", "").unwrap()];
        let mut broken = Vec::new();
        check(&sources, &mut broken);
        assert!(broken[0].contains("not a door"), "{broken:?}");
    }
}
