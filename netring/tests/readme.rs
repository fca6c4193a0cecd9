//! Documents that agree with the repository: the examples in README.md are in the documentation of
//! the crate, which is compiled; the AF_XDP flow example equals the AF_PACKET one; links between
//! documents lead somewhere, and the modules in ARCHITECTURE.md exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The short programs for common tasks.
const SHORT: [&str; 7] = [
    "top_talkers",
    "conn_log",
    "read_file",
    "scan_detector",
    "queues",
    "thread_channel",
    "filter",
];

/// The Rust blocks of a Markdown text, without the lines that documentation hides.
fn examples(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in markdown.lines() {
        match &mut block {
            None if line.starts_with("```rust") || line.starts_with("```no_run") => {
                block = Some(String::new());
            }
            None => {}
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(_) if line == "#" || line.starts_with("# ") => {}
            Some(text) => *text += &format!("{line}\n"),
        }
    }
    blocks
}

#[test]
fn each_example_stands_in_the_crate_documentation_too() {
    let readme = examples(include_str!("../../README.md"));
    let docs: String = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let docs = examples(&docs);
    assert_eq!(readme.len(), 4);
    // The first one is a whole program; see below.
    for example in &readme[1..] {
        assert!(
            docs.contains(example),
            "not in the documentation:\n{example}"
        );
    }
}

/// The first program is built and run as an example, so it builds as pasted.
#[test]
fn the_first_program_is_an_example() {
    let program: String = include_str!("../examples/first.rs")
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.starts_with("#![expect("))
        .map(|line| format!("{line}\n"))
        .collect();
    let readme = examples(include_str!("../../README.md"));
    assert_eq!(readme[0], program.trim_start());
}

/// The cells of the first column of the table under this heading, without backquotes.
fn first_column(heading: &str) -> Vec<&'static str> {
    let text = include_str!("../../README.md");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| row.split('|').nth(1).unwrap().trim())
        .collect()
}

#[test]
fn each_feature_is_listed() {
    let manifest = include_str!("../Cargo.toml");
    let (_, features) = manifest.split_once("[features]\n").unwrap();
    let features = features.split("\n\n").next().unwrap();
    let names = features.lines().filter_map(|line| line.split_once(" = "));
    let mut names: Vec<_> = names.map(|(name, _)| format!("`{name}`")).collect();
    names.retain(|name| name != "`default`");
    let mut listed = first_column("Features");
    names.sort();
    listed.sort_unstable();
    assert_eq!(listed, names);
}

#[test]
fn each_example_that_is_listed_exists() {
    let mut listed = Vec::new();
    for cell in first_column("Examples") {
        let names = cell.split('`').skip(1).step_by(2);
        listed.extend(names.map(|command| command.split(' ').next().unwrap()));
    }
    assert_eq!(listed[..7], SHORT);
    for name in listed {
        let path = root().join(format!("netring/examples/{name}.rs"));
        assert!(path.is_file(), "{name}");
    }
}

/// Error texts quoted in the README are in the texts of errors.
#[test]
fn each_error_that_is_explained_is_one() {
    let mut sources = String::new();
    for path in [
        "netring-sys/src/error/text.rs",
        "netring-sys/src/privileges.rs",
        "netring/src/auto.rs",
        "netring/src/pcap/error.rs",
        "netring-async/src/broadcast/error.rs",
    ] {
        sources += &fs::read_to_string(root().join(path)).unwrap();
    }
    let quoted = first_column("Troubleshooting");
    assert_eq!(quoted.len(), 9);
    for cell in quoted {
        for words in cell.split('`').skip(1).step_by(2) {
            assert!(sources.contains(words), "{words}");
        }
    }
}

/// They differ in one type, and in their names.
#[test]
fn flows_over_af_xdp_are_those_over_af_packet_in_another_word() {
    let expected = include_str!("../examples/flows_async.rs")
        .replace("AsyncCapture", "AsyncXdpCapture")
        .replace("flows_async", "xdp_flows_async")
        .replace("cargo run ", "cargo run --features xdp ");
    assert_eq!(include_str!("../examples/xdp_flows_async.rs"), expected);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents for readers of the repository, and the folder of each.
fn documents() -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let members = [
        "netring-afpacket",
        "netring-async",
        "netring-flow",
        "netring-sys",
        "netring-xdp",
    ];
    for folder in ["", "docs/adr"].into_iter().chain(members) {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push((root().join(folder), fs::read_to_string(path)?));
            }
        }
    }
    Ok(found)
}

#[test]
fn each_link_to_a_file_leads_to_one() {
    let mut links = 0;
    for (folder, text) in documents().unwrap() {
        for rest in text.split("](").skip(1) {
            let target = &rest[..rest.find(')').unwrap()];
            if !target.contains("://") {
                assert!(folder.join(target).exists(), "{folder:?}: {target}");
                links += 1;
            }
        }
    }
    // At least, every decision is linked from the list.
    let decisions = fs::read_dir(root().join("docs/adr")).unwrap().count() - 1;
    assert!(links > decisions, "{links} links, {decisions} decisions");
}

#[test]
fn each_decision_is_listed() {
    let list = fs::read_to_string(root().join("docs/adr/README.md")).unwrap();
    for entry in fs::read_dir(root().join("docs/adr")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || list.contains(&name), "{name}");
    }
}

#[test]
fn each_module_in_the_architecture_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| crate "));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let mut member = String::new();
    let mut modules = 0;
    for row in rows {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        if !cells[1].is_empty() {
            member = cells[1].to_owned();
        }
        let module = root().join(&member).join("src").join(cells[2]);
        assert!(
            module.is_dir() || module.with_extension("rs").is_file(),
            "{module:?}"
        );
        modules += 1;
    }
    assert!(modules >= 20, "{modules} modules");
}

/// The codes at the start of a test's name: `S10` and `P12` of `s10_p12_a_link_that_goes_down`.
fn codes(name: &str) -> impl Iterator<Item = String> {
    let parts = name.split('_').take_while(|part| {
        let number = part.strip_prefix(['f', 'p', 's', 'x']);
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    });
    parts.map(str::to_uppercase)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn each_code_of_a_test_is_explained_and_each_explained_code_has_a_test() {
    let text = fs::read_to_string(root().join("TESTS.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter_map(|row| row.split_once(" |"));
    let explained: BTreeSet<_> = rows
        .map(|(code, _)| code.to_owned())
        .filter(|code| codes(&code.to_lowercase()).next().is_some())
        .collect();
    let mut files = Vec::new();
    for member in [
        "netring",
        "netring-afpacket",
        "netring-async",
        "netring-flow",
        "netring-sys",
        "netring-xdp",
        "xtask",
    ] {
        for part in ["src", "tests"] {
            sources(&root().join(member).join(part), &mut files).unwrap();
        }
    }
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines() {
            let line = line.trim_start();
            let name = line.strip_prefix("async ").unwrap_or(line);
            used.extend(name.strip_prefix("fn ").into_iter().flat_map(codes));
        }
    }
    assert_eq!(used, explained);
}

/// The short programs for common tasks stay short.
#[test]
fn each_short_program_has_at_most_forty_lines() {
    for name in SHORT {
        let path = root().join(format!("netring/examples/{name}.rs"));
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= 40, "{name}: {lines}");
    }
}
