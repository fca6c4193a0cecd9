//! The error of a choice among backends none of which could be opened.

use std::fmt;

use super::Attempt;
use crate::Error;

/// No backend could be opened. Its text lists each with the reason.
///
/// [`auto::open`](super::open) and [`Builder::build`](super::Builder::build) return it inside an
/// [`Error::Source`]:
///
/// ```no_run
/// use netring::auto::{self, NoBackend};
///
/// if let Err(error) = auto::open("eth0") {
///     if let Some(none) = error.downcast_ref::<NoBackend>() {
///         println!("{} backends were tried", none.attempts().len());
///     }
/// }
/// ```
pub struct NoBackend {
    pub(super) attempts: Vec<Attempt>,
}

impl NoBackend {
    /// The backends that were tried, in that order; each has a reason
    /// ([`Attempt::why_not`]).
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Converts this to the error of a source. The reason itself says more than a list of one.
    pub(super) fn into_error(mut self, interface: String) -> Error {
        if self.attempts.len() > 1 {
            return Error::Source {
                what: interface,
                source: Box::new(self),
            };
        }
        let only = self.attempts.pop().and_then(|attempt| attempt.why_not);
        only.unwrap_or_else(|| Error::Config {
            setting: "backends",
            why: "no backend given; pass at least one".into(),
        })
    }
}

impl std::error::Error for NoBackend {}

/// Writes a line for each backend, with the reason and its causes.
impl fmt::Display for NoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no backend is available:")?;
        self.attempts
            .iter()
            .try_for_each(|attempt| write!(f, "\n  {attempt}"))
    }
}

/// Writes the text.
impl fmt::Debug for NoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
