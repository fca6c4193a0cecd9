//! The fence around unsafe code: which files may contain it, found by tokens.
//!
//! A file contains unsafe code if one of its tokens is the keyword `unsafe`, in any layout and also
//! inside a macro. The library files that contain it are exactly those of a list, each with its own
//! lint exception, so that a module never inherits its parent's.

use std::collections::BTreeMap;

use super::source::Source;

/// A lint level that allows or forbids unsafe code in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Open,
    Shut,
}

/// Checks the library files (`*/src/**`) against the list, in both directions.
pub(super) fn check(sources: &[Source], listed: &[&str], broken: &mut Vec<String>) {
    let by_name: BTreeMap<&str, &Source> = sources
        .iter()
        .filter(|source| source.name.contains("/src/"))
        .map(|source| (&*source.name, source))
        .collect();
    for (name, source) in &by_name {
        one(source, listed.contains(name), broken);
        if exceptions(source).any(|(_, level)| level == Level::Open) {
            children(source, &by_name, broken);
        }
    }
    for name in listed.iter().filter(|name| !by_name.contains_key(*name)) {
        broken.push(format!(
            "{name}: is in the list of files that may have unsafe code, and does not exist"
        ));
    }
}

fn one(source: &Source, is_listed: bool, broken: &mut Vec<String>) {
    let name = &source.name;
    let first = source
        .tokens
        .iter()
        .find(|token| token.is_word("unsafe"))
        .map(|token| token.line);
    match (first, is_listed) {
        (Some(line), false) => broken.push(format!(
            "{name}:{line}: unsafe code in a file that is not in the list of those that may have it"
        )),
        (None, true) => broken.push(format!(
            "{name}: is in the list of files that may have unsafe code, and has none"
        )),
        _ => {}
    }
    let is_safety = |text: &str| text.starts_with('"') && text.contains("# Safety");
    if is_listed && !source.tokens.iter().any(|token| is_safety(&token.text)) {
        broken.push(format!(
            "{name}: has unsafe code; open with the invariant that makes it sound, below `# Safety`"
        ));
    }
    let open: Vec<_> = exceptions(source)
        .filter(|(_, level)| *level == Level::Open)
        .collect();
    match open[..] {
        [] if is_listed => broken.push(format!(
            "{name}: needs `#![expect(unsafe_code, reason = …)]` of its own"
        )),
        [(line, _), ..] if !is_listed => broken.push(format!(
            "{name}:{line}: a lint exception for unsafe code in a file that is not in the list"
        )),
        [_, (line, _), ..] => broken.push(format!(
            "{name}:{line}: a second lint exception for unsafe code in one file"
        )),
        _ => {}
    }
}

/// A module without its own lint level would inherit that of a parent that may contain unsafe code.
fn children(source: &Source, by_name: &BTreeMap<&str, &Source>, broken: &mut Vec<String>) {
    for module in source.child_modules() {
        let found = candidates(&source.name, module)
            .into_iter()
            .find_map(|path| by_name.get(&*path));
        if let Some(child) = found
            && exceptions(child).next().is_none()
        {
            broken.push(format!(
                "{}: inherits the lint exception of {}; state `#![deny(unsafe_code)]`",
                child.name, source.name
            ));
        }
    }
}

/// The possible paths of a child module's file.
pub(super) fn candidates(parent: &str, module: &str) -> [String; 2] {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let folder = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    [
        format!("{folder}/{module}.rs"),
        format!("{folder}/{module}/mod.rs"),
    ]
}

