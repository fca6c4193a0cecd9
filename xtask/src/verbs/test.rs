//! `test`: everything.

use super::totals::{Totals, run_tests};
use super::{Result, cargo, test_netns};

pub(crate) fn run() -> Result<()> {
    totals()?.close()
}

/// Runs every test there is, and counts.
pub(crate) fn totals() -> Result<Totals> {
    let all = ["test", "--workspace", "--all-features"];
    // `--all-targets` would run the benches; `cargo test` without it runs unit, integration and doc
    // tests.
    let plain = run_tests(cargo().args(all))?;
    Ok(plain.add(test_netns::run(&[])?))
}
