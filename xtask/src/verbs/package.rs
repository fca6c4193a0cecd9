//! `package`: that each crate can be published, tried without an upload.
//!
//! The registry has a crate named `netring` that is not ours, so the facade is published as
//! [`FACADE`]. Its library keeps the name `netring`, and so does the package in this repository,
//! where it is a path dependency. The change is made in a copy.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use super::{Result, cargo, output, root, run};

/// The facade's name on the registry.
const FACADE: &str = "netring-rs";

pub(crate) fn run_all() -> Result<()> {
    let copy = root().join("target/package-tree");
    copy_tracked(&copy).map_err(|error| format!("cannot copy the workspace: {error}"))?;
    rename_facade(&copy)?;
    for verb in [&["publish", "--dry-run"][..], &["package"]] {
        // Cargo would build each package with its code, and with the packages of the last run
        // unless their traces were removed from its home. They are checked below instead.
        run(cargo()
            .current_dir(&copy)
            .args(verb)
            .args(["--workspace", "--exclude", "xtask", "--all-features"])
            .args(["--allow-dirty", "--no-verify", "--quiet"])
            .env("CARGO_TARGET_DIR", copy.join("target")))?;
    }
    check(&copy.join("target/package"))
}

/// Each package compiles from nothing but its own files and the other packages.
fn check(packages: &Path) -> Result<()> {
    let from = |error: io::Error| format!("{}: {error}", packages.display());
    let unpacked = root().join("target/unpacked");
    let names = unpack(packages, &unpacked).map_err(from)?;
    for name in names {
        run(cargo()
            .current_dir(&unpacked)
            .args(["check", "--all-features", "--package", &name])
            // As in this workspace, whose dependencies then serve here too.
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .env("CARGO_TARGET_DIR", root().join("target")))?;
    }
    Ok(())
}

/// Unpacks all packages into a workspace in which they depend on each other, and returns their
/// names.
fn unpack(packages: &Path, to: &Path) -> io::Result<Vec<String>> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    let version = concat!("-", env!("CARGO_PKG_VERSION"));
    let mut manifest =
        "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n\n[patch.crates-io]\n".to_owned();
    let mut names = Vec::new();
    for package in fs::read_dir(packages)? {
        let package = package?.path();
        if package.extension().is_none_or(|ending| ending != "crate") {
            continue;
        }
        let folder = package.file_stem().and_then(|folder| folder.to_str());
        let Some(name) = folder.and_then(|folder| folder.strip_suffix(version)) else {
            return Err(io::Error::other("a package of another version"));
        };
        // Files in a package have one date, by which cargo would not find that they changed.
        let tar = Command::new("tar")
            .args(["--extract", "--touch", "--file"])
            .arg(&package)
            .arg("--directory")
            .arg(to)
            .status()?;
        if !tar.success() {
            return Err(io::Error::other(format!("tar: {tar}")));
        }
        manifest += &format!("{name} = {{ path = \"{name}{version}\" }}\n");
        names.push(name.to_owned());
    }
    fs::write(to.join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), to.join("Cargo.lock"))?;
    if names.is_empty() {
        return Err(io::Error::other("no package"));
    }
    names.sort();
    Ok(names)
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
