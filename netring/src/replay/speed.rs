//! When each packet is due.

use std::time::{Duration, Instant};

use crate::wait::Pacer;
use crate::{Error, Timestamp};

/// How fast packets are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Speed {
    /// With the gaps of their timestamps.
    #[default]
    Recorded,
    /// So many times as fast: 2 halves the gaps, 0.5 doubles them.
    Factor(f64),
    /// So many frames a second, whatever the timestamps.
    PacketsPerSecond(u64),
    /// So many bits of frames a second, without what the link adds to each.
    BitsPerSecond(u64),
    /// As fast as the sink takes them.
    Fastest,
}

/// A delay up to this one is made up for.
const CATCH_UP: u64 = 100_000_000;
/// A packet that is older by more than that was stamped by a clock that was set back; one that is
/// older by less is out of order.
const OUT_OF_ORDER: i64 = 1_000_000_000;

#[derive(Debug)]
pub(super) enum Pace {
    Recorded(Schedule),
    Rate(Pacer),
    Fastest,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Result<Self, Error> {
        Ok(match speed {
            Speed::Recorded => Self::Recorded(Schedule::new(1.0)),
            Speed::Factor(factor) if factor.is_finite() && factor > 0.0 => {
                Self::Recorded(Schedule::new(factor))
            }
            Speed::Factor(factor) => {
                return Err(Error::Config {
                    setting: "speed",
                    why: format!("a factor of {factor}; must be more than 0, and finite"),
                });
            }
            Speed::PacketsPerSecond(rate) => Self::Rate(Pacer::packets_per_second(rate)?),
            Speed::BitsPerSecond(rate) => Self::Rate(Pacer::bits_per_second(rate)?),
            Speed::Fastest => Self::Fastest,
        })
    }

    /// Another pass begins: its first packet follows the last one without a gap.
    pub(super) fn restart(&mut self) {
        if let Self::Recorded(schedule) = self {
            schedule.last = None;
        }
    }

    /// Takes the time of the next packet, which counts once however many frames it becomes.
    /// Returns false if it is older than the one before.
    pub(super) fn next(&mut self, time: Timestamp, longest: Option<Duration>) -> bool {
        match self {
            Self::Recorded(schedule) => schedule.next(time.as_nanos(), longest.map(nanos)),
            _ => true,
        }
    }

    /// The time until the next frame is due.
    pub(super) fn until_due(&mut self) -> Duration {
        match self {
            Self::Recorded(schedule) => schedule.until_due(),
            Self::Rate(pacer) => pacer.until_due(),
            Self::Fastest => Duration::ZERO,
        }
    }

    pub(super) fn sent(&mut self, len: usize) {
        if let Self::Rate(pacer) = self {
            pacer.sent(len);
        }
    }

    /// How late the next frame was when the clock was last read.
    pub(super) const fn late(&self) -> Duration {
        match self {
            Self::Recorded(it) => Duration::from_nanos(it.seen.saturating_sub(it.due)),
            Self::Rate(pacer) => pacer.late(),
            Self::Fastest => Duration::ZERO,
        }
    }

    pub(super) const fn lost(&self) -> Duration {
        match self {
            Self::Recorded(schedule) => Duration::from_nanos(schedule.lost),
            Self::Rate(pacer) => pacer.lost(),
            Self::Fastest => Duration::ZERO,
        }
    }
}

/// The schedule of recorded packets. Times are in nanoseconds.
#[derive(Debug)]
pub(super) struct Schedule {
    factor: f64,
    /// The time of the newest packet so far.
    last: Option<i64>,
    /// The sum of all recorded gaps: rounded once, and not with each gap.
    recorded: u64,
    /// Time that was not made up for, by which the schedule is later.
    lost: u64,
    start: Option<Instant>,
    /// When the next packet is due, and the clock when it was last read, from the start.
    due: u64,
    seen: u64,
}

impl Schedule {
    const fn new(factor: f64) -> Self {
        Self {
            factor,
            last: None,
            recorded: 0,
            lost: 0,
            start: None,
            due: 0,
            seen: 0,
        }
    }

