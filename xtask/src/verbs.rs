//! One verb per file, and what they share: the workspace folder, and how to run a command.

pub(crate) mod ci;
pub(crate) mod instructions;
pub(crate) mod package;
pub(crate) mod test;
pub(crate) mod test_netns;
pub(crate) mod tidy;
pub(crate) mod tools;
pub(crate) mod totals;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a verb failed, as its user reads it.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end. It inherits the standard streams.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}"))
    }
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{command:?} ended with {}: {}",
            output.status,
            said.trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes cargo run the programs it builds through this command.
pub(crate) fn set_runner(command: &mut Command, words: &str) -> Result<()> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc names no host")?;
    let host = host.to_uppercase().replace('-', "_");
    command.env(format!("CARGO_TARGET_{host}_RUNNER"), words);
    Ok(())
}

/// A check that cannot run here: printed, and a failure if nothing may be left out.
pub(crate) fn left_out(why: &str) -> Result<()> {
    if root_is_required() {
        return Err(why.into());
    }
    println!("NOT RUN: {why}");
    Ok(())
}

/// Whether a test that cannot run is a failure.
pub(crate) fn root_is_required() -> bool {
    std::env::var_os("NETRING_REQUIRE_ROOT").is_some_and(|value| value == "1")
}
