//! `demo`, `bench`, `conformance` and `public-api`: built with optimisation, as a program of their
//! own.
//!
//! `conformance` is also built with overflow checks, so that a sum that wraps is a crash.
//! `public-api` shares its build, and so does a bench whose figures do not matter.

use super::test_netns::Runner;
use super::{Result, cargo};

/// The option of `bench` that builds it with checks.
pub(crate) const CHECKED: &str = "--checked";

/// Builds the tools and runs one. Without an interface to work on, it gets a network of its own.
pub(crate) fn run(verb: &str, args: &[String]) -> Result<()> {
    let profile = match verb {
        "conformance" | "public-api" => "checked",
        "bench" if args.iter().any(|arg| arg == CHECKED) => "checked",
        _ => "release",
    };
    let mut command = cargo();
    command.args([
        "run",
        "--profile",
        profile,
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "tools",
    ]);
    command.args(["--bin", "tools", "--", verb]).args(args);
    let own_network = match verb {
        "demo" => args.is_empty(),
        "bench" => true,
        _ => false,
    };
    if own_network {
        let runner = Runner::find();
        if let Runner::None(why) = &runner {
            return Err(format!(
                "this needs a network of its own, and creating one failed: {why}"
            ));
        }
        runner.apply(&mut command)?;
    }
    if verb == "bench" && args.iter().any(|arg| arg == "--peers") {
        build_peers()?;
    }
    eprintln!("building the tools with optimisation …");
    super::run(&mut command)
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
