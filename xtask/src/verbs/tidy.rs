//! `tidy`: checks the house rules.

mod doors;
mod fence;
mod modules;
mod paths;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{Result, output, root};
use modules::Modules;
use source::Source;

/// Checks every rule on every file that git tracks or would add.
pub(crate) fn run() -> Result<()> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = output(Command::new("git").current_dir(root()).args(listed))?;
    let mut broken = Vec::new();
    let mut sources = Vec::new();
    let mut checked = 0;
    for name in files.lines().filter(|name| root().join(name).is_file()) {
        // A file that is not text is not source.
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        broken.extend(rules::check(name, &text));
        if name.ends_with(".rs") {
            match Source::read(name, &text) {
                Ok(source) => sources.push(source),
                Err(why) => broken.push(why),
            }
        }
        checked += 1;
    }
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "deny.toml",
        ".ci/run",
    ] {
        if !Path::new(&root()).join(name).is_file() {
            broken.push(format!("{name}: missing"));
        }
    }
    fence::check(&sources, rules::UNSAFE_FILES, &mut broken);
    circles(&sources, &mut broken);
    doors::check(&sources, &mut broken);
    for line in &broken {
        println!("{line}");
    }
    println!("tidy: {checked} files, {} broken rules", broken.len());
    if broken.is_empty() {
        Ok(())
    } else {
        Err("the house rules are in CONTRIBUTING.md and ARCHITECTURE.md".into())
    }
}

/// Reports files of one crate that use each other in a circle.
fn circles(sources: &[Source], broken: &mut Vec<String>) {
    let folders: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| Some(source.name.split_once("/src/")?.0))
        .collect();
    for folder in folders {
        let modules = Modules::read(&format!("{folder}/src/"), sources);
        for circle in modules::circles(&modules.graph()) {
            broken.push(format!("these files use each other: {}", circle.join(", ")));
        }
    }
}