/// The lint levels that a file sets for unsafe code, each with its line.
fn exceptions(source: &Source) -> impl Iterator<Item = (usize, Level)> {
    let tokens = &source.tokens;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        if !token.is_word("unsafe_code") {
            return None;
        }
        // Searches backwards for the word before the parenthesis: `expect(lint, unsafe_code, …`.
        let open = tokens[..at].iter().rposition(|token| token.text == "(")?;
        let level = match &*tokens.get(open.checked_sub(1)?)?.text {
            "allow" | "expect" | "warn" => Level::Open,
            "deny" | "forbid" => Level::Shut,
            _ => return None,
        };
        Some((token.line, level))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reports for a workspace with one listed file, `a/src/ring.rs`.
    fn broken(files: &[(&str, &str)]) -> Vec<String> {
        let ring = "//! # Safety\n#![expect(\n    unsafe_code,\n    reason = \"rings\"\n)]\nfn f() { unsafe { g() } }";
        let mut sources = vec![Source::read("a/src/ring.rs", ring).unwrap()];
        for (name, text) in files {
            sources.retain(|source| source.name != *name);
            sources.push(Source::read(name, text).unwrap());
        }
        let mut broken = Vec::new();
        check(&sources, &["a/src/ring.rs"], &mut broken);
        broken
    }

    #[test]
    fn a_listed_file_with_its_own_exception_passes() {
        assert_eq!(broken(&[]), Vec::<String>::new());
        let harmless = "#![deny(unsafe_code)]\n// unsafe { }\nconst S: &str = \"unsafe {\";";
        assert_eq!(broken(&[("a/src/lib.rs", harmless)]), Vec::<String>::new());
        // Tests and examples are not libraries: the compiler's own lints apply there.
        let test = "fn f() { unsafe { g() } }";
        assert_eq!(broken(&[("a/tests/t.rs", test)]), Vec::<String>::new());
    }

    /// Each way in which unsafe code evades a rule that looks at single lines.
    #[test]
    fn unsafe_code_is_seen_however_it_is_written() {
        let ways = [
            "#![expect(unsafe_code, reason = \"x\")]\nfn f() { unsafe { g() } }",
            "#![expect(\n    unsafe_code,\n    reason = \"x\"\n)]\nfn f() { unsafe { g() } }",
            "#![allow(dead_code,\n unsafe_code)]\nfn f() { unsafe\n{ g() } }",
            "#[allow(unsafe_code)]\nmod m { fn f() { unsafe /* so */ { g() } } }",
            "#[cfg_attr(all(), allow(unsafe_code))] fn f() { unsafe { g() } }",
            "unsafe impl Send for X {}",
            "unsafe\nfn f() {}",
            "unsafe extern \"C\" { fn f(); }",
            "#[unsafe(no_mangle)] fn f() {}",
            "macro_rules! m { () => { unsafe { g() } } }",
        ];
        for way in ways {
            let broken = broken(&[("a/src/wheel.rs", way)]);
            assert!(
                broken.iter().any(|line| line.contains("not in the list")),
                "{way}: {broken:?}"
            );
        }
    }

    #[test]
    fn a_child_module_inherits_nothing() {
        let parent = "//! # Safety\n#![allow(unsafe_code, reason = \"x\")]\nmod link;\nfn f() { unsafe { g() } }";
        let reported = |child: &str| {
            let files = [("a/src/ring.rs", parent), ("a/src/ring/link.rs", child)];
            broken(&files)
        };
        assert!(reported("fn f() {}")[0].contains("inherits"));
        let hidden = reported("fn f() { unsafe { g() } }");
        assert!(hidden.iter().any(|line| line.contains("not in the list")));
        assert_eq!(
            reported("#![deny(unsafe_code)]\nfn f() {}"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_stale_list_is_a_fault() {
        assert!(broken(&[("a/src/ring.rs", "//! # Safety\nfn f() {}")])[0].contains("has none"));
        let bare = broken(&[("a/src/ring.rs", "//! # Safety\nfn f() { unsafe { g() } }")]);
        assert!(bare[0].contains("of its own"), "{bare:?}");
        let mut lines = Vec::new();
        check(&[], &["a/src/gone.rs"], &mut lines);
        assert!(lines[0].contains("does not exist"), "{lines:?}");
        let silent = "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }";
        assert!(broken(&[("a/src/ring.rs", silent)])[0].contains("invariant"));
        let twice = "//! # Safety\n#![allow(unsafe_code)]\n#[allow(unsafe_code)]\nfn f() { unsafe { g() } }";
        assert!(broken(&[("a/src/ring.rs", twice)])[0].contains("second"));
    }
}
