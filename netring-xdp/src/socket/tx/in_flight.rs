//! What is noted about chunks in flight, until they are completed.
#![deny(unsafe_code)]

use std::collections::VecDeque;

use netring_sys::{Clock, Timestamp};

use super::request::{Request, TimestampStats, stamp_word};
use crate::memory::geometry::{ByteRange, ChunkIndex, Geometry};

/// What is noted about the chunks in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    of: Box<[InFlightChunk]>,
    /// Chunks in flight whose frame continues in another chunk.
    inner: u64,
    /// Timestamps that arrived, oldest first, with the caller's numbers.
    came: VecDeque<(u64, Timestamp)>,
    most: usize,
    clock: Clock,
    stats: TimestampStats,
}

/// What is noted about one chunk.
#[derive(Clone, Debug, Default)]
struct InFlightChunk {
    inner: bool,
    stamp: Option<RequestedStamp>,
}

/// A requested timestamp.
#[derive(Clone, Copy, Debug)]
struct RequestedStamp {
    /// The caller's number.
    id: u64,
    /// Where the words of the request are.
    words: ByteRange,
    /// What the word of the timestamp held before.
    before: u64,
}

impl InFlight {
    pub(super) fn new(geometry: &Geometry, metadata: bool, clock: Clock) -> Self {
        let most = if metadata {
            geometry.count() as usize
        } else {
            0
        };
        Self {
            of: vec![InFlightChunk::default(); geometry.count() as usize].into(),
            inner: 0,
            came: VecDeque::with_capacity(most),
            most,
            clock,
            stats: TimestampStats::default(),
        }
    }

    /// Chunks in flight whose frame continues in another chunk: each frame has one that does not.
    pub(crate) const fn inner(&self) -> u64 {
        self.inner
    }

    pub(crate) fn stats(&self) -> TimestampStats {
        let (stats, waiting) = (self.stats, self.came.len() as u64);
        let known = stats.delivered + waiting + stats.absent + stats.lost;
        TimestampStats {
            waiting,
            pending: stats.requested.saturating_sub(known),
            ..stats
        }
    }

    /// The next timestamp that arrived.
    pub(crate) fn next(&mut self) -> Option<(u64, Timestamp)> {
        let next = self.came.pop_front()?;
        self.stats.delivered += 1;
        Some(next)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.came.len()
    }

    /// Notes that a chunk is in flight: whether its frame continues in another chunk, and its
    /// request with the place of its words.
    pub(crate) fn sent(
        &mut self,
        chunk: ChunkIndex,
        inner: bool,
        asked: Option<(ByteRange, &Request)>,
    ) {
        let Some(note) = self.of.get_mut(chunk as usize) else {
            return;
        };
        note.inner = inner;
        self.inner += u64::from(inner);
        if let Some((words, request)) = asked
            && let Some(id) = request.timestamp
        {
            let before = stamp_word(&request.words()).unwrap_or_default();
            note.stamp = Some(RequestedStamp { id, words, before });
            self.stats.requested += 1;
        }
    }

    /// Notes that a chunk is completed; `read` reads bytes of it. A second call does nothing.
    pub(crate) fn completed<'a>(
        &mut self,
        chunk: ChunkIndex,
        read: impl FnOnce(&ByteRange) -> &'a [u8],
    ) {
        let Some(note) = self.of.get_mut(chunk as usize) else {
            return;
        };
        let note = std::mem::take(note);
        self.inner -= u64::from(note.inner);
        let Some(asked) = note.stamp else {
            return;
        };
        match stamp_word(read(&asked.words)).filter(|word| *word != asked.before) {
            None => self.stats.absent += 1,
            Some(_) if self.came.len() >= self.most => self.stats.lost += 1,
            Some(nanos) => {
                let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
                let time = Timestamp::from_nanos(nanos, self.clock);
                self.came.push_back((asked.id, time));
            }
        }
    }
}

/// Timestamps of sent frames in the order in which the frames were completed, each with the number
/// that it was requested with.
///
/// Timestamps that are not read are returned the next time.
#[derive(Debug)]
#[must_use = "timestamps that are not read wait"]
pub struct TransmitTimestamps<'a>(pub(crate) Option<&'a mut InFlight>);

impl Iterator for TransmitTimestamps<'_> {
    type Item = (u64, Timestamp);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.0.as_ref().map_or(0, |in_flight| in_flight.waiting());
        (waiting, Some(waiting))
    }
}

impl ExactSizeIterator for TransmitTimestamps<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(chunks: u32) -> InFlight {
        let geometry = Geometry::new(2048, chunks, 0, false, 4096).unwrap();
        InFlight::new(&geometry, true, Clock::Tai)
    }

    fn ask(in_flight: &mut InFlight, chunk: ChunkIndex, request: &Request) {
        let words = ByteRange {
            chunk,
            start: u64::from(chunk) * 2048,
            len: 24,
        };
        in_flight.sent(chunk, false, Some((words, request)));
    }

    fn stamped(nanos: u64) -> [u8; 24] {
        let mut words = [0; 24];
        words[8..16].copy_from_slice(&nanos.to_ne_bytes());
        words
    }

    /// Each is delivered, waits, is absent, was discarded, or is pending; and none is counted
    /// twice.
    #[test]
    fn every_timestamp_is_delivered_or_counted() {
        let mut in_flight = in_flight(2);
        let mut request = Request::NONE;
        request.set_checksum(34, 6, 60).unwrap();
        for n in 0..7 {
            request.timestamp = Some(100 + n);
            ask(&mut in_flight, (n % 2) as ChunkIndex, &request);
            assert_eq!(in_flight.stats().pending, 1);
            // The driver leaves the words of the fourth as they are; a time out of range does not
            // panic.
            let words = match n {
                3 => request.words(),
                5 => stamped(u64::MAX),
                _ => stamped(1000 + n),
            };
            in_flight.completed((n % 2) as ChunkIndex, |_| &words);
            in_flight.completed((n % 2) as ChunkIndex, |_| {
                panic!("nothing is noted about it")
            });
        }
        let stats = in_flight.stats();
        assert_eq!(
            (
                stats.requested,
                stats.waiting,
                stats.absent,
                stats.lost,
                stats.pending
            ),
            (7, 2, 1, 4, 0)
        );
        let came: Vec<_> = TransmitTimestamps(Some(&mut in_flight)).collect();
        let at = |nanos| Timestamp::from_nanos(nanos, Clock::Tai);
        assert_eq!(came, [(100, at(1000)), (101, at(1001))]);
        assert_eq!(
            (in_flight.stats().delivered, in_flight.stats().waiting),
            (2, 0)
        );
        assert_eq!(TransmitTimestamps(None).count(), 0);
        // A chunk outside the region is ignored.
        in_flight.completed(2, |_| panic!("there is no such chunk"));
    }
}
