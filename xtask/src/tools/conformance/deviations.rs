//! Captures whose flows differ from the oracle's for a reason, and the differences.

use crate::Result;

/// A line for each difference: capture, difference, reason. Only the first line of a capture has
/// the reason.
const LISTED: &str = include_str!("deviations.tsv");

/// The differences that are listed for a capture.
#[derive(Debug, Default)]
pub(super) struct Deviation {
    lines: Vec<&'static str>,
    pub(super) reason: &'static str,
}

impl Deviation {
    /// The differences listed for this capture; none for most.
    pub(super) fn of(capture: &str) -> Result<Self> {
        Self::read(LISTED, capture)
    }

    fn read(listed: &'static str, capture: &str) -> Result<Self> {
        let mut found = Self::default();
        for (number, line) in (1..).zip(listed.lines()) {
            let [name, difference, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("deviations.tsv:{number}: a line has 3 fields").into());
            };
            if name == capture {
                found.lines.push(difference);
                found.reason = if reason.is_empty() {
                    found.reason
                } else {
                    reason
                };
                if found.reason.is_empty() {
                    return Err(format!("deviations.tsv:{number}: there is no reason").into());
                }
            }
        }
        Ok(found)
    }

    /// The number of listed differences.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns the differences that are not listed, and those that are listed but not found.
    pub(super) fn judge(&self, differences: Vec<String>) -> Vec<String> {
        let (as_listed, mut wrong): (Vec<_>, Vec<_>) = differences
            .into_iter()
            .partition(|line| self.lines.contains(&line.as_str()));
        for line in &self.lines {
            if !as_listed.iter().any(|seen| seen == line) {
                wrong.push(format!(
                    "deviations.tsv lists {line:?}, which was not found"
                ));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "a.pcap\tone\twhy\na.pcap\ttwo\t\nb.pcap\tone\tbecause\n";

    #[test]
    fn only_what_is_listed_may_differ_and_has_to() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let listed = Deviation::read(SOME, "a.pcap").unwrap();
        assert_eq!((listed.len(), listed.reason), (2, "why"));
        assert!(listed.judge(lines(&["two", "one"])).is_empty());
        assert_eq!(listed.judge(lines(&["one", "three", "two"])), ["three"]);
        let missing = listed.judge(lines(&["one"]));
        assert_eq!(
            missing,
            ["deviations.tsv lists \"two\", which was not found"]
        );
        let none = Deviation::read(SOME, "c.pcap").unwrap();
        assert_eq!(none.judge(lines(&["one"])), ["one"]);
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        for listed in ["a.pcap\tone\t\n", "a.pcap\tone\n"] {
            let why = Deviation::read(listed, "a.pcap").unwrap_err().to_string();
            assert!(why.starts_with("deviations.tsv:1: "), "{why}");
        }
        for line in LISTED.lines() {
            let name = line.split('\t').next().unwrap_or_default();
            assert!(Deviation::of(name).is_ok(), "{line}");
        }
    }
}
