//! Flows that have not ended.

use std::fmt;
use std::str::FromStr;

use netring_sys::ParseError;

use super::{FlowId, FlowStats, History};

/// A snapshot of a flow in the table of a tracker, from
/// [`FlowTracker::flows`](crate::FlowTracker::flows).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LiveFlow<K> {
    /// The flow's key.
    pub key: K,
    /// The flow.
    pub flow: FlowId,
    /// Its state.
    pub state: FlowState,
    /// What happened in it so far, in order.
    pub history: History,
    /// Its statistics so far.
    pub stats: FlowStats,
}

/// The state of a flow, which determines its timeout; the names match
/// [`Timeouts`](crate::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FlowState {
    /// TCP: the handshake is not complete.
    TcpOpening,
    /// TCP: data may be sent by at least one end.
    TcpEstablished,
    /// TCP: both ends sent FIN, or one a RST. The flow lingers to absorb late packets.
    TcpClosing,
    /// UDP.
    Udp,
    /// Any other protocol.
    Other,
}

impl FlowState {
    const ALL: [Self; 5] = [
        Self::TcpOpening,
        Self::TcpEstablished,
        Self::TcpClosing,
        Self::Udp,
        Self::Other,
    ];

    /// A short lower-case name, as for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TcpOpening => "opening",
            Self::TcpEstablished => "established",
            Self::TcpClosing => "closing",
            Self::Udp => "udp",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Parses the name of a state: [`FlowState::as_str`].
impl FromStr for FlowState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text)
            .ok_or_else(|| ParseError::new(text, "flow state", "established"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_displayed() {
        for state in FlowState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert!("open".parse::<FlowState>().is_err());
    }
}
