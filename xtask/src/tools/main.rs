//! The heavy tools behind `cargo xtask bench`, `conformance`,
//! `conformance-files`, `conformance-filter` and `public-api`.
#![deny(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

mod bench;
mod conformance;
mod conformance_files;
mod conformance_filter;
mod conformance_streams;
mod public_api;

use std::process::ExitCode;

/// Why a tool failed.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = args
        .split_first()
        .map_or(("", &[][..]), |(verb, rest)| (verb, rest));
    // A tool is a line here, and a `mod` above.
    let result = match verb {
        "bench" => bench::run(rest),
        "conformance" => conformance::run(rest),
        "conformance-files" => conformance_files::run(rest),
        "conformance-filter" => conformance_filter::run(rest),
        "conformance-streams" => conformance_streams::run(rest),
        "public-api" => public_api::run(rest),
        other => Err(format!("there is no tool {other:?}; run `cargo xtask`").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{verb}: {why}");
            ExitCode::FAILURE
        }
    }
}
