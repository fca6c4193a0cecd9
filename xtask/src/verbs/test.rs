//! `test`: everything.

use super::totals::{Totals, run_tests};
use super::{Result, cargo, test_netns};

pub(crate) fn run() -> Result<()> {
    totals()?.close()
}

/// Runs all tests, and counts.
pub(crate) fn totals() -> Result<Totals> {
    let all = ["test", "--workspace", "--all-features"];
    // With `--all-targets`, cargo would leave out the doc tests.
    let plain = run_tests(cargo().args(all))?;
    Ok(plain.add(test_netns::run(&[])?))
}
