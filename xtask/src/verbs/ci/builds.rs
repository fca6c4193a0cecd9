//! The steps that build in other ways: with single features, for other targets, and with the oldest
//! compiler.

use std::process::Command;

use super::super::{Result, cargo, left_out, output, root, run};

/// `rust-version` in Cargo.toml.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Each feature of the facade builds alone, has documentation without broken links, and adds no
/// dependency that it does not need.
pub(super) fn features() -> Result<()> {
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
        "serde",
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

/// Targets other than this machine's, one for each way in which they differ, and whether AF_XDP is
/// available there: aya has no bindings for 32-bit x86.
const TARGETS: [(&str, bool); 5] = [
    // Its `c_char` is unsigned, and so its bindings are others.
    ("aarch64-unknown-linux-gnu", true),
    // 32 bits, with glibc's types.
    ("armv7-unknown-linux-gnueabihf", true),
    // 32 bits with musl's types, and a `u64` that is aligned to four bytes.
    ("i686-unknown-linux-musl", false),
    // Big-endian.
    ("s390x-unknown-linux-gnu", true),
    // AF_XDP with musl's types.
    ("x86_64-unknown-linux-musl", true),
];

/// The libraries and examples type-check for other targets, if those are installed. Nothing is
/// linked, so no cross linker is needed; a target directory of its own keeps the other builds
/// fresh.
pub(super) fn targets() -> Result<()> {
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

pub(super) fn dependencies() -> Result<()> {
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
pub(super) fn oldest_rust() -> Result<()> {
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
