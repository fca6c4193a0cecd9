//! `tidy`: the house rules, as a test.

mod rules;

use std::path::Path;
use std::process::Command;

use super::{Result, output, root};

/// Checks every rule on every file that git knows or would take.
pub(crate) fn run() -> Result<()> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = output(Command::new("git").current_dir(root()).args(listed))?;
    let mut broken = Vec::new();
    let mut checked = 0;
    for name in files.lines().filter(|name| root().join(name).is_file()) {
        // What is not text is nobody's source.
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        broken.extend(rules::check(name, &text));
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
