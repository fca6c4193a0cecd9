//! The error if no backend could be opened.

use std::fmt;

use super::Attempt;
use crate::Error;

/// No backend could be opened. Its text lists each reason with the backends that it holds for.
///
/// [`auto::open`](super::open) and [`Builder::build`](super::Builder::build) return it inside an
/// [`Error::Source`]:
///
/// ```no_run
/// use netring::auto::{self, NoBackend};
///
/// if let Err(error) = auto::open("eth0") {
///     if let Some(none) = error.downcast_ref::<NoBackend>() {
///         for attempt in none.attempts() {
///             println!("{attempt}");
///         }
///     }
/// }
/// ```
pub struct NoBackend {
    pub(super) attempts: Vec<Attempt>,
}

impl NoBackend {
    /// The outcomes, in the order in which backends were tried; each has a reason
    /// ([`Attempt::why_not`]), and lists the backends that it holds for.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Converts this to the error of a source. The reason itself is clearer than a list of one.
    pub(super) fn into_error(mut self, interface: String) -> Error {
        let tried = self.attempts.iter().flat_map(Attempt::backends).count();
        if tried > 1 {
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

/// Writes a line for each reason, with its backends and causes.
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
