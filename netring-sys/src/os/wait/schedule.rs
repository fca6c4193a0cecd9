//! When the next frame is due.

use std::time::{Duration, Instant};

/// When the next of several frames is due. A late frame does not delay those after it: the sender
/// catches up, up to a bound.
///
/// [`Pacer`](super::Pacer) keeps one for a rate; other schedules add their own gaps:
///
/// ```
/// use netring_sys::wait::Schedule;
/// use std::time::Duration;
///
/// let mut schedule = Schedule::new();
/// assert!(schedule.until_due().is_zero());
/// schedule.add(Duration::from_secs(1));
/// assert!(!schedule.until_due().is_zero());
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    catch_up: u64,
    pub(super) start: Option<Instant>,
    /// When the next frame is due, in nanoseconds from the start.
    pub(super) due: u64,
    /// The clock when it was last read.
    seen: u64,
    lost: u64,
}

impl Schedule {
    /// Creates a schedule that catches up at most 100 ms. Its first frame is due at once.
    pub const fn new() -> Self {
        Self {
            catch_up: 100_000_000,
            start: None,
            due: 0,
            seen: 0,
            lost: 0,
        }
    }

    /// How much delay of the sender is caught up. Default: 100 ms.
    #[must_use]
    pub fn catch_up(mut self, time: Duration) -> Self {
        self.catch_up = nanos(time);
        self
    }

    /// Makes the next frame due this much later. The clock starts when it is first read.
    pub fn add(&mut self, gap: Duration) {
        self.add_nanos(nanos(gap));
    }

    #[inline]
    pub(super) const fn add_nanos(&mut self, gap: u64) {
        self.due = self.due.saturating_add(gap);
    }

    /// The time until the next frame is due; zero if it is due.
    pub fn until_due(&mut self) -> Duration {
        // Frames that were due when the clock was last read are sent without reading it again.
        if self.start.is_some() && self.due <= self.seen {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let start = *self.start.get_or_insert(now);
        self.until_due_at(now.saturating_duration_since(start))
    }

    /// The same, at a time since the start instead of now.
    pub fn until_due_at(&mut self, now: Duration) -> Duration {
        let now = nanos(now);
        self.seen = now;
        let late = now.saturating_sub(self.due);
        if late > self.catch_up {
            self.lost = self.lost.saturating_add(late - self.catch_up);
            self.due = now - self.catch_up;
        }
        Duration::from_nanos(self.due.saturating_sub(now))
    }

    /// When the next frame is due, from the start.
    pub const fn due(&self) -> Duration {
        Duration::from_nanos(self.due)
    }

    /// How late the next frame is, when the clock was last read; zero if it was not due.
    pub const fn late(&self) -> Duration {
        Duration::from_nanos(self.seen.saturating_sub(self.due))
    }

    /// Time that was not caught up, by which the schedule was shifted.
    pub const fn lost(&self) -> Duration {
        Duration::from_nanos(self.lost)
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
