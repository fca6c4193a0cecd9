//! `conformance`: the flows in a folder of captures, compared with what they should be. There are
//! two kinds of folders.
//!
//! One has `index.tsv`, `exact.txt` and `oracle/`, which holds what two other tools found. Every
//! capture that the oracle has is compared. Where the oracle is not right, or decides what may be
//! decided otherwise, `deviations.tsv` has each line that differs, with the reason. Captures
//! without an oracle are run too, because they must not crash the engine, nor make it hang or grow.
//!
//! The other has `expect.tsv`: conditions that the printed events of each capture must meet.
//!
//! Each capture is read by a process of its own, with a bound on time and memory.

mod compare;
mod deviations;
mod events;
mod expect;
mod folder;
mod observe;
mod one;
mod oracle;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use deviations::Deviation;
use folder::Capture;
use one::{Found, Outcome};

const HELP: &str = "\
cargo xtask conformance DIR [--all]

Compares the flows in the captures of DIR with those in DIR/oracle: packets, bytes, first and last time, and TCP segments with SYN, FIN
and RST, for each key and direction; and the number of later fragments, which are in no flow. A capture may differ only by the lines
that xtask/src/tools/conformance/deviations.tsv has for it, each with its reason. Captures in DIR/index.tsv that have no oracle
are run, and their books have to balance. Each capture has to end without a crash within 60 s and 1 GiB.

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
        compare_folder(dir)
    }
}

/// What became of the captures.
#[derive(Debug, Default)]
struct Totals {
    compared: usize,
    differ: usize,
    differences: usize,
    /// Differences that are listed, the captures that have any, and their reasons.
    listed: usize,
    deviating: Vec<String>,
    flows: u64,
    packets: u64,
    /// How many have no oracle, by their link types.
    without_oracle: BTreeMap<String, usize>,
    crashed: usize,
}

fn compare_folder(dir: &Path) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut totals = Totals::default();
    for capture in &folder::read(dir)? {
        let oracle = capture.oracle(dir);
        match one::begin(&program, &capture.path(dir)?, oracle.as_deref())? {
            Outcome::Done(found) if oracle.is_some() => totals.compare(capture, found)?,
            Outcome::Done(found) => totals.note(capture, found),
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
    fn compare(&mut self, capture: &Capture, found: Found) -> Result<()> {
        self.compared += 1;
        self.packets += found.packets;
        self.flows += found.flows;
        let deviation = Deviation::of(&capture.name)?;
        self.listed += deviation.len();
        if deviation.len() > 0 {
            let (name, reason) = (&capture.name, deviation.reason);
            self.deviating.push(format!("{name}: {reason}"));
        }
        self.fail(capture, deviation.judge(capture.wrong(found)));
        Ok(())
    }

    /// Takes in a capture without an oracle: what it shows is between the engine and its own books.
    fn note(&mut self, capture: &Capture, found: Found) {
        let link_types = capture.link_types.clone();
        *self.without_oracle.entry(link_types).or_default() += 1;
        self.fail(capture, found.imbalance);
    }

    fn fail(&mut self, capture: &Capture, lines: Vec<String>) {
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
        for line in &self.deviating {
            writeln!(f, "differs as listed: {line}")?;
        }
        let (deviating, listed) = (self.deviating.len(), self.listed);
        let equal = self.compared - self.differ - deviating;
        writeln!(
            f,
            "compared {} captures, {} packets, {} flows: {equal} equal, {deviating} differ as listed, in {listed} lines, \
             {} differ otherwise, in {} lines",
            self.compared, self.packets, self.flows, self.differ, self.differences
        )?;
        let number: usize = self.without_oracle.values().sum();
        write!(f, "ran {number} more that have no oracle")?;
        for (at, (link_types, number)) in self.without_oracle.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}{number} of link type {link_types}")?;
        }
        write!(f, "\n{} crashed", self.crashed)
    }
}
