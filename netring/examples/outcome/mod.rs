//! What the examples have in common: their arguments, the time that is left to them, and how they end. What went wrong is one sentence, with
//! the causes that are not in it yet.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]
#![allow(dead_code, reason = "each example uses some of it")]

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(crate) fn of(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !told.contains(&why) {
            told = format!("{told}: {why}");
        }
        cause = error.source();
    }
    eprintln!("{told}");
    ExitCode::FAILURE
}

/// The arguments of an example, taken one after the other.
pub(crate) struct Args {
    usage: &'static str,
    given: std::iter::Skip<std::env::ArgsOs>,
}

impl Args {
    /// `usage` is the example's name and the names of its arguments.
    pub(crate) fn new(usage: &'static str) -> Self {
        let given = std::env::args_os().skip(1);
        Self { usage, given }
    }

    /// The path of a file, which has to be given.
    pub(crate) fn path(&mut self) -> Result<OsString, String> {
        let given = self.given.next();
        given
            .filter(|text| text != "--help" && text != "-h")
            .ok_or_else(|| format!("usage: {}", self.usage))
    }

    /// The name of an interface, which has to be given.
    pub(crate) fn interface(&mut self) -> Result<String, String> {
        let given = self.path()?.into_string();
        given.map_err(|text| format!("INTERFACE: {text:?} is not a name of one"))
    }

    /// A number, which need not be given.
    pub(crate) fn number(&mut self, name: &str, default: u32) -> Result<u32, String> {
        let Some(text) = self.given.next() else {
            return Ok(default);
        };
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.ok_or_else(|| {
            format!(
                "{name}: {text:?} is not a whole number from 0 to {}",
                u32::MAX
            )
        })
    }

    /// The last argument, which need not be given: after how many seconds the example ends, whatever came until then.
    pub(crate) fn seconds(mut self, default: u32) -> Result<Time, String> {
        let seconds = self.number("SECONDS", default)?;
        self.end()?;
        let whole = Duration::from_secs(seconds.into());
        Ok(Time { whole, end: None })
    }

    /// There are no more arguments.
    pub(crate) fn end(mut self) -> Result<(), String> {
        match self.given.next() {
            None => Ok(()),
            Some(more) => Err(format!("{more:?} is one too many; usage: {}", self.usage)),
        }
    }
}

/// The time of an example, from when it is first asked for.
pub(crate) struct Time {
    whole: Duration,
    end: Option<Instant>,
}

impl Time {
    /// What is left of it; `None` when it is over.
    pub(crate) fn left(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.whole);
        let left = end.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}
