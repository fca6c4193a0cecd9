//! The heavy tools behind `cargo xtask demo`, `bench` and `conformance`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = args.split_first().map_or(("", &[][..]), |(verb, rest)| (verb, rest));
    let result = match verb {
        "demo" => demo::run(rest),
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
