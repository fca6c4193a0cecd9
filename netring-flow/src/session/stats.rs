//! Statistics of sessions.

use super::SessionEnd;

/// The outcome of the sessions so far, from [`Sessions::stats`](super::Sessions::stats).
///
/// A session starts with the first bytes, gap or message of a flow that has a parser. `started` is
/// the sum of `ended` and the sessions still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Sessions that started.
    pub started: u64,
    /// Messages that parsers found.
    pub messages: u64,
    /// Sessions that ended, by the reason.
    pub ended: EndedSessions,
    /// Bytes that parsers keep now, as counted against the bounds
    /// ([`Parser::buffered`](super::Parser::buffered)).
    pub buffered: usize,
}

/// Sessions that ended, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSessions {
    /// [`SessionEnd::Stream`].
    pub stream: u64,
    /// [`SessionEnd::Done`].
    pub done: u64,
    /// [`SessionEnd::Failed`].
    pub failed: u64,
    /// [`SessionEnd::Panicked`].
    pub panicked: u64,
    /// [`SessionEnd::MemoryLimit`].
    pub memory_limit: u64,
    /// [`SessionEnd::Gap`].
    pub gap: u64,
}

impl EndedSessions {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.stream + self.done + self.failed + self.panicked + self.memory_limit + self.gap
    }

    pub(super) const fn count(&mut self, reason: &SessionEnd) {
        match reason {
            SessionEnd::Stream(_) => self.stream += 1,
            SessionEnd::Done => self.done += 1,
            SessionEnd::Failed(_) => self.failed += 1,
            SessionEnd::Panicked(_) => self.panicked += 1,
            SessionEnd::MemoryLimit => self.memory_limit += 1,
            SessionEnd::Gap { .. } => self.gap += 1,
        }
    }
}
