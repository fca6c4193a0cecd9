//! The error of text that cannot be read as a value.

use std::error::Error;
use std::fmt;

/// A text is not what it was parsed as; the message has the text and a valid example.
///
/// ```
/// use netring_sys::Timestamp;
///
/// let error = "yesterday".parse::<Timestamp>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "\"yesterday\" is not a timestamp; expected for example 1700000000.000000001"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: Box<str>,
    what: &'static str,
    example: &'static str,
}

impl ParseError {
    /// `text` is not a `what`, of which `example` is one.
    pub fn new(text: &str, what: &'static str, example: &'static str) -> Self {
        Self {
            text: text.into(),
            what,
            example,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text,
            what,
            example,
        } = self;
        write!(
            f,
            "{text:?} is not a {what}; expected for example {example}"
        )
    }
}

impl Error for ParseError {}