    fn next(&mut self, time: i64, longest: Option<u64>) -> bool {
        let last = self.last.unwrap_or(time);
        let is_in_order = time >= last;
        if is_in_order || last.saturating_sub(time) > OUT_OF_ORDER {
            self.last = Some(time);
        }
        if is_in_order {
            let gap = time.abs_diff(last).min(longest.unwrap_or(u64::MAX));
            self.recorded = self.recorded.saturating_add(gap);
        }
        // A cast saturates.
        let due = (self.recorded as f64 / self.factor) as u64;
        self.due = due.saturating_add(self.lost);
        is_in_order
    }

    fn until_due(&mut self) -> Duration {
        // Packets that were due when the clock was last read go out without another look.
        if self.start.is_some() && self.due <= self.seen {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let start = *self.start.get_or_insert(now);
        self.at(nanos(now.saturating_duration_since(start)))
    }

    /// The same, at a time since the start.
    fn at(&mut self, now: u64) -> Duration {
        self.seen = now;
        let late = now.saturating_sub(self.due);
        if late > CATCH_UP {
            self.lost = self.lost.saturating_add(late - CATCH_UP);
            self.due = now - CATCH_UP;
        }
        Duration::from_nanos(self.due.saturating_sub(now))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When packets of these times are due.
    fn due(factor: f64, longest: Option<u64>, times: &[i64]) -> Vec<(u64, bool)> {
        let mut schedule = Schedule::new(factor);
        let due = |time: &i64| {
            let is_in_order = schedule.next(*time, longest);
            (schedule.due, is_in_order)
        };
        times.iter().map(due).collect()
    }

    #[test]
    fn gaps_are_those_of_the_timestamps_by_the_factor() {
        let times = [5_000, 5_001, 6_000, 5_999, 6_100];
        let mut found = due(1.0, None, &times);
        assert_eq!(found[3], (1_000, false));
        found.remove(3);
        assert_eq!(found, [(0, true), (1, true), (1_000, true), (1_100, true)]);
        assert_eq!(due(0.5, None, &times[..3])[2], (2_000, true));
        assert_eq!(due(4.0, None, &times[..3])[2], (250, true));
        assert_eq!(due(1.0, Some(50), &times[..3])[2], (51, true));
        // A factor that divides no gap: nothing accumulates.
        let many: Vec<i64> = (0..=3_000_000).collect();
        assert_eq!(due(3.0, None, &many).last().unwrap().0, 1_000_000);
    }

    #[test]
    fn a_clock_that_was_set_back_delays_nothing() {
        let back = 10 * OUT_OF_ORDER;
        let found = due(1.0, None, &[back, back + 7, 0, 5]);
        assert_eq!(found, [(0, true), (7, true), (7, false), (12, true)]);
        // Times that are as far apart as can be.
        let found = due(1e-300, None, &[i64::MIN, i64::MAX, i64::MIN]);
        assert_eq!(found[1], (u64::MAX, true));
        assert_eq!(found[2], (u64::MAX, false));
    }

    #[test]
    fn a_delay_is_made_up_for_up_to_100_ms() {
        let mut schedule = Schedule::new(1.0);
        schedule.next(0, None);
        schedule.at(0);
        schedule.next(10, None);
        schedule.at(CATCH_UP + 10);
        assert_eq!(schedule.lost, 0);
        schedule.at(CATCH_UP + 30);
        assert_eq!(schedule.lost, 20);
        schedule.next(1_000, None);
        assert_eq!(schedule.due, 1_020);
    }

    #[test]
    fn a_speed_that_is_none_is_refused() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Pace::new(Speed::Factor(factor)).unwrap_err().to_string();
            assert!(error.contains("must be more than 0"), "{error}");
        }
        for speed in [Speed::PacketsPerSecond(0), Speed::BitsPerSecond(0)] {
            assert!(matches!(Pace::new(speed), Err(Error::Config { .. })));
        }
    }
}
