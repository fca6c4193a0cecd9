//! How an example ends: what went wrong is told in a sentence, with the causes that are not in it yet.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]

use std::error::Error;
use std::process::ExitCode;

pub(crate) fn of(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !told.contains(&why) {
            told = format!("{told}: {why}");
        }
        cause = error.source();
    }
    eprintln!("{told}");
    ExitCode::FAILURE
}
