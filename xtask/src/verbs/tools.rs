//! `demo`, `bench`, `conformance` and `public-api`: programs of their own, built on demand.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use xtask::demo_options::{HELP, Request};

use super::test_netns::Runner;
use super::{Result, cargo};

/// The option of `bench` that builds it with checks, which `conformance` shares.
pub(crate) const CHECKED: &str = "--checked";

/// The option of `conformance` that sends the captures over a network of its own.
pub(crate) const LIVE: &str = "--live";

/// How a tool is built, and where it runs.
struct Tool {
    bin: &'static str,
    profile: &'static str,
    own_network: bool,
}

impl Tool {
    fn of(verb: &str, args: &[String]) -> Self {
        let checked = match verb {
            // A sum that wraps is a crash; the snapshots share the build.
            "conformance"
            | "conformance-files"
            | "conformance-filter"
            | "conformance-streams"
            | "public-api" => true,
            _ => args.iter().any(|arg| arg == CHECKED),
        };
        match verb {
            "demo" => Self {
                bin: "demo",
                profile: "demo",
                own_network: !args.iter().any(|arg| !arg.starts_with('-')),
            },
            _ => Self {
                bin: "tools",
                profile: if checked { "checked" } else { "release" },
                own_network: verb == "bench" || args.iter().any(|arg| arg == LIVE),
            },
        }
    }
}

/// Builds the program of a verb and runs it: a step of CI.
pub(crate) fn run(verb: &str, args: &[String]) -> Result<()> {
    match status(verb, args)? {
        0 => Ok(()),
        code => Err(format!("`cargo xtask {verb}` ended with {code}")),
    }
}

/// Builds the program of a verb and runs it, in a network of its own if that is wanted. Returns
/// its exit code: a program that fails has said why.
pub(crate) fn status(verb: &str, args: &[String]) -> Result<u8> {
    if verb == "demo"
        && let Request::Help = Request::parse(args)?
    {
        // A reader that has seen enough may be gone.
        let _ = writeln!(std::io::stdout(), "{HELP}");
        return Ok(0);
    }
    let tool = Tool::of(verb, args);
    let runner = Runner::find();
    if tool.own_network
        && let Runner::None(why) = &runner
    {
        return Err(format!(
            "this needs a network of its own, and creating one failed: {why}"
        ));
    }
    if verb == "bench" && args.iter().any(|arg| arg == "--peers") {
        build_peers()?;
    }
    // Built first, with cargo's progress in sight; then run, without a word of cargo's.
    let package = ["--package", "xtask", "--features", tool.bin];
    let which = ["--bin", tool.bin, "--profile", tool.profile];
    super::run(cargo().arg("build").args(package).args(which))?;
    let mut command = cargo();
    command.args(["run", "--quiet"]).args(package).args(which);
    command.arg("--");
    if tool.bin == "tools" {
        command.arg(verb);
    }
    command.args(args);
    if tool.own_network {
        runner.apply(&mut command)?;
    }
    // Ctrl-C reaches the tool too, which ends in its own way: this process waits for it.
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted)
        .map_err(|error| format!("cannot handle Ctrl-C: {error}"))?;
    let status = command
        .status()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.ok_or_else(|| format!("{command:?} ended with {status}"))
}

/// Builds the peers that need a C library, for `bench --peers`. In a network of its own, cargo
/// could not download anything.
fn build_peers() -> Result<()> {
    eprintln!("building the peers …");
    let manifest = super::root().join("xtask/peers/Cargo.toml");
    let build = [
        "build",
        "--release",
        "--quiet",
        "--locked",
        "--manifest-path",
    ];
    super::run(cargo().args(build).arg(manifest)).map_err(|why| {
        format!("{why}\nthe peers need the headers of their C libraries; xtask/peers/Cargo.toml lists them")
    })
}
