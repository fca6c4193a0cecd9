//! `conformance-streams`: compares the streams of TCP connections with those that tshark follows.

mod arrivals;
mod deviations;
mod observe;
mod oracle;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::conformance::expect;
use deviations::{different, explain};
use observe::{Stream, printed};

const HELP: &str = "\
cargo xtask conformance-streams DIR [--all]

Reassembles the TCP streams in the captures of DIR and below, and compares each with what `tshark -z follow,tcp,raw` prints, missing bytes
included. A stream is named by the ends that send and receive it; successive connections of the same ends are one after the other. Where
tshark's policy is another, the difference is explained by what the reassembler reported about the stream, or by the segments of which both
are made (see deviations.rs and places.rs in xtask/src/tools/conformance_streams), and counted by reason. Fails on any other difference, and
if tshark is not installed. Streams of ends that only tshark sees, inside tunnels, are counted. A capture that cannot be opened is a line.
--all also prints the explained differences.";

/// The bytes from one end to another.
type Streams<T> = BTreeMap<(String, String), T>;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        [dir] if !dir.starts_with('-') => check(Path::new(dir), false),
        [dir, "--all"] | ["--all", dir] => check(Path::new(dir), true),
        _ => Err(format!("expected a folder\n\n{HELP}").into()),
    }
}

/// The results for the streams.
#[derive(Debug, Default)]
struct Totals {
    captures: usize,
    equal: usize,
    bytes: usize,
    explained: BTreeMap<&'static str, usize>,
    /// Streams that tshark alone sees.
    tunnelled: usize,
    unexplained: usize,
}

fn check(dir: &Path, tell_all: bool) -> Result<()> {
    println!("oracle: {}", oracle::version()?);
    let mut files = Vec::new();
    find(dir, &mut files)?;
    files.sort();
    let mut totals = Totals::default();
    for file in &files {
        let name = file.strip_prefix(dir).unwrap_or(file).display().to_string();
        if let Err(why) = totals.compare(&name, file, tell_all) {
            totals.unexplained += 1;
            println!("{name}: {why}");
        }
    }
    totals.print();
    if totals.captures == 0 {
        return Err(format!("{} has nothing to compare", dir.display()).into());
    }
    match totals.unexplained {
        0 => Ok(()),
        number => Err(format!("{number} streams differ").into()),
    }
}

impl Totals {
    fn compare(&mut self, name: &str, file: &Path, tell_all: bool) -> Result<()> {
        let observed = observe::observe(file)?;
        if let Some(why) = observed.fault.filter(|_| expect::is_capture(file)) {
            println!("{name}: not read: {why}");
        }
        if observed.connections == 0 {
            return Ok(());
        }
        self.captures += 1;
        let theirs = oracle::follow(file, observed.connections)?;
        let nothing = (Stream::default(), Vec::new());
        let ends: BTreeSet<_> = observed.streams.keys().chain(theirs.keys()).collect();
        for ends in ends {
            let ours = observed.streams.get(ends).unwrap_or(&nothing.0);
            let theirs = theirs.get(ends).unwrap_or(&nothing.1);
            let (shown, all) = (printed(&ours.parts), theirs.concat());
            if shown == all {
                self.equal += 1;
                self.bytes += all.len();
            } else if ours.segments == 0 && ours.parts.is_empty() {
                self.tunnelled += 1;
                if tell_all {
                    println!("{name}: {} > {}: seen by tshark alone", ends.0, ends.1);
                }
            } else {
                let place = different(&shown, &all);
                let line = format!("{name}: {} > {}: {place}", ends.0, ends.1);
                match explain(name, ends, ours, theirs) {
                    Some(reason) => {
                        *self.explained.entry(reason).or_default() += 1;
                        if tell_all {
                            println!("{line}: {reason}");
                        }
                    }
                    None => {
                        self.unexplained += 1;
                        println!("{line}");
                    }
                }
            }
        }
        Ok(())
    }

    fn print(&self) {
        for (reason, number) in &self.explained {
            println!("{number} streams differ as explained: {reason}");
        }
        let explained: usize = self.explained.values().sum();
        println!(
            "{} captures: {} streams are equal, with {} bytes; {explained} differ as explained; {} are seen by tshark alone; \
             {} differ otherwise",
            self.captures, self.equal, self.bytes, self.tunnelled, self.unexplained
        );
    }
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).map_err(|why| format!("{}: {why}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
