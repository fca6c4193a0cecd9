//! `ci`: everything a change has to pass. Steps that fail fast come first, and the tests last, so
//! that their totals end the output.

use std::process::Command;
use std::time::Instant;

use super::totals::Totals;
use super::{Result, cargo, instructions, left_out, output, package, root, run, test, tidy, tools};

/// `rust-version` in Cargo.toml.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

pub(crate) fn run_all() -> Result<()> {
    step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("house rules", tidy::run)?;
    step("lints", || {
        let all = ["clippy", "--workspace", "--all-targets", "--all-features"];
        run(cargo().args(all).args(["--", "-D", "warnings"]))
    })?;
    step("documentation", || {
        let all = ["doc", "--workspace", "--all-features", "--no-deps"];
        run(cargo().args(all).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("features of the facade", features)?;
    step("other targets", targets)?;
    step("dependencies", dependencies)?;
    step("oldest Rust", oldest_rust)?;
    step("packages", package::run_all)?;
    step("demo", || tools::run("demo", &[]))?;
    step("demo on an interface", || {
        tools::run("demo", &["lo".into(), "2s".into(), "--log".into()])
    })?;
    step("bench, a short round", || {
        tools::run("bench", &["--quick".into(), tools::CHECKED.into()])
    })?;
    step("instructions", || instructions::run(&[]))?;
    step("public API", || tools::run("public-api", &[]))?;
    conformance()?;
    let mut totals = Totals::default();
    step("tests", || {
        totals = test::totals()?;
        Ok(())
    })?;
    totals.close()
}

/// Checks our own captures, and those beside the repository if they exist.
fn conformance() -> Result<()> {
    let folder = |name: &str| root().join(name).to_string_lossy().into_owned();
    step("conformance, our own cases", || {
        tools::run("conformance", &[folder("xtask/cases")])
    })?;
    step("conformance, our own corpus", || {
        tools::run("conformance", &[folder("xtask/corpus")])
    })?;
    conformance_live(&folder)?;
    conformance_files(&folder)?;
    conformance_filter(&folder)?;
    conformance_streams(&folder)?;
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
fn conformance_live(folder: &impl Fn(&str) -> String) -> Result<()> {
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
fn conformance_files(folder: &impl Fn(&str) -> String) -> Result<()> {
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
fn conformance_filter(folder: &impl Fn(&str) -> String) -> Result<()> {
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
fn conformance_streams(folder: &impl Fn(&str) -> String) -> Result<()> {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("NOT CHECKED: TCP streams, because tshark is not installed");
        return Ok(());
    }
    step("TCP streams, our own corpus", || {
        tools::run("conformance-streams", &[folder("xtask/corpus")])
    })
}

/// Runs a step, and reports how long it took.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let start = Instant::now();
    let result = work().map_err(|why| format!("{name}: {why}"));
    println!("── {name}: {:.0} s", start.elapsed().as_secs_f64());
    result
}

/// Each feature of the facade builds alone, has documentation without broken links, and adds no
/// dependency that it does not need.
fn features() -> Result<()> {
    let alone = ["--no-default-features", "--package", "netring"];
    for features in [
        "",
        "afpacket",
        "flow",
        "flowscope",
        "parsers",
        "http",
        "tls",
        "dns",
        "async",
        "pcap",
        "compression",
        "rotation",
        "metrics",
        "tracing",
        "xdp",
        "afpacket,flow",
        "afpacket,async",
        "afpacket,xdp",
        "xdp,async",
        "flow,async",
    ] {
        let features = ["--features", features];
        run(cargo().arg("check").args(alone).args(features))?;
        run(cargo()
            .args(["doc", "--no-deps"])
            .args(alone)
            .args(features)
            .env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    let tree = ["tree", "--edges", "normal", "--prefix", "none"];
    let tree = output(
        cargo()
            .args(tree)
            .args(alone)
            .args(["--features", "afpacket"]),
    )?;
    for line in tree.lines() {
        if ["tokio ", "flowscope ", "async-broadcast ", "aya "]
            .iter()
            .any(|name| line.starts_with(name))
        {
            return Err(format!("the feature `afpacket` alone depends on {line}"));
        }
    }
    Ok(())
}

/// Targets other than this machine's, and whether AF_XDP is available there: aya has no bindings
/// for 32-bit x86.
const TARGETS: [(&str, bool); 7] = [
    ("aarch64-unknown-linux-gnu", true),
    ("armv7-unknown-linux-gnueabihf", true),
    ("i686-unknown-linux-gnu", false),
    ("i686-unknown-linux-musl", false),
    ("riscv64gc-unknown-linux-gnu", true),
    ("s390x-unknown-linux-gnu", true),
    ("x86_64-unknown-linux-musl", true),
];

/// The libraries and examples type-check for other targets, if those are installed. Nothing is
/// linked, so no cross linker is needed; a target directory of its own keeps the other builds
/// fresh.
fn targets() -> Result<()> {
    let target_dir = root().join("target/targets");
    for (target, has_xdp) in TARGETS {
        let libraries =
            output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
        if !std::path::Path::new(libraries.trim()).is_dir() {
            println!("NOT CHECKED: {target} is not installed (`rustup target add {target}`)");
            continue;
        }
        let members = match has_xdp {
            true => ["--workspace", "--exclude", "xtask", "--all-features"],
            // All crates but netring-xdp are below the facade.
            false => [
                "--package",
                "netring",
                "--features",
                "compression,flowscope,metrics,rotation,tracing",
            ],
        };
        // Examples need the tests' own crates, which do not build for musl.
        let examples = (!target.ends_with("musl")).then_some("--examples");
        run(cargo()
            .args(["check", "--lib", "--target", target])
            .args(examples)
            .args(members)
            .arg("--target-dir")
            .arg(&target_dir)
            .env("RUSTFLAGS", "-D warnings"))?;
    }
    Ok(())
}

fn dependencies() -> Result<()> {
    // Workspaces of their own, which no other step builds.
    for apart in [
        "xtask/peers",
        "netring-afpacket/fuzz",
        "netring-flow/fuzz",
        "netring-sys/fuzz",
    ] {
        let manifest = root().join(apart).join("Cargo.toml");
        output(
            cargo()
                .args(["metadata", "--locked", "--format-version", "1"])
                .arg("--manifest-path")
                .arg(manifest),
        )
        .map_err(|why| format!("the lock file of {apart} is out of date: {why}"))?;
    }
    if Command::new("cargo")
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return run(cargo().args(["deny", "check", "bans", "licenses", "sources"]));
    }
    left_out(
        "cargo-deny is not installed, so deny.toml is not checked: `cargo install --locked cargo-deny`",
    )
}

/// Checks with the oldest supported compiler, if it is installed.
fn oldest_rust() -> Result<()> {
    let installed = output(Command::new("rustup").args(["toolchain", "list"]));
    let wanted = format!("{OLDEST_RUST}-");
    let installed = installed.unwrap_or_default();
    let exact = installed
        .lines()
        .find(|line| line.starts_with(&wanted) || line.starts_with(&format!("{OLDEST_RUST}.")));
    let Some(name) = exact.and_then(|line| line.split_whitespace().next()) else {
        println!(
            "NOT RUN: Rust {OLDEST_RUST} is not installed (`rustup toolchain install {OLDEST_RUST}`)"
        );
        return Ok(());
    };
    // A folder of its own: two compilers in one would build everything twice each time.
    let target = root().join("target/oldest-rust");
    run(Command::new("rustup")
        .current_dir(root())
        .args(["run", name, "cargo", "check"])
        .args(["--workspace", "--all-features", "--locked"])
        .env("CARGO_TARGET_DIR", target))
}
