//! `conformance-filter`: compares the packets that filter expressions select with those that
//! tcpdump selects.
//!
//! The packets of all captures in a folder go into one file for each link type, in which the
//! seconds of a timestamp number the packet. So one run of tcpdump per expression and link type
//! shows which packets it selects, by number.

mod corpus;
mod lengths;
mod oracle;

use std::path::Path;

use netring::{LinkType, Matcher};
use netring_sys::filter::Expr;

use crate::Result;
use corpus::Corpus;
use oracle::Verdict;

const HELP: &str = "\
cargo xtask conformance-filter DIR [EXPRESSIONS.txt]
cargo xtask conformance-filter --lengths [EXPRESSIONS.txt]

Compiles each expression (one a line, `#` begins a comment line) for each link type in the captures of DIR and below, runs it over all
packets, and compares which it selects with tcpdump. Prints a line per difference and a total. Fails on any difference, and if tcpdump is
not installed. Captures of link types that filters cannot be compiled for are left out and counted. Without a file it takes
xtask/src/tools/conformance_filter/expressions.txt.

With --lengths it prints how many instructions each expression takes on Ethernet, and how many libpcap's program has; without a file
for 40 common ones. It never fails for a longer one.";

/// The expressions that are compared if no file is given.
pub(crate) const EXPRESSIONS: &str = include_str!("conformance_filter/expressions.txt");

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["--lengths"] => lengths::print(lines(lengths::COMMON)),
        ["--lengths", file] => lengths::print(lines(&std::fs::read_to_string(file)?)),
        [dir] => check(Path::new(dir), EXPRESSIONS),
        [dir, expressions] => check(Path::new(dir), &std::fs::read_to_string(expressions)?),
        _ => Err(format!("expected a folder\n\n{HELP}").into()),
    }
}

fn check(dir: &Path, expressions: &str) -> Result<()> {
    println!("oracle: {}", oracle::version()?);
    let corpora = Corpus::read(dir)?;
    let expressions: Vec<_> = lines(expressions).collect();
    let (mut compared, mut differences) = (0, 0);
    for expression in &expressions {
        for corpus in &corpora {
            compared += 1;
            if let Some(difference) = compare(expression, corpus)? {
                differences += 1;
                println!("{:?}: {expression}: {difference}", corpus.link_type);
            }
        }
    }
    let packets: usize = corpora.iter().map(|corpus| corpus.packets.len()).sum();
    println!(
        "{} expressions, {packets} packets of {} link types: {compared} compared, {differences} differences",
        expressions.len(),
        corpora.len()
    );
    if differences == 0 {
        Ok(())
    } else {
        Err(format!("{differences} differences").into())
    }
}

fn lines(expressions: &str) -> impl Iterator<Item = &str> {
    let lines = expressions.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// How the verdicts on an expression differ.
fn compare(expression: &str, corpus: &Corpus) -> Result<Option<String>> {
    let ours = ours(expression, corpus.link_type).map(|matcher| corpus.select(&matcher));
    Ok(match (ours, oracle::ask(expression, corpus)?) {
        (Ok(ours), Verdict::Selected(theirs)) => different(&ours, &theirs),
        (Err(_), Verdict::Refused(_)) => None,
        (Ok(_), Verdict::Refused(why)) => Some(format!("tcpdump refuses it: {why}")),
        (Err(why), Verdict::Selected(_)) => Some(format!("refused: {why}")),
    })
}

fn ours(expression: &str, link_type: LinkType) -> std::result::Result<Matcher, netring::Error> {
    let expression: Expr = expression.parse()?;
    Matcher::new(expression.for_bytes(link_type)?)
}

fn different(ours: &[usize], theirs: &[usize]) -> Option<String> {
    let only = |these: &[usize], those: &[usize]| -> Vec<usize> {
        these
            .iter()
            .copied()
            .filter(|number| those.binary_search(number).is_err())
            .collect()
    };
    let (more, less) = (only(ours, theirs), only(theirs, ours));
    let first = |numbers: &[usize]| numbers[..numbers.len().min(5)].to_vec();
    (!more.is_empty() || !less.is_empty()).then(|| {
        format!(
            "{} packets more {:?}, {} less {:?}, of {}",
            more.len(),
            first(&more),
            less.len(),
            first(&less),
            theirs.len()
        )
    })
}
