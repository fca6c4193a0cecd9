//! The error of a subscriber: it lagged, or the broadcast ended.

use std::fmt;
use std::sync::Arc;

use netring_sys::Error;

/// Why a subscriber received no event.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastRecvError {
    /// This subscriber was too slow for the queue and lost this many events. It continues after
    /// the gap.
    #[error("this subscriber was too slow, and lost {0} events")]
    Lagged(u64),

    /// The packet source failed. Every subscriber receives this after the last event.
    #[error("the packet source failed")]
    Source(#[source] Arc<Error>),

    /// The task that reads the source panicked, or its runtime was shut down.
    #[error("the capture task was aborted: it panicked, or its runtime was shut down")]
    Aborted,
}

impl BroadcastRecvError {
    /// Whether no further event will come. False for [`Lagged`](Self::Lagged).
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Lagged(_))
    }
}

/// The text followed by its causes.
impl fmt::Debug for BroadcastRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "{self}: {error:?}"),
            Self::Lagged(_) | Self::Aborted => write!(f, "{self}"),
        }
    }
}
