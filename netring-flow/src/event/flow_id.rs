//! Flow identifiers.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use netring_sys::ParseError;

/// Identifies a flow within one tracker: successive flows with the same key have different
/// identifiers, counted up from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FlowId(NonZeroU64);

impl FlowId {
    /// Counted from 1; 0 is never used.
    pub(crate) const fn new(number: u64) -> Self {
        match NonZeroU64::new(number) {
            Some(number) => Self(number),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses the number, for example from a log.
impl FromStr for FlowId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse()
            .map(Self)
            .map_err(|_| ParseError::new(text, "flow number", "1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_displayed() {
        for number in [1, 7, u64::MAX] {
            let flow = FlowId::new(number);
            assert_eq!(flow.to_string().parse(), Ok(flow));
        }
        assert!("0".parse::<FlowId>().is_err());
    }
}
