//! When each packet is due.

use std::time::Duration;

use crate::wait::{Pacer, Schedule};
use crate::{Error, Timestamp};

/// How fast packets are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Speed {
    /// With the gaps of their timestamps.
    #[default]
    Recorded,
    /// Faster by this factor: 2 halves the gaps, 0.5 doubles them.
    Factor(f64),
    /// This many frames a second, whatever the timestamps.
    PacketsPerSecond(u64),
    /// This many bits of frames a second, without the overhead of the link.
    BitsPerSecond(u64),
    /// As fast as the sink takes them.
    Fastest,
}

/// A packet that is older by more than this was stamped by a clock that was set back; otherwise it
/// is out of order.
const OUT_OF_ORDER: i64 = 1_000_000_000;

#[derive(Debug)]
pub(super) enum Pace {
    Recorded(Recorded),
    Rate(Pacer),
    Fastest,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Result<Self, Error> {
        Ok(match speed {
            Speed::Recorded => Self::Recorded(Recorded::new(1.0)),
            Speed::Factor(factor) if factor.is_finite() && factor > 0.0 => {
                Self::Recorded(Recorded::new(factor))
            }
            Speed::Factor(factor) => {
                return Err(Error::Config {
                    setting: "speed",
                    why: format!("a factor of {factor}; must be more than 0 and finite"),
                });
            }
            Speed::PacketsPerSecond(rate) => Self::Rate(Pacer::packets_per_second(rate)?),
            Speed::BitsPerSecond(rate) => Self::Rate(Pacer::bits_per_second(rate)?),
            Speed::Fastest => Self::Fastest,
        })
    }

    /// Another pass begins: its first packet follows the last one without a gap.
    pub(super) fn restart(&mut self) {
        if let Self::Recorded(recorded) = self {
            recorded.last = None;
        }
    }

    /// Takes the time of the next packet, which counts once however many frames it becomes.
    /// Returns false if it is older than the one before.
    pub(super) fn next(&mut self, time: Timestamp, longest: Option<Duration>) -> bool {
        match self {
            Self::Recorded(recorded) => recorded.next(time.as_nanos(), longest.map(nanos)),
            _ => true,
        }
    }

    /// The time until the next frame is due.
    pub(super) fn until_due(&mut self) -> Duration {
        match self {
            Self::Recorded(recorded) => recorded.schedule.until_due(),
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
            Self::Recorded(recorded) => recorded.schedule.late(),
            Self::Rate(pacer) => pacer.late(),
            Self::Fastest => Duration::ZERO,
        }
    }

    pub(super) const fn lost(&self) -> Duration {
        match self {
            Self::Recorded(recorded) => recorded.schedule.lost(),
            Self::Rate(pacer) => pacer.lost(),
            Self::Fastest => Duration::ZERO,
        }
    }
}

/// The schedule of recorded packets. Times are in nanoseconds.
#[derive(Debug)]
pub(super) struct Recorded {
    factor: f64,
    /// The time of the newest packet so far.
    last: Option<i64>,
    /// The sum of all recorded gaps: divided and rounded once, and not with each gap.
    recorded: u64,
    /// The same by the factor.
    planned: u64,
    schedule: Schedule,
}

impl Recorded {
    const fn new(factor: f64) -> Self {
        Self {
            factor,
            last: None,
            recorded: 0,
            planned: 0,
            schedule: Schedule::new(),
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
        let planned = (self.recorded as f64 / self.factor) as u64;
        let gap = planned.saturating_sub(self.planned);
        self.schedule.add(Duration::from_nanos(gap));
        self.planned = planned;
        is_in_order
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
        let mut recorded = Recorded::new(factor);
        let due = |time: &i64| {
            let is_in_order = recorded.next(*time, longest);
            (nanos(recorded.schedule.due()), is_in_order)
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
        const CATCH_UP: Duration = Duration::from_millis(100);
        let mut recorded = Recorded::new(1.0);
        let at = |recorded: &mut Recorded, now| {
            recorded.schedule.until_due_at(now);
            nanos(recorded.schedule.lost())
        };
        recorded.next(0, None);
        at(&mut recorded, Duration::ZERO);
        recorded.next(10, None);
        assert_eq!(at(&mut recorded, CATCH_UP + Duration::from_nanos(10)), 0);
        assert_eq!(at(&mut recorded, CATCH_UP + Duration::from_nanos(30)), 20);
        recorded.next(1_000, None);
        assert_eq!(nanos(recorded.schedule.due()), 1_020);
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
