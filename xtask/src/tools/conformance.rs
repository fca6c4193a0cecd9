//! `conformance`: the flows in a folder of captures, compared with what they should be. There are two kinds of folders.
//!
//! One has `index.tsv`, `exact.txt` and `oracle/`, which holds what two other tools found. What the oracle is sure of, and
//! the engine follows, is compared; all other captures are run too, because they must not crash the engine, nor make it hang
//! or grow.
//!
//! The other has `expect.tsv`: conditions that the printed events of each capture must meet.
//!
//! Each capture is read by a process of its own, with a bound on time and memory.

mod compare;
mod events;
mod expect;
mod folder;
mod observe;
mod one;
mod oracle;

use std::fmt;
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use folder::Capture;
use one::{Found, Outcome};

const HELP: &str = "\
cargo xtask conformance DIR [--all]

Compares the flows in the captures of DIR with those in DIR/oracle: packets, bytes, first and last time, and TCP segments with SYN, FIN
and RST, for each key and direction. DIR/exact.txt tells which captures the oracle is sure of; of these, captures of Ethernet,
raw IP, null/loop and Linux cooked without fragments, MPLS, PPPoE and LLC have to be equal. All others in DIR/index.tsv are run,
and have to end without a crash within 60 s and 1 GiB; --all prints how they differ, which is no failure.

If DIR has an expect.tsv, checks its conditions instead. A line has, between tabs, the name of a capture in DIR or below it, a tag
for readers, and what must hold for the events that are printed of it: flows=N and !flows=N (flows that start), open<=N (flows
open at the same time), ticks>=N, ~REGEX (matches somewhere), !REGEX (matches nowhere). A condition in xtask/cases/disputed.tsv
may fail: its reason is printed. Captures without a line have to end without a crash. --all also prints the cases that hold.";

/// Checks a folder, and fails if anything is not as it should be.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        [one::FLAG, seconds, capture] => one::run(seconds, Path::new(capture), None),
        [one::FLAG, seconds, capture, oracle] => {
            one::run(seconds, Path::new(capture), Some(Path::new(oracle)))
        }
        [events::FLAG, seconds, capture] => events::run(seconds, Path::new(capture)),
        [dir] if !dir.starts_with('-') => check(Path::new(dir), false),
        [dir, "--all"] | ["--all", dir] => check(Path::new(dir), true),
        _ => Err(format!("which folder?\n\n{HELP}").into()),
    }
}

fn check(dir: &Path, tell_all: bool) -> Result<()> {
    if dir.join(expect::FILE).exists() {
        expect::run(dir, tell_all)
    } else {
        compare_folder(dir, tell_all)
    }
}

/// What became of the captures.
#[derive(Debug, Default)]
struct Totals {
    /// Whether to print what differs where it need not be equal.
    tell_all: bool,
    compared: usize,
    differ: usize,
    differences: usize,
    flows: u64,
    packets: u64,
    ran: usize,
    /// Of those that ran, how many the oracle has flows for, and how many of these were equal.
    known: usize,
    equal: usize,
    crashed: usize,
}

fn compare_folder(dir: &Path, tell_all: bool) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut totals = Totals {
        tell_all,
        ..Totals::default()
    };
    for capture in &folder::read(dir)? {
        let oracle = capture.oracle(dir);
        let oracle = Some(&*oracle).filter(|path| capture.is_exact() || path.exists());
        match one::begin(&program, &capture.path(dir)?, oracle)? {
            Outcome::Done(found) => totals.add(capture, found, oracle.is_some()),
            Outcome::Crashed(how) => {
                println!("{}: {how}", capture.name);
                totals.crashed += 1;
            }
        }
    }
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() / 1024;
    println!("{totals}; no process held more than {peak} MiB");
    totals.judge(dir)
}

impl Totals {
    fn add(&mut self, capture: &Capture, found: Found, known: bool) {
        let (packets, flows) = (found.packets, found.flows);
        let lines = capture.wrong(found);
        if !capture.must_be_equal() {
            self.ran += 1;
            self.known += usize::from(known);
            self.equal += usize::from(known && lines.is_empty());
            for line in lines.iter().filter(|_| self.tell_all) {
                println!("({}: {line})", capture.name);
            }
            return;
        }
        self.compared += 1;
        self.packets += packets;
        self.flows += flows;
        self.differ += usize::from(!lines.is_empty());
        self.differences += lines.len();
        for line in lines {
            println!("{}: {line}", capture.name);
        }
    }

    fn judge(&self, dir: &Path) -> Result<()> {
        let (differ, crashed) = (self.differ, self.crashed);
        if differ + crashed > 0 {
            return Err(format!("{differ} captures differ, {crashed} crashed").into());
        }
        if self.compared == 0 {
            return Err(format!("{} has nothing to compare", dir.display()).into());
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equal = self.compared - self.differ;
        writeln!(
            f,
            "compared {} captures, {} packets, {} flows: {equal} equal, {} differ, in {} lines",
            self.compared, self.packets, self.flows, self.differ, self.differences
        )?;
        write!(
            f,
            "ran {} more that need not be equal: {} are, of {} with an oracle\n{} crashed",
            self.ran, self.equal, self.known, self.crashed
        )
    }
}
