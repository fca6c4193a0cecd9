//! Conditions that are considered wrong, each with the reason.

use std::collections::BTreeMap;

use crate::Result;

/// Reasons by case and condition.
#[derive(Debug, Default)]
pub(super) struct Disputed(BTreeMap<(String, String), String>);

impl Disputed {
    /// Those in `xtask/cases/disputed.tsv`.
    pub(super) fn ours() -> Result<Self> {
        let text = include_str!("../../../../cases/disputed.tsv");
        Self::parse("xtask/cases/disputed.tsv", text)
    }

    pub(super) fn parse(shown: &str, text: &str) -> Result<Self> {
        let mut reasons = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<_> = line.split('\t').collect();
            let [case, condition, reason] = fields[..] else {
                let why = "a line has a case, a condition and the reason why it is wrong";
                return Err(format!("{shown}:{number}: {why}").into());
            };
            if reason.trim().is_empty() {
                return Err(format!("{shown}:{number}: there is no reason").into());
            }
            reasons.insert((case.into(), condition.into()), reason.into());
        }
        Ok(Self(reasons))
    }

    /// Why this condition is considered wrong, if it is.
    pub(super) fn reason(&self, case: &str, condition: &str) -> Option<&str> {
        let key = (case.to_owned(), condition.to_owned());
        self.0.get(&key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_reason_is_refused() {
        for (text, told) in [
            ("a.pcap\tflows=1", "d:1: a line has"),
            ("# ours\na.pcap\tflows=1\t ", "d:2: there is no reason"),
        ] {
            let why = Disputed::parse("d", text).unwrap_err().to_string();
            assert!(why.starts_with(told), "{why}");
        }
        Disputed::ours().unwrap();
    }
}
