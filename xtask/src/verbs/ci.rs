//! `ci`: everything a change has to pass. Steps that fail fast come first, and the tests last, so
//! that their totals end the output.

mod builds;
mod conformance;

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::totals::Totals;
use super::{Result, cargo, instructions, package, run, test, tidy, tools};

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
    step("features of the facade", builds::features)?;
    step("other targets", builds::targets)?;
    step("dependencies", builds::dependencies)?;
    step("oldest Rust", builds::oldest_rust)?;
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
    conformance::run()?;
    let mut totals = Totals::default();
    step("tests", || {
        totals = test::totals()?;
        Ok(())
    })?;
    totals.close()
}

/// Runs a step, and reports how long it took, and for how long its programs kept processors busy.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let (start, busy) = (Instant::now(), busy());
    let result = work().map_err(|why| format!("{name}: {why}"));
    println!(
        "── {name}: {:.0} s ({:.0} s of processor time)",
        start.elapsed().as_secs_f64(),
        self::busy().saturating_sub(busy).as_secs_f64()
    );
    result
}

/// The processor time of all programs that were started and have ended.
fn busy() -> Duration {
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let of = |time: nix::sys::time::TimeVal| {
        let micros = u64::try_from(time.num_microseconds()).unwrap_or(0);
        Duration::from_micros(micros)
    };
    of(used.user_time()) + of(used.system_time())
}
