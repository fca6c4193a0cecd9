//! Notes about chunks in flight, kept until they are completed.
#![deny(unsafe_code)]

use netring_sys::{Clock, SentTimestamps, Timestamp};

use super::request::{Request, stamp_word};
use crate::memory::geometry::{ByteRange, ChunkIndex, Geometry};

/// Notes about the chunks in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    of: Box<[InFlightChunk]>,
    /// Chunks in flight whose frame continues in another chunk.
    inner: u64,
    timestamps: SentTimestamps,
    clock: Clock,
}

/// The note about one chunk.
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
    /// The previous content of the timestamp's word.
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
            timestamps: SentTimestamps::new(most),
            clock,
        }
    }

    /// Chunks in flight whose frame continues in another chunk: each frame has one that does not.
    pub(crate) const fn inner(&self) -> u64 {
        self.inner
    }

    /// The timestamps that arrived, and the fate of the others.
    pub(crate) const fn timestamps(&self) -> &SentTimestamps {
        &self.timestamps
    }

    pub(crate) const fn timestamps_mut(&mut self) -> &mut SentTimestamps {
        &mut self.timestamps
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
            self.timestamps.requested();
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
            None => self.timestamps.absent(),
            Some(nanos) => {
                let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
                let time = Timestamp::from_nanos(nanos, self.clock);
                self.timestamps.arrived(asked.id, time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::TransmitTimestamps;

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
            assert_eq!(in_flight.timestamps().stats().pending, 1);
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
        let stats = in_flight.timestamps().stats();
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
        let came: Vec<_> = TransmitTimestamps::new(Some(in_flight.timestamps_mut())).collect();
        let at = |nanos| Timestamp::from_nanos(nanos, Clock::Tai);
        assert_eq!(came, [(100, at(1000)), (101, at(1001))]);
        assert_eq!(
            (
                in_flight.timestamps().stats().delivered,
                in_flight.timestamps().stats().waiting
            ),
            (2, 0)
        );
        assert_eq!(TransmitTimestamps::new(None).count(), 0);
        // A chunk outside the region is ignored.
        in_flight.completed(2, |_| panic!("there is no such chunk"));
    }
}
