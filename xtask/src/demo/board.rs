//! The progress of the subscribers, for the screen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netring::flow::FlowEvent;

/// Lines of the log that are kept.
const LINES: usize = 4;

/// The figures of a subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Events that it read.
    pub(crate) read: u64,
    /// Events that it lost, by its own report.
    pub(crate) lost: u64,
    /// Of the events it read, how many started a flow.
    pub(crate) started: u64,
    /// Of the events it read, how many ended a flow.
    pub(crate) ended: u64,
}

impl Seen {
    pub(crate) fn take<K>(&mut self, event: &FlowEvent<K>) {
        self.read += 1;
        match event {
            FlowEvent::Started { .. } => self.started += 1,
            FlowEvent::Ended { .. } => self.ended += 1,
            _ => {}
        }
    }
}

/// Values shown in addition to the figures of the broadcast.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) log: Seen,
    pub(crate) live: Seen,
    pub(crate) slow: Seen,
    /// The last lines of the log.
    pub(crate) lines: VecDeque<String>,
}

impl Board {
    /// Keeps a line of the log.
    pub(crate) fn line(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The board, for subscribers and the screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Board>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
