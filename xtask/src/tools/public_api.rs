//! `public-api`: the public API of each crate, compared with its snapshot in `xtask/public-api`.
//!
//! A snapshot has one line for each public item, so a change to the API is a change to a file that
//! reviewers see. Implementations that the compiler adds to every type are left out.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

const CRATES: [&str; 6] = [
    "netring-sys",
    "netring-afpacket",
    "netring-xdp",
    "netring-flow",
    "netring-async",
    "netring",
];

/// The format of rustdoc's JSON that the crate `public-api` reads in the version of `Cargo.toml`.
/// It was made for format 56; format 57 only adds a field, which it does not read.
const FORMATS: [u64; 2] = [56, 57];

/// Compares all crates, or writes their snapshots.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let bless = match args {
        [] => false,
        [flag] if flag == "--bless" => true,
        _ => return Err("usage: cargo xtask public-api [--bless]".into()),
    };
    write_json()?;
    let mut changed = Vec::new();
    for name in CRATES {
        let found = api(name)?;
        let path = snapshot(name);
        if bless {
            fs::write(&path, found).map_err(|error| format!("{}: {error}", path.display()))?;
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let difference = difference(&expected, &found);
        if !difference.is_empty() {
            println!("{name}:\n{}", difference.join("\n"));
            changed.push(name);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the public API of {} changed; if that is intended, run `cargo xtask public-api --bless`",
        changed.join(", ")
    )
    .into())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn snapshot(name: &str) -> PathBuf {
    root().join(format!("xtask/public-api/{name}.txt"))
}

/// Makes rustdoc write JSON, for all crates in one run.
fn write_json() -> Result<()> {
    // JSON is an unstable output, which the stable rustdoc writes if this variable is set. It is
    // set for rustdoc only: cargo would build the dependencies again for it.
    let rustdoc = root().join("target/rustdoc-json");
    let script = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";
    fs::write(&rustdoc, script)?;
    fs::set_permissions(&rustdoc, Permissions::from_mode(0o755))?;
    let flags = "-Z unstable-options --output-format json --cap-lints allow";
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root())
        .env("RUSTDOC", rustdoc)
        .env("RUSTDOCFLAGS", flags)
        .args(["doc", "--quiet", "--lib", "--no-deps", "--all-features"])
        .args(["--workspace", "--exclude", "xtask"])
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("rustdoc failed".into()),
    }
}

/// The API of a crate with all of its features: one line an item.
fn api(name: &str) -> Result<String> {
    let json = root().join(format!("target/doc/{}.json", name.replace('-', "_")));
    check_format(&fs::read_to_string(&json)?)?;
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()?;
    Ok(api.to_string())
}

/// Refuses a format that the crate `public-api` was not tried with: it could leave items out.
fn check_format(json: &str) -> Result<()> {
    let number = json.rsplit_once("\"format_version\":").map(|(_, rest)| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        &rest[..end]
    });
    let format = number.and_then(|number| number.parse().ok());
    if format.is_some_and(|format| FORMATS.contains(&format)) {
        return Ok(());
    }
    Err(format!(
        "this toolchain's rustdoc writes JSON in format {}, and the crate `public-api` was tried \
         with {FORMATS:?} only; pick a version of it for that format in xtask/Cargo.toml, and \
         update FORMATS in {}",
        number.unwrap_or("unknown"),
        file!()
    )
    .into())
}

/// The lines that are gone, and those that are new.
fn difference(expected: &str, found: &str) -> Vec<String> {
    let [before, after] = [expected, found].map(|text| text.lines().collect::<BTreeSet<_>>());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_and_an_added_item_are_shown() {
        let changed = difference("pub fn a()\npub fn b()\n", "pub fn a()\npub fn c()\n");
        assert_eq!(changed, ["- pub fn b()", "+ pub fn c()"]);
        assert!(difference("pub fn a()\n", "pub fn a()\n").is_empty());
    }

    #[test]
    fn an_unknown_format_is_refused_with_what_to_do() {
        assert!(check_format(r#"{"root":1,"format_version":57}"#).is_ok());
        let why = check_format(r#"{"format_version":99}"#).unwrap_err();
        assert!(why.to_string().contains("format 99"), "{why}");
        assert!(why.to_string().contains("xtask/Cargo.toml"), "{why}");
        assert!(check_format("{}").is_err());
    }
}
