//! The times at which frames were sent, for sinks that report them.

use std::collections::VecDeque;

use crate::Timestamp;

/// The fate of a sink's requested transmit timestamps. All figures except `waiting` and `pending`
/// only grow.
///
/// At any time `requested = delivered + waiting + absent + lost + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimestampStats {
    /// Frames that were committed with a request for a timestamp.
    pub requested: u64,
    /// Timestamps that were read by the caller.
    pub delivered: u64,
    /// Timestamps that wait to be read.
    pub waiting: u64,
    /// Frames without a timestamp: the driver wrote none, or they were rejected or discarded. With
    /// a packet socket also those for which none arrived while twice as many frames as the ring has
    /// slots were sent after them.
    pub absent: u64,
    /// Timestamps that were discarded because too many waited: see the sink's `transmit_timestamps`
    /// for the limit.
    pub lost: u64,
    /// Frames that are not sent, or whose timestamp can still arrive.
    pub pending: u64,
}

/// Timestamps that arrived and wait to be read, up to a bound, and the fate of the others, for the
/// sinks that fill it. It allocates its memory on creation.
#[derive(Debug)]
pub struct SentTimestamps {
    /// Oldest first, with the caller's numbers.
    came: VecDeque<(u64, Timestamp)>,
    most: usize,
    stats: TimestampStats,
}

impl SentTimestamps {
    /// At most `most` wait to be read.
    pub fn new(most: usize) -> Self {
        Self {
            came: VecDeque::with_capacity(most),
            most,
            stats: TimestampStats::default(),
        }
    }

    /// A timestamp was requested.
    pub const fn requested(&mut self) {
        self.stats.requested += 1;
    }

    /// A requested timestamp will not arrive.
    pub const fn absent(&mut self) {
        self.stats.absent += 1;
    }

    /// A requested timestamp arrived. It is discarded if the queue is full.
    pub fn arrived(&mut self, id: u64, time: Timestamp) {
        match self.came.len() < self.most {
            true => self.came.push_back((id, time)),
            false => self.stats.lost += 1,
        }
    }

    /// The figures so far.
    pub fn stats(&self) -> TimestampStats {
        let (stats, waiting) = (self.stats, self.came.len() as u64);
        let known = stats.delivered + waiting + stats.absent + stats.lost;
        TimestampStats {
            waiting,
            pending: stats.requested.saturating_sub(known),
            ..stats
        }
    }
}

/// Timestamps of sent frames in the order in which they arrived, each with the number that it was
/// requested with.
///
/// Timestamps that are not read are returned the next time.
#[derive(Debug)]
#[must_use = "timestamps that are not read wait"]
pub struct TransmitTimestamps<'a>(Option<&'a mut SentTimestamps>);

impl<'a> TransmitTimestamps<'a> {
    /// Those of a sink; `None` for one that takes none.
    pub const fn new(of: Option<&'a mut SentTimestamps>) -> Self {
        Self(of)
    }
}

impl Iterator for TransmitTimestamps<'_> {
    type Item = (u64, Timestamp);

    fn next(&mut self) -> Option<Self::Item> {
        let of = self.0.as_mut()?;
        let next = of.came.pop_front()?;
        of.stats.delivered += 1;
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.0.as_ref().map_or(0, |of| of.came.len());
        (waiting, Some(waiting))
    }
}

impl ExactSizeIterator for TransmitTimestamps<'_> {}
