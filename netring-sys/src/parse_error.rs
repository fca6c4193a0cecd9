//! The error of text that does not read as a value.

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}; expected for example {example}")]
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
