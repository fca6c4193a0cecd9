//! The modules of a crate: which file uses which, by the paths in it.
//!
//! A path counts for the file that defines its target, not for those that re-export it on the way;
//! re-exporting is not using. A child module may use what the modules around it define: they form
//! one unit.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{self, Reference};
use super::source::Source;

/// The modules of one crate, by their paths from its root.
pub(super) struct Modules<'a> {
    by_path: BTreeMap<Vec<String>, Module<'a>>,
}

struct Module<'a> {
    file: &'a str,
    references: Vec<Reference>,
}

/// Which file uses which.
pub(super) type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

impl<'a> Modules<'a> {
    /// Reads the files below `folder`, which ends in `src/`.
    pub(super) fn read(folder: &str, sources: &'a [Source]) -> Self {
        let mut by_path = BTreeMap::new();
        for source in sources {
            if let Some(rest) = source.name.strip_prefix(folder) {
                let module = Module {
                    file: &source.name,
                    references: paths::of(source),
                };
                by_path.insert(path_of(rest), module);
            }
        }
        Self { by_path }
    }

    /// Which file uses which.
    pub(super) fn graph(&self) -> Graph<'a> {
        self.edges(|reference| reference.is_used)
    }

    /// Which file uses or re-exports which.
    pub(super) fn graph_with_exports(&self) -> Graph<'a> {
        self.edges(|_| true)
    }

    fn edges(&self, counts: impl Fn(&Reference) -> bool) -> Graph<'a> {
        let mut graph = Graph::new();
        for (path, module) in &self.by_path {
            let uses = graph.entry(module.file).or_default();
            for reference in &module.references {
                let Some(target) = self.resolve(path, reference, 0) else {
                    continue;
                };
                if counts(reference) && !self.is_around(target, path) {
                    uses.insert(target);
                }
            }
        }
        graph
    }

    /// Whether a file is that of a module or of one around it: a child may use what its parent
    /// defines for all of its children.
    fn is_around(&self, file: &str, path: &[String]) -> bool {
        (0..=path.len()).any(|len| {
            let around = self.by_path.get(&path[..len]);
            around.is_some_and(|module| module.file == file)
        })
    }

    /// The file that defines the target of a reference in the module `from`.
    fn resolve(&self, from: &[String], reference: &Reference, depth: u32) -> Option<&'a str> {
        let mut at: Vec<String> = from.iter().chain(&reference.inside).cloned().collect();
        let mut segments = reference.segments.iter().map(String::as_str).peekable();
        match segments.next()? {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
            }
            first => {
                // A child module, or nothing in this crate.
                at.truncate(from.len());
                at.push(first.to_owned());
                self.by_path.get(&at)?;
            }
        }
        while segments.next_if_eq(&"super").is_some() {
            at.pop();
        }
        self.walk(at, segments, depth)
    }

    /// Descends from a module, through re-exports, to the file that defines the last segment.
    fn walk<'s>(
        &self,
        mut at: Vec<String>,
        segments: impl Iterator<Item = &'s str>,
        depth: u32,
    ) -> Option<&'a str> {
        for segment in segments {
            let mut deeper = at.clone();
            deeper.push(segment.to_owned());
            if self.by_path.contains_key(&deeper) {
                at = deeper;
                continue;
            }
            let module = self.module(&at)?;
            let imported = module
                .references
                .iter()
                .find(|r| r.inside.is_empty() && r.imported_as.as_deref() == Some(segment));
            return match imported {
                // Chains of re-exports end; a circle of them does not.
                Some(import) if depth < 8 => {
                    let own = at.clone();
                    // A path out of the crate counts for the file that names it.
                    self.resolve(&own, import, depth + 1).or(Some(module.file))
                }
                _ => Some(module.file),
            };
        }
        self.module(&at).map(|module| module.file)
    }

    /// The module of a path, or the innermost one around it.
    fn module(&self, path: &[String]) -> Option<&Module<'a>> {
        (0..=path.len())
            .rev()
            .find_map(|len| self.by_path.get(&path[..len]))
    }
}

/// From `table/index.rs` to `["table", "index"]`.
fn path_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let mut path: Vec<_> = stem.split('/').map(str::to_owned).collect();
    if matches!(
        path.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        path.pop();
    }
    path
}

