//! The steps that compare captures with what is true of them.

use std::process::Command;

use super::super::{Result, left_out, root, tools};
use super::step;

/// Checks our own captures, and those beside the repository if they exist.
pub(super) fn run() -> Result<()> {
    let folder = |name: &str| root().join(name).to_string_lossy().into_owned();
    step("conformance, our own cases", || {
        tools::run("conformance", &[folder("xtask/cases")])
    })?;
    step("conformance, our own corpus", || {
        tools::run("conformance", &[folder("xtask/corpus")])
    })?;
    live(&folder)?;
    files(&folder)?;
    filter(&folder)?;
    streams(&folder)?;
    for name in ["../shared/cases/flow", "../shared/pcaps"] {
        if root().join(name).is_dir() {
            step(&format!("conformance, {name}"), || {
                tools::run("conformance", &[folder(name)])
            })?;
        } else {
            println!("NOT CHECKED: {name} does not exist");
        }
    }
    Ok(())
}

/// Passes captures through AF_PACKET and AF_XDP.
fn live(folder: &impl Fn(&str) -> String) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return left_out("captures over AF_XDP need root");
    }
    for name in ["xtask/corpus", "xtask/cases", "../shared/pcaps"] {
        if root().join(name).is_dir() {
            step(&format!("conformance over the wire, {name}"), || {
                tools::run("conformance", &[folder(name), tools::LIVE.into()])
            })?;
        }
    }
    Ok(())
}

/// Writes captures again and compares them with the originals: our own also by tshark, where it is
/// installed, and those beside the repository if they exist.
fn files(folder: &impl Fn(&str) -> String) -> Result<()> {
    let has_tshark = Command::new("tshark").arg("--version").output().is_ok();
    if !has_tshark {
        println!("NOT CHECKED: files by tshark, because it is not installed");
    }
    for (name, is_ours) in [("xtask", true), ("../shared/pcaps", false)] {
        let mut args = vec![folder(name)];
        if is_ours && has_tshark {
            args.push("--tshark".into());
        }
        if root().join(name).is_dir() {
            step(&format!("files, {name}"), || {
                tools::run("conformance-files", &args)
            })?;
        }
    }
    Ok(())
}

/// Compares filter expressions with tcpdump, where it is installed.
fn filter(folder: &impl Fn(&str) -> String) -> Result<()> {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("NOT CHECKED: filter expressions, because tcpdump is not installed");
        return Ok(());
    }
    for name in ["xtask/corpus", "../shared/pcaps"] {
        if root().join(name).is_dir() {
            step(&format!("filter expressions, {name}"), || {
                tools::run("conformance-filter", &[folder(name)])
            })?;
        }
    }
    Ok(())
}

/// Compares streams with tshark, where it is installed. The other captures take minutes, because
/// tshark reads a file again for each stream: run the command for them by hand.
fn streams(folder: &impl Fn(&str) -> String) -> Result<()> {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("NOT CHECKED: TCP streams, because tshark is not installed");
        return Ok(());
    }
    step("TCP streams, our own corpus", || {
        tools::run("conformance-streams", &[folder("xtask/corpus")])
    })
}
