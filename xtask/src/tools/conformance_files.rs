//! `conformance-files`: reads each capture of a folder, writes it in every form, and compares the
//! copy with the original, on request as Wireshark shows them.

mod contents;
mod copies;
mod cut;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use crate::Result;
use contents::Contents;
use copies::Folder;

const HELP: &str = "\
cargo xtask conformance-files DIR [--tshark]

Reads every capture in DIR and below, whatever its name is, writes it as pcapng and as pcap, plain and packed by gzip, and reads these
copies again: packets, options, interfaces, sections, statistics and other blocks have to be the same. A capture of several link types, or
with times that pcap cannot express, has no pcap form. Then it cuts the capture in several places: every whole packet before has to come, and then an error, or the end.

With --tshark, tshark has to show the same numbers, times, lengths and link types for each copy as for the original, without a warning, and
a file that it can read and that is refused here is a difference.

Prints a line for each file that is refused or damaged, with the reason, a line per difference, and totals. Fails on any difference.";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        [dir] => check(Path::new(dir), false),
        [dir, "--tshark"] | ["--tshark", dir] => check(Path::new(dir), true),
        _ => Err(format!("expected a folder\n\n{HELP}").into()),
    }
}

/// The results over all files.
#[derive(Debug, Default)]
struct Totals {
    captures: u64,
    packets: u64,
    blocks: u64,
    left_out: u64,
    /// Captures that have no pcap form.
    without_pcap: u64,
    refused: u64,
    damaged: u64,
    others: u64,
    copies: u64,
    cuts: u64,
    shown: u64,
    /// Lines about files that are damaged or refused, and about differences.
    notes: Vec<String>,
    differences: Vec<String>,
}

fn check(dir: &Path, tshark: bool) -> Result<()> {
    if tshark {
        println!("oracle: {}", shown::version()?);
    }
    let mut files = Vec::new();
    find(dir, &mut files)?;
    files.sort();
    let totals = all(&files, tshark)?;
    for line in totals.notes.iter().chain(&totals.differences) {
        println!("{line}");
    }
    let Totals {
        captures, packets, ..
    } = totals;
    println!(
        "{captures} captures, {packets} packets, {} other blocks; {} damaged, {} refused, {} other files",
        totals.blocks, totals.damaged, totals.refused, totals.others
    );
    println!(
        "{} copies compared, {} of them by tshark; {} cuts; {} blocks left out; {} without a pcap form; {} differences",
        totals.copies,
        totals.shown,
        totals.cuts,
        totals.left_out,
        totals.without_pcap,
        totals.differences.len()
    );
    if captures == 0 {
        return Err(format!("there are no captures in {}", dir.display()).into());
    }
    match totals.differences.len() {
        0 => Ok(()),
        count => Err(format!("{count} differences").into()),
    }
}

/// Checks all files, on as many threads as there are processors.
fn all(files: &[PathBuf], tshark: bool) -> Result<Totals> {
    let (next, totals) = (Mutex::new(files.iter()), Mutex::new(Totals::default()));
    let work = || -> std::result::Result<(), String> {
        let folder = Folder::new().map_err(|why| why.to_string())?;
        loop {
            let file = next.lock().ok().and_then(|mut files| files.next());
            let Some(file) = file else { return Ok(()) };
            let mut found = Totals::default();
            one(file, &folder, tshark, &mut found)
                .map_err(|why| format!("{}: {why}", file.display()))?;
            if let Ok(mut totals) = totals.lock() {
                totals.add(found);
            }
        }
    };
    let count = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let ended = thread.join();
            ended.map_err(|_| "a thread panicked; see its message above".to_owned())??;
        }
        Ok::<_, String>(())
    })?;
    let mut totals = totals.into_inner().map_err(|why| why.to_string())?;
    totals.notes.sort();
    totals.differences.sort();
    Ok(totals)
}

fn one(path: &Path, folder: &Folder, tshark: bool, totals: &mut Totals) -> Result<()> {
    let name = path.display();
    let original = match Contents::of(path) {
        Ok(original) => original,
        Err(why) => {
            let shows = tshark && shown::reads(path);
            if shows {
                totals
                    .differences
                    .push(format!("refused, but tshark reads it: {why}"));
            }
            if shows || looks_like_one(path) {
                totals.refused += 1;
                totals.notes.push(format!("refused: {why}"));
            } else {
                totals.others += 1;
            }
            return Ok(());
        }
    };
    totals.captures += 1;
    totals.packets += original.packets.len() as u64;
    totals.blocks += original.blocks.len() as u64;
    if let Err(why) = &original.end {
        let packets = original.packets.len();
        totals.damaged += 1;
        totals
            .notes
            .push(format!("damaged after {packets} packets: {why}"));
    }
    let shown = tshark.then(|| shown::damaged(path)).transpose()?;
    totals.without_pcap += u64::from(original.pcap_link_type().is_none());
    for form in copies::FORMS {
        let Some(copy) = folder.copy(path, &original, form)? else {
            continue;
        };
        totals.copies += 1;
        totals.left_out += if form.is_first() { copy.left_out } else { 0 };
        let found = Contents::of(&copy.path)?;
        let difference = original.difference(&found, form.is_ng(), copy.left_out);
        let difference = difference.or_else(|| Some(found.end.err()?.clone()));
        totals
            .differences
            .extend(difference.map(|it| format!("{name}: as {form}: {it}")));
        // Wireshark shows journal entries and custom blocks as packets, which pcap has none of.
        if let Some(shown) = &shown
            && (form.is_ng() || original.blocks.is_empty())
        {
            totals.shown += 1;
            let difference = shown::difference(shown, &copy.path, form.is_ng())?;
            totals
                .differences
                .extend(difference.map(|it| format!("{name}: as {form}: {it}")));
        }
    }
    let (cuts, difference) = cut::check(path, &original)?;
    totals.cuts += cuts;
    totals
        .differences
        .extend(difference.map(|it| format!("{name}: {it}")));
    Ok(())
}

/// Whether the name says that it is a capture.
fn looks_like_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    [".pcap", ".pcapng", ".cap", ".dmp", ".ntar"]
        .iter()
        .any(|ending| name.ends_with(ending))
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

impl Totals {
    fn add(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.captures, other.captures),
            (&mut self.packets, other.packets),
            (&mut self.blocks, other.blocks),
            (&mut self.left_out, other.left_out),
            (&mut self.without_pcap, other.without_pcap),
            (&mut self.refused, other.refused),
            (&mut self.damaged, other.damaged),
            (&mut self.others, other.others),
            (&mut self.copies, other.copies),
            (&mut self.cuts, other.cuts),
            (&mut self.shown, other.shown),
        ] {
            *sum += more;
        }
        self.notes.extend(other.notes);
        self.differences.extend(other.differences);
    }
}
