//! The doors of `netring-sys`: which of its top modules may use which.
//!
//! The crate contains the kernel interface and the types that every layer shares. Cargo checks the
//! arrows between crates; this checks the arrows inside this one, so that types, filters and the
//! contract stay independent of the system.

use super::modules::{Graph, Modules};
use super::source::Source;

const FOLDER: &str = "netring-sys/src/";

/// Each door, and the doors that it may use besides itself.
const DOORS: [(&str, &[&str]); 12] = [
    ("kernel", &[]),
    ("errno", &[]),
    ("event", &[]),
    ("privileges", &[]),
    ("parse_error", &[]),
    ("xdp_program", &["parse_error"]),
    ("error", &["errno", "privileges", "xdp_program"]),
    ("packet", &["kernel", "parse_error"]),
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
            "event",
            "packet",
            "contract",
            "syscall",
        ],
    ),
];

/// Reports each file that uses a door which its own door may not use.
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

/// The top module of a file; `None` for the root of the crate.
fn door(file: &str) -> Option<&str> {
    let rest = file.strip_prefix(FOLDER)?;
    let door = rest.split('/').next()?.trim_end_matches(".rs");
    (door != "lib").then_some(door)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reports if a file of one door uses an item of another, for each way to name it.
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
                    let reported = format!("{from} must not use {to} ");
                    assert_eq!(broken.len(), 4, "{from} to {to}: {broken:?}");
                    assert!(
                        broken.iter().all(|line| line.contains(&reported)),
                        "{broken:?}"
                    );
                }
            }
        }
        // Each door has an arrow to each other one.
        let allowed: usize = DOORS.iter().map(|(_, allowed)| allowed.len()).sum();
        assert_eq!(forbidden, DOORS.len() * (DOORS.len() - 1) - allowed);
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
