//! `demo`, `bench`, `conformance` and `public-api`: built with optimisation, as a program of their own.
//!
//! `conformance` is also built with overflow checks, so that a sum that wraps is a crash; `public-api`
//! shares its build.

use super::test_netns::Runner;
use super::{Result, cargo};

/// Builds the tools and runs one; without an interface to work on, in a network of its own.
pub(crate) fn run(verb: &str, args: &[String]) -> Result<()> {
    let profile = match verb {
        "conformance" | "public-api" => "checked",
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
                "it needs a network of its own, and none can be made here: {why}"
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

/// The peers that need a C library, for `bench --peers`. Built out here: in a network of its own
/// cargo could fetch nothing.
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
