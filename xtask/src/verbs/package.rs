//! `package`: that each crate can be published, tried without an upload.
//!
//! The registry has a crate named `netring` that is not ours, so the facade is published as
//! [`FACADE`]. Its library keeps the name `netring`, and so does the package in this repository,
//! where it is a path dependency. The change is made in a copy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use super::{Result, cargo, output, root, run};

/// The facade's name on the registry.
const FACADE: &str = "netring-rs";

pub(crate) fn run_all() -> Result<()> {
    let copy = root().join("target/package-tree");
    copy_tracked(&copy).map_err(|error| format!("cannot copy the workspace: {error}"))?;
    rename_facade(&copy)?;
    // A folder of its own beside the copy: the crates are built once more, from their packages.
    let build = root().join("target/package");
    forget(&build).map_err(|error| format!("cannot remove the last run: {error}"))?;
    run(cargo()
        .current_dir(&copy)
        .args(["publish", "--workspace", "--exclude", "xtask"])
        .args(["--dry-run", "--allow-dirty", "--all-features"])
        .env("CARGO_TARGET_DIR", build))
}

/// Removes what the last run unpacked and built.
///
/// A package is built with the packages that it depends on, out of a registry that cargo makes for
/// the run. Cargo takes a crate of a registry for the same if its name and version are, so it would
/// build with those of the last run.
fn forget(build: &Path) -> io::Result<()> {
    if build.exists() {
        fs::remove_dir_all(build)?;
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) else {
        return Ok(());
    };
    let Ok(registries) = fs::read_dir(home.join("registry/src")) else {
        return Ok(());
    };
    for registry in registries {
        let registry = registry?;
        // A registry that is a folder has no host in its name.
        if !registry.file_name().as_encoded_bytes().starts_with(b"-") {
            continue;
        }
        for unpacked in fs::read_dir(registry.path())? {
            let unpacked = unpacked?;
            if unpacked
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"netring-")
            {
                fs::remove_dir_all(unpacked.path())?;
            }
        }
    }
    Ok(())
}

/// Copies the files that git knows, and nothing that a build left.
fn copy_tracked(copy: &Path) -> io::Result<()> {
    let list = output(
        Command::new("git")
            .current_dir(root())
            .args(["ls-files", "-z"]),
    )
    .map_err(io::Error::other)?;
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), copy.join(name));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::copy(&from, &to) {
            // Removed, and not yet committed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => drop(other?),
        }
    }
    Ok(())
}

fn rename_facade(copy: &Path) -> Result<()> {
    let named = format!("name = \"{FACADE}\"");
    replace(
        &copy.join("netring/Cargo.toml"),
        "[package]\nname = \"netring\"",
        &format!("[lib]\nname = \"netring\"\n\n[package]\n{named}"),
    )?;
    replace(
        &copy.join("Cargo.toml"),
        "netring = { path = \"netring\"",
        &format!("netring = {{ package = \"{FACADE}\", path = \"netring\""),
    )
}

fn replace(file: &Path, old: &str, new: &str) -> Result<()> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if !text.contains(old) {
        return Err(format!("{} does not contain {old:?}", file.display()));
    }
    fs::write(file, text.replacen(old, new, 1))
        .map_err(|error| format!("{}: {error}", file.display()))
}
