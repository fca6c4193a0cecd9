//! The developer's commands: `cargo xtask VERB`.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

mod verbs;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask VERB

  demo [IFACE]        capture real traffic, track its flows, share them with three subscribers, and check that everything
                      is accounted for; without an interface in a network of its own; `cargo xtask demo --help`
  test                unit, integration and doc tests, and those that need a network
  test-netns [ARGS]   only those that need a network, each in a namespace of its own; ARGS go to the tests
  bench [OPTIONS]     measure next to peers; `cargo xtask bench --help` lists the options
  conformance DIR     compare the flows in a folder of captures with its oracle or its expect.tsv
  conformance DIR --live
                      compare what a tracker reports of them with the same over AF_PACKET and AF_XDP
  conformance-files DIR [--tshark]
                      compare captures that are written again with the originals
  conformance-filter DIR [EXPRESSIONS.txt]
                      compare the packets that filter expressions select with those that tcpdump selects
  conformance-streams DIR
                      compare the TCP streams in a folder of captures with those that tshark follows
  instructions        count the instructions of the hot paths by callgrind, and compare them with xtask/instructions.tsv;
                      `cargo xtask instructions --bless` writes the figures again
  public-api          compare the public API of each crate with the snapshot in xtask/public-api;
                      `cargo xtask public-api --bless` writes the snapshots again
  tidy                the house rules
  package             whether each crate can be published; uploads nothing
  ci                  everything a change has to pass

`NETRING_REQUIRE_ROOT=1` makes a test that cannot run for lack of privilege a failure.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = args
        .split_first()
        .map_or(("help", &[][..]), |(verb, rest)| (verb, rest));
    let result = match verb {
        "demo"
        | "bench"
        | "conformance"
        | "conformance-files"
        | "conformance-filter"
        | "conformance-streams"
        | "public-api" => match verbs::tools::status(verb, rest) {
            Ok(code) => return ExitCode::from(code),
            Err(why) => Err(why),
        },
        "test" => verbs::test::run(),
        "test-netns" => verbs::test_netns::run(rest).and_then(verbs::totals::Totals::close),
        "instructions" => verbs::instructions::run(rest),
        "tidy" => verbs::tidy::run(),
        "package" => verbs::package::run_all(),
        "ci" => verbs::ci::run_all(),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("unknown verb {other:?}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {verb}: {why}");
            ExitCode::FAILURE
        }
    }
}
