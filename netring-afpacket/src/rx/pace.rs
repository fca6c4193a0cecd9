//! How often a reader is woken while blocks come fast.
//!
//! A ring of many small blocks absorbs a long pause, because each block handed over takes one of
//! its places. But each block wakes a waiting reader, and a wake-up costs more than all the packets
//! of a small block. So once several blocks arrive within the retire timeout, a clock with that
//! period wakes the reader, which then finds several at a time. A packet waits no longer than it
//! could in a block that is not full.

use std::time::{Duration, Instant};

use super::geometry::RingGeometry;

/// With at most this many wake-ups in a period, a clock saves less than its system calls cost.
const WORTH_IT: u32 = 4;
/// The most bytes that arrive in a microsecond: twice what a processor writes into a ring. It
/// bounds the period, so that an empty ring cannot run full within one.
const BYTES_PER_MICROSECOND: u64 = 4000;
/// A clock with a shorter period saves little.
const SHORTEST: Duration = Duration::from_millis(1);

/// The rate of blocks, as observed so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Zero if no clock is ever used for this ring.
    period: Duration,
    /// Blocks of the ring.
    room: u64,
    paced: bool,
    /// Blocks given back since the reader last found nothing.
    blocks: u64,
    /// The start of the current observation; `seen` and `wakes` count from there.
    since: Option<Instant>,
    seen: u64,
    wakes: u32,
}

/// What wakes the reader from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A clock with this period.
    Clock(Duration),
    /// Each block.
    Blocks,
}

impl Pace {
    pub(crate) fn new(size: RingGeometry, retire_timeout: Duration) -> Self {
        let longest = Duration::from_micros(size.bytes() as u64 / BYTES_PER_MICROSECOND);
        let period = retire_timeout.min(longest);
        Self {
            period: if period < SHORTEST {
                Duration::ZERO
            } else {
                period
            },
            room: size.block_count as u64,
            paced: false,
            blocks: 0,
            since: None,
            seen: 0,
            wakes: 0,
        }
    }

    /// A block was given back.
    #[inline]
    pub(crate) const fn block(&mut self) {
        self.blocks += 1;
    }

    /// The reader found nothing more; `ticked` if the clock had woken it. Returns the change to
    /// make.
    pub(crate) fn idle(&mut self, ticked: bool, now: impl FnOnce() -> Instant) -> Option<Change> {
        if self.paced {
            return ticked.then(|| self.tick()).flatten();
        }
        if self.blocks == 0 || self.period.is_zero() {
            return None;
        }
        let now = now();
        let since = *self.since.get_or_insert(now);
        self.wakes += 1;
        self.seen += std::mem::take(&mut self.blocks);
        let time = now.saturating_duration_since(since);
        if time < self.period {
            return None;
        }
        // Much longer than the period means that most of it was silence.
        let fast = self.wakes > WORTH_IT && time < 2 * self.period && self.seen <= self.room / 4;
        (self.since, self.seen, self.wakes) = (None, 0, 0);
        self.paced = fast;
        fast.then_some(Change::Clock(self.period))
    }

    fn tick(&mut self) -> Option<Change> {
        let blocks = std::mem::take(&mut self.blocks);
        // If there were too few, each could as well have woken the reader; if too many, the ring
        // might not hold those of the next period.
        self.paced = (2..=self.room / 2).contains(&blocks);
        (!self.paced).then_some(Change::Blocks)
    }

    /// No clock is available: blocks wake the reader for good.
    pub(crate) const fn give_up(&mut self) {
        self.period = Duration::ZERO;
        self.paced = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn size(block_size: usize, block_count: usize) -> RingGeometry {
        RingGeometry {
            block_size,
            block_count,
            requested_blocks: block_count,
            slot_size: None,
        }
    }

    /// A ring of 64 MiB, handed over after 10 ms.
    fn pace() -> Pace {
        Pace::new(size(256 << 10, 256), 10 * MS)
    }

    /// A reader that finds this many blocks each time, this far apart. Returns the first change,
    /// and after how many times it came.
    fn read(pace: &mut Pace, times: u32, blocks: u64, apart: Duration) -> Option<(u32, Change)> {
        let start = Instant::now();
        (0..times).find_map(|n| {
            (0..blocks).for_each(|_| pace.block());
            let change = pace.idle(false, || start + apart * n)?;
            Some((n, change))
        })
    }

    #[test]
    fn blocks_that_come_fast_come_by_the_clock() {
        assert_eq!(
            read(&mut pace(), 100, 1, MS),
            Some((10, Change::Clock(10 * MS)))
        );
        // Three in a period are few, and so are those after a silence.
        assert_eq!(read(&mut pace(), 100, 1, 4 * MS), None);
        assert_eq!(read(&mut pace(), 100, 3, 20 * MS), None);
        // More than the ring is sure to hold for one period.
        assert_eq!(read(&mut pace(), 100, 6, MS), None);
    }

    #[test]
    fn looks_that_find_nothing_do_not_count() {
        assert_eq!(read(&mut pace(), 100, 0, MS), None);
    }

    #[test]
    fn the_clock_goes_on_while_blocks_come_and_ends_when_they_do_not() {
        for (blocks, ends) in [(2, false), (128, false), (129, true), (1, true), (0, true)] {
            let mut pace = pace();
            assert!(read(&mut pace, 100, 1, MS).is_some());
            (0..blocks).for_each(|_| pace.block());
            let never = || panic!("the time is not needed while the clock runs");
            // A look in between changes nothing.
            assert_eq!(pace.idle(false, never), None);
            let change = pace.idle(true, never);
            assert_eq!(change, ends.then_some(Change::Blocks), "{blocks}");
        }
    }

    #[test]
    fn the_period_is_one_that_an_empty_ring_outlasts() {
        let period = |size, time| Pace::new(size, time).period;
        assert_eq!(period(size(256 << 10, 256), 16 * MS), 16 * MS);
        assert_eq!(
            period(size(256 << 10, 256), 64 * MS),
            Duration::from_micros(16_777)
        );
        assert_eq!(period(size(128 << 10, 512), MS), MS);
        // 4 MiB run full in a millisecond, a little less memory in less time.
        assert_eq!(
            period(size(128 << 10, 32), 80 * MS),
            Duration::from_micros(1048)
        );
        for small in [size(128 << 10, 16), size(4096, 4), size(1 << 20, 0)] {
            assert_eq!(period(small, 80 * MS), Duration::ZERO);
            assert_eq!(read(&mut Pace::new(small, 80 * MS), 100, 1, MS / 10), None);
        }
    }

    #[test]
    fn without_a_clock_blocks_wake_the_reader() {
        let mut pace = pace();
        assert!(read(&mut pace, 100, 1, MS).is_some());
        pace.give_up();
        assert_eq!(read(&mut pace, 100, 1, MS), None);
    }
}
