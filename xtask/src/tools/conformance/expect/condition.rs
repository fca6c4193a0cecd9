//! A condition of an `expect.tsv`.

use std::fmt;

use fancy_regex::Regex;

use crate::Result;

/// A condition on the printed events of a capture.
#[derive(Debug)]
pub(super) struct Condition {
    text: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// `flows=N`: exactly N flows start.
    Flows(usize),
    /// `!flows=N`: the number of flows that start is not N.
    NotFlows(usize),
    /// `open<=N`: at most N flows are open at the same time.
    OpenAtMost(usize),
    /// `ticks>=N`: flows report at least N times.
    TicksAtLeast(usize),
    /// `~REGEX`: it matches somewhere.
    Matches(Regex),
    /// `!REGEX`: it matches nowhere.
    MatchesNowhere(Regex),
}

/// The printed events of a capture, and counts of them.
pub(super) struct Printed<'a> {
    text: &'a str,
    flows: usize,
    most_open: usize,
    ticks: usize,
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let number = |digits: &str| {
            let number = digits.parse();
            number.map_err(|_| format!("{text:?} needs a number"))
        };
        let regex = |pattern| Regex::new(pattern).map_err(|why| format!("{text:?}: {why}"));
        let test = if let Some(rest) = text.strip_prefix("flows=") {
            Test::Flows(number(rest)?)
        } else if let Some(rest) = text.strip_prefix("open<=") {
            Test::OpenAtMost(number(rest)?)
        } else if let Some(rest) = text.strip_prefix("ticks>=") {
            Test::TicksAtLeast(number(rest)?)
        } else if let Some(rest) = text.strip_prefix("!flows=") {
            Test::NotFlows(number(rest.trim_end_matches('$'))?)
        } else if let Some(pattern) = text.strip_prefix('~') {
            Test::Matches(regex(pattern)?)
        } else if let Some(pattern) = text.strip_prefix('!') {
            Test::MatchesNowhere(regex(pattern)?)
        } else {
            return Err(format!(
                "{text:?} is not a condition: flows=N, !flows=N, open<=N, ticks>=N, ~REGEX and !REGEX are"
            )
            .into());
        };
        Ok(Self {
            text: text.to_owned(),
            test,
        })
    }

    pub(super) fn is_met(&self, printed: &Printed<'_>) -> Result<bool> {
        Ok(match &self.test {
            Test::Flows(flows) => printed.flows == *flows,
            Test::NotFlows(flows) => printed.flows != *flows,
            Test::OpenAtMost(flows) => printed.most_open <= *flows,
            Test::TicksAtLeast(ticks) => printed.ticks >= *ticks,
            Test::Matches(regex) => printed.matches(regex)?,
            Test::MatchesNowhere(regex) => !printed.matches(regex)?,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> Printed<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let (mut flows, mut open, mut most_open) = (0, 0_usize, 0);
        for line in text.lines() {
            if line.contains(" STARTED ") {
                flows += 1;
                open += 1;
                most_open = most_open.max(open);
            }
            if line.contains(" ENDED ") {
                open = open.saturating_sub(1);
            }
        }
        Self {
            text,
            flows,
            most_open,
            ticks: text.matches(" TICK").count(),
        }
    }

    /// Matches like Python's `re.search`, whose `$` also matches before a line break at the end of
    /// the text.
    fn matches(&self, regex: &Regex) -> Result<bool> {
        let without_break = self.text.strip_suffix('\n').unwrap_or(self.text);
        Ok(regex.is_match(self.text)? || regex.is_match(without_break)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
#1 1.5 STARTED tcp 192.0.2.1:4000 192.0.2.2:80 init=Forward
#2 1.5 STARTED udp 192.0.2.1:53 192.0.2.2:53 init=Reverse
#1 9.0 TICK
#1 9.0 ENDED tcp 192.0.2.1:4000 192.0.2.2:80 finished [ShAF] est=true
#3 9.5 STARTED udp 192.0.2.1:54 192.0.2.2:53 init=Reverse
  Untracked { other: 2 }
";

    fn is_met(condition: &str) -> bool {
        let condition = Condition::parse(condition).unwrap();
        condition.is_met(&Printed::new(TEXT)).unwrap()
    }

    #[test]
    fn each_kind_of_condition_holds_or_not() {
        for (holds, does_not) in [
            ("flows=3", "flows=2"),
            ("!flows=2", "!flows=3"),
            ("!flows=4$", "!flows=3$"),
            ("open<=2", "open<=1"),
            ("ticks>=1", "ticks>=2"),
            ("ticks>=0", "flows=0"),
            ("~ finished ", "~ reset "),
            ("! reset ", "! finished "),
            (r"~\[ShAF\]", r"!\[ShAF\]"),
            // A dot does not match a line break, and the anchors do not match at line breaks.
            ("~TICK\n#1", "~TICK.#1"),
            ("~^#1 1.5 STARTED", "~^#2"),
            ("~other: 2 }$", "~TICK$"),
            // A brace that repeats nothing is literal.
            ("~Untracked { other", "!Untracked { other"),
            ("~9{0,1}.0 TICK", "~9{2} TICK"),
            (
                "~STARTED udp (?!.*init=Forward)",
                "~STARTED tcp (?!.*init=Forward)",
            ),
        ] {
            assert!(is_met(holds), "{holds}");
            assert!(!is_met(does_not), "{does_not}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "", "flows", "flows=", "flows=-1", "open<=x", "ticks>=", "!flows=x", "~(", "x~y",
        ] {
            let why = Condition::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(why.contains(&format!("{text:?}")), "{why}");
        }
    }
}
