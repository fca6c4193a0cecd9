//! A folder of captures with an `expect.tsv`: conditions that the printed events of each capture
//! must meet.

mod condition;

use std::fmt;
use std::path::{Path, PathBuf};

use super::{events, one};
use crate::Result;
use condition::{Condition, Printed};

/// The file that identifies such a folder.
pub(super) const FILE: &str = "expect.tsv";

/// Conditions that a later decision contradicts, each with its reason: the capture, the condition,
/// why it does not hold.
const LISTED: [(&str, &str, &str); 1] = [(
    "F43_fragments.pcap",
    "~fragments: 2",
    "later fragments count in the flow of their first, not among packets without a flow",
)];

/// A line of `expect.tsv`.
struct Case {
    name: String,
    conditions: Vec<Condition>,
}

/// The results for the cases.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    hold: usize,
    do_not: usize,
    /// Cases in which only listed conditions do not hold.
    listed: usize,
    /// Captures without a line.
    unexpected: usize,
    crashed: usize,
}

/// Runs every capture in a folder, and fails if one crashes or a condition does not hold.
pub(super) fn run(dir: &Path, print_all: bool) -> Result<()> {
    let program = std::env::current_exe()?;
    let shown = dir.join(FILE).display().to_string();
    let text = std::fs::read_to_string(dir.join(FILE)).map_err(|why| format!("{shown}: {why}"))?;
    let cases = parse(&shown, &text)?;
    let files = files(dir)?;
    let mut totals = Totals::default();
    for case in &cases {
        let path = files.iter().find(|path| path.ends_with(&case.name));
        let wrong = match path {
            Some(path) => match events(&program, path)? {
                Ok(text) => case.unmet(&text)?,
                Err(how) => vec![how],
            },
            None => vec![format!("there is no such capture in {}", dir.display())],
        };
        totals.add(case, &wrong, print_all);
    }
    let is_expected = |path: &PathBuf| cases.iter().any(|case| path.ends_with(&case.name));
    for path in files.iter().filter(|path| is_capture(path)) {
        if is_expected(path) {
            continue;
        }
        totals.unexpected += 1;
        println!("no expectation: {}", path.display());
        if let Err(how) = events(&program, path)? {
            println!("{}: {how}", path.display());
            totals.crashed += 1;
        }
    }
    println!("{totals}");
    totals.judge()
}

/// Runs a process for a capture, and returns the events, or how it crashed.
fn events(program: &Path, capture: &Path) -> Result<std::result::Result<String, String>> {
    let output = one::spawn(program, events::FLAG, capture, None)?;
    if output.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    Ok(Err(one::crash(&output)))
}

fn parse(shown: &str, text: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.split('\t');
        // The second column is for readers.
        let (Some(name), Some(_)) = (fields.next(), fields.next()) else {
            return Err(
                format!("{shown}:{number}: a line has a case, a tag and conditions").into(),
            );
        };
        let conditions = fields.map(Condition::parse).collect::<Result<_>>();
        cases.push(Case {
            name: name.to_owned(),
            conditions: conditions.map_err(|why| format!("{shown}:{number}: {why}"))?,
        });
    }
    if cases.is_empty() {
        return Err(format!("{shown} has no cases").into());
    }
    Ok(cases)
}

/// All files in a folder and its subfolders, in order.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            // Links to folders are not followed: they could form a loop.
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn is_capture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("pcap" | "pcapng" | "cap"))
}

impl Case {
    /// The conditions that the events do not meet.
    fn unmet(&self, text: &str) -> Result<Vec<String>> {
        let printed = Printed::new(text);
        let mut unmet = Vec::new();
        for condition in &self.conditions {
            if !condition.is_met(&printed)? {
                unmet.push(condition.to_string());
            }
        }
        Ok(unmet)
    }
}

impl Totals {
    fn add(&mut self, case: &Case, wrong: &[String], print_all: bool) {
        let name = &case.name;
        let reason = |condition: &String| {
            let mut listed = LISTED.iter();
            listed.find(|listed| listed.0 == name && listed.1 == condition)
        };
        if wrong.is_empty() {
            self.hold += 1;
            if print_all {
                println!("{name}: holds");
            }
        } else if let Some(reasons) = wrong.iter().map(reason).collect::<Option<Vec<_>>>() {
            self.listed += 1;
            for (_, condition, why) in reasons {
                println!("{name}: does not hold, as listed: {condition} ({why})");
            }
        } else {
            self.do_not += 1;
            println!("{name}: does not hold: {}", wrong.join(" | "));
        }
    }

    fn judge(&self) -> Result<()> {
        if self.do_not + self.crashed > 0 {
            let (do_not, crashed) = (self.do_not, self.crashed);
            return Err(format!("{do_not} cases do not hold, {crashed} others crashed").into());
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} hold, {} do not; {} captures without an expectation, {} of them crashed",
            self.hold, self.do_not, self.unexpected, self.crashed
        )?;
        match self.listed {
            0 => Ok(()),
            listed => write!(f, "; {listed} do not, as listed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_case_a_tag_and_conditions() {
        let text = "# case\ttag\n\na.pcap\tOPEN\tflows=1\t~x y \nb.pcap\tFIXED\n";
        let cases = parse("e", text).unwrap();
        let all = cases.iter().map(|case| {
            let conditions = case.conditions.iter().map(Condition::to_string);
            (case.name.as_str(), conditions.collect::<Vec<_>>())
        });
        let expected = [
            ("a.pcap", vec!["flows=1".to_owned(), "~x y ".to_owned()]),
            ("b.pcap", vec![]),
        ];
        assert!(all.eq(expected));
        for (text, told) in [
            ("a.pcap", "e:1: a line has"),
            ("#\na.pcap\tOPEN\tflows=x", "e:2: \"flows=x\""),
            ("# nothing", "e has no case"),
        ] {
            let why = parse("e", text).map(|_| ()).unwrap_err().to_string();
            assert!(why.starts_with(told), "{why}");
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_fails() {
        let case = |name: &str| Case {
            name: name.into(),
            conditions: vec![],
        };
        let mut totals = Totals::default();
        totals.add(&case("a.pcap"), &[], false);
        assert!(totals.judge().is_ok());
        totals.add(&case("b.pcap"), &["flows=2".into()], false);
        assert_eq!((totals.hold, totals.do_not), (1, 1));
        assert!(totals.judge().is_err());
    }

    #[test]
    fn only_a_listed_condition_of_its_own_capture_is_permitted() {
        let [(name, condition, _)] = LISTED;
        for (name, wrong, is_listed) in [
            (name, vec![condition], true),
            (name, vec![condition, "flows=2"], false),
            (name, vec!["flows=2"], false),
            ("other.pcap", vec![condition], false),
        ] {
            let case = Case {
                name: name.into(),
                conditions: vec![],
            };
            let wrong: Vec<_> = wrong.into_iter().map(str::to_owned).collect();
            let mut totals = Totals::default();
            totals.add(&case, &wrong, false);
            let expected = (usize::from(is_listed), usize::from(!is_listed));
            assert_eq!((totals.listed, totals.do_not), expected, "{name} {wrong:?}");
            assert_eq!(totals.judge().is_ok(), is_listed);
        }
    }
}