/// The files that use each other in a circle, each circle once.
pub(super) fn circles<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let reachable: BTreeMap<&str, BTreeSet<&'a str>> = graph
        .keys()
        .map(|start| (*start, reach(graph, start)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (start, from_start) in &reachable {
        if seen.contains(start) || !from_start.contains(start) {
            continue;
        }
        let circle: Vec<_> = from_start
            .iter()
            .copied()
            .filter(|other| {
                reachable
                    .get(other)
                    .is_some_and(|back| back.contains(start))
            })
            .collect();
        seen.extend(circle.iter().copied());
        circles.push(circle);
    }
    circles
}

fn reach<'a>(graph: &Graph<'a>, start: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = vec![start];
    while let Some(file) = waiting.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if found.insert(*next) {
                waiting.push(next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<_> = files
            .iter()
            .map(|(name, text)| Source::read(&format!("a/src/{name}"), text).unwrap())
            .collect();
        let modules = Modules::read("a/src/", &sources);
        let circles = circles(&modules.graph());
        let short = |file: &str| file.trim_start_matches("a/src/").to_owned();
        circles
            .into_iter()
            .map(|circle| circle.into_iter().map(short).collect())
            .collect()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::{b::B, c};\nstruct A(B, c::C);"),
            ("b.rs", "struct B; fn f(_: super::a::A) {}"),
            ("c.rs", "pub struct C;"),
        ];
        assert_eq!(found(&files), [["a.rs", "b.rs"]]);
    }

    #[test]
    fn a_path_counts_for_the_file_that_defines_its_end() {
        // `b` names `A` through the root, `a` names `b`: a circle of three lines.
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            (
                "a.rs",
                "mod inner; pub use inner::A;\nuse crate::b;\nfn f() { b::f() }",
            ),
            ("a/inner.rs", "pub struct A;"),
            ("b.rs", "pub fn f() -> crate::A { crate::A }"),
        ];
        assert_eq!(found(&files), Vec::<Vec<String>>::new());
        let mut circle = files;
        circle[2].1 = "use crate::b; pub struct A; fn g() { b::f(); }";
        assert_eq!(found(&circle), [["a/inner.rs", "b.rs"]]);
    }

    #[test]
    fn a_child_may_build_on_its_parents_and_nothing_else() {
        let parent = "mod child; use child::set_up; pub struct Parent; fn f() { set_up(); }";
        let child = "use super::Parent; pub fn set_up() -> Parent { Parent }";
        let files = [
            ("lib.rs", "mod p;"),
            ("p.rs", parent),
            ("p/child.rs", child),
        ];
        assert_eq!(found(&files), Vec::<Vec<String>>::new());
        // Re-exporting is not using: `other` needs `child`, which needs what only `other` has.
        let door = "mod child; mod other; pub(crate) use child::set_up;";
        let mut files = vec![("lib.rs", "mod p;"), ("p.rs", door)];
        files.push((
            "p/other.rs",
            "pub struct Other; fn f() { super::set_up(); }",
        ));
        files.push((
            "p/child.rs",
            "use super::other::Other; pub fn set_up() -> Other { Other }",
        ));
        assert_eq!(found(&files), [["p/child.rs", "p/other.rs"]]);
    }

    #[test]
    fn tests_inside_a_file_are_a_part_of_it() {
        let file = "pub struct A;\n#[cfg(test)]\nmod tests { use super::*; use crate::b::B; fn f(_: A, _: B) {} }";
        let other =
            "pub struct B; #[cfg(test)] mod tests { use super::super::b::B; fn g(_: B) {} }";
        assert_eq!(
            found(&[("lib.rs", "mod a; mod b;"), ("a.rs", file), ("b.rs", other)]),
            Vec::<Vec<String>>::new()
        );
    }

    /// `a` defines one item of each kind and uses `b`, which uses that item.
    #[test]
    fn whatever_closes_a_circle_is_seen() {
        let a = "use crate::b; pub struct A; pub const C: u32 = 0; pub fn f() { b::g() } \
                 pub trait T {} pub static S: u32 = 0; pub type Alias = A;";
        for use_of_a in [
            "use crate::a::A; pub fn g() { let _: A; }",
            "use super::a::*; pub fn g() { f() }",
            "use super::{a, a::A as Other}; pub fn g() -> Other { a::A }",
            "pub fn g() { let _ = [0; crate::a::C as usize]; }",
            "pub fn g() { super::a::f() }",
            "struct B; impl crate::a::T for B {} pub fn g() {}",
            "struct B; impl crate::a::A { fn forwarded(self) {} } pub fn g() {}",
            "macro_rules! m { () => { $crate::a::S } } pub fn g() {}",
            "pub fn g() { use crate::a::Alias; let _: Alias; }",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", use_of_a)];
            assert_eq!(found(&files), [["a.rs", "b.rs"]], "{use_of_a}");
        }
    }
}
