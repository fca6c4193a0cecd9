//! What the subscribers have learnt, for whoever draws it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netring::flow::extract::FiveTupleKey;
use netring::flow::{FlowEvent, FlowId, FlowStats};

/// Flows that are over stay among the largest for so long.
const KEPT: Duration = Duration::from_secs(3);
/// Lines of the log that are kept.
const LINES: usize = 4;

/// What a subscriber got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Events that it read.
    pub(crate) read: u64,
    /// Events that it lost, by its own report.
    pub(crate) lost: u64,
    /// Of those it read, flows that began.
    pub(crate) started: u64,
    /// Of those it read, flows that ended.
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

/// A flow among the largest.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: FiveTupleKey,
    pub(crate) stats: FlowStats,
    /// When it was seen to end.
    pub(crate) over: Option<Instant>,
}

/// What is shown besides the figures of the broadcast.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) log: Seen,
    pub(crate) live: Seen,
    pub(crate) slow: Seen,
    /// The last flows that are over, as lines of the log.
    pub(crate) lines: VecDeque<String>,
    rows: HashMap<FlowId, Row>,
}

impl Board {
    /// Keeps a line of the log.
    pub(crate) fn line(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Takes the figures of a flow.
    pub(crate) fn update(&mut self, event: &FlowEvent<FiveTupleKey>) {
        let (FlowEvent::Tick {
            flow, stats, key, ..
        }
        | FlowEvent::Ended {
            flow, stats, key, ..
        }) = event
        else {
            return;
        };
        let over = matches!(event, FlowEvent::Ended { .. }).then(Instant::now);
        let row = Row {
            key: *key,
            stats: **stats,
            over,
        };
        self.rows.insert(*flow, row);
    }

    /// The largest flows of the last seconds, the largest first.
    pub(crate) fn largest(&mut self, count: usize) -> Vec<Row> {
        self.rows
            .retain(|_, row| row.over.is_none_or(|over| over.elapsed() < KEPT));
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.stats.bytes()));
        rows.truncate(count);
        rows
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
