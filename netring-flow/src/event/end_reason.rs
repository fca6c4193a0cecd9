//! Why flows end.

use std::fmt;
use std::str::FromStr;

use netring_sys::ParseError;

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EndReason {
    /// TCP: both ends sent FIN.
    Finished,
    /// TCP: one end sent a RST that the other would accept.
    Reset,
    /// No packet arrived for as long as the flow's timeout.
    IdleTimeout,
    /// TCP: a new connection between the same ports replaced it, and its own close was not seen.
    PortReuse,
    /// Evicted: the table was nearly full, and the flow had been idle for longer than the shortened
    /// timeouts allow.
    Emergency,
    /// Evicted: the table was full, and this was the least valuable flow.
    TableFull,
    /// The source ended while the flow was active.
    SourceEnded,
}

impl EndReason {
    const ALL: [Self; 7] = [
        Self::Finished,
        Self::Reset,
        Self::IdleTimeout,
        Self::PortReuse,
        Self::Emergency,
        Self::TableFull,
        Self::SourceEnded,
    ];

    /// A short lower-case name, as for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle",
            Self::PortReuse => "port-reuse",
            Self::Emergency => "emergency",
            Self::TableFull => "table-full",
            Self::SourceEnded => "source-ended",
        }
    }

    /// Whether the flow was dropped to make room.
    pub const fn is_eviction(self) -> bool {
        matches!(self, Self::Emergency | Self::TableFull)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the name of a reason: [`EndReason::as_str`].
impl FromStr for EndReason {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut all = Self::ALL.into_iter();
        all.find(|reason| reason.as_str() == text)
            .ok_or_else(|| ParseError::new(text, "end reason", "finished"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_as_they_are_displayed() {
        for reason in EndReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert!("done".parse::<EndReason>().is_err());
    }
}
