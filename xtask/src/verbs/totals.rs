//! A run of `cargo test`: what it prints, and how many tests passed and failed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::Result;

/// What the test programs reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Ends a run: prints both counts on one line. Failed tests, or none at all, are an error.
    pub(crate) fn close(self) -> Result<()> {
        println!("{} passed, {} failed", self.passed, self.failed);
        match self {
            Self {
                failed: 0,
                passed: 1..,
            } => Ok(()),
            Self { failed: 0, .. } => Err("no test ran".into()),
            Self { failed, .. } => Err(format!("{failed} tests failed")),
        }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }

    /// Parses the last line of a test program: `test result: ok. 3 passed; 0 failed; …`.
    fn of_line(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |what| {
            let part = counts
                .split("; ")
                .find_map(|part| part.strip_suffix(what))?;
            part.trim().parse().ok()
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
        })
    }
}

/// Runs `cargo test`, passes its output on, and counts.
pub(crate) fn run_tests(command: &mut Command) -> Result<Totals> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    let mut totals = Totals::default();
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        let line = line.map_err(|error| error.to_string())?;
        println!("{line}");
        totals = totals.add(Totals::of_line(&line).unwrap_or_default());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(totals)
    } else {
        Err(format!("{command:?} ended with {status}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_test_programs_are_added_up() {
        let ok = "test result: ok. 13 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let bad = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let add = |line| Totals::of_line(line).unwrap();
        assert_eq!(
            add(ok).add(add(bad)),
            Totals {
                passed: 14,
                failed: 2
            }
        );
        assert_eq!(Totals::of_line("test walk ... ok"), None);
    }

    #[test]
    fn a_run_without_tests_is_a_failure() {
        assert!(Totals::default().close().is_err());
        assert!(
            Totals {
                passed: 1,
                failed: 0
            }
            .close()
            .is_ok()
        );
        assert!(
            Totals {
                passed: 1,
                failed: 1
            }
            .close()
            .is_err()
        );
    }
}
