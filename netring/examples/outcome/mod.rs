//! What the examples share: their arguments, the time that they have left, and what ends them.
#![allow(dead_code, reason = "each example uses some of it")]

use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, Instant};

/// The arguments of an example, taken one after the other.
pub(crate) struct Args {
    usage: &'static str,
    given: std::iter::Skip<std::env::ArgsOs>,
}

impl Args {
    /// `usage` is the name of the example and of its arguments.
    pub(crate) fn new(usage: &'static str) -> Self {
        let given = std::env::args_os().skip(1);
        Self { usage, given }
    }

    /// The path of a file; required.
    pub(crate) fn path(&mut self) -> Result<OsString, Failure> {
        let given = self.given.next();
        given
            .filter(|text| text != "--help" && text != "-h")
            .ok_or_else(|| Failure(format!("usage: {}", self.usage)))
    }

    /// The name of an interface; required.
    pub(crate) fn interface(&mut self) -> Result<String, Failure> {
        let given = self.path()?.into_string();
        given.map_err(|text| {
            Failure(format!(
                "INTERFACE: {text:?} is not the name of an interface"
            ))
        })
    }

    /// A number; optional.
    pub(crate) fn number(&mut self, name: &str, default: u32) -> Result<u32, Failure> {
        let Some(text) = self.given.next() else {
            return Ok(default);
        };
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.ok_or_else(|| {
            let most = u32::MAX;
            Failure(format!(
                "{name}: {text:?} is not a whole number from 0 to {most}"
            ))
        })
    }

    /// Any text; optional.
    pub(crate) fn text(&mut self) -> Option<String> {
        let given = self.given.next()?;
        Some(given.to_string_lossy().into_owned())
    }

    /// The last argument, optional: the number of seconds after which the example ends.
    pub(crate) fn seconds(mut self, default: u32) -> Result<Time, Failure> {
        let seconds = self.number("SECONDS", default)?;
        self.end()?;
        let whole = Duration::from_secs(seconds.into());
        Ok(Time { whole, end: None })
    }

    /// Checks that there are no more arguments.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        match self.given.next() {
            None => Ok(()),
            Some(more) => {
                let usage = self.usage;
                Err(Failure(format!(
                    "unexpected argument {more:?}; usage: {usage}"
                )))
            }
        }
    }
}

/// Why an example ends, in a sentence: a bare string is printed in quotes.
pub(crate) struct Failure(pub(crate) String);

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As `main` prints it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The time that an example has, from the first call of [`left`](Self::left).
pub(crate) struct Time {
    whole: Duration,
    end: Option<Instant>,
}

impl Time {
    /// The time that is left; `None` once it is up.
    pub(crate) fn left(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.whole);
        let left = end.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}
