//! Timestamps of packets, and the clocks that they were read from.

mod parse;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01 00:00:00 UTC, with the clock that they were read from.
///
/// Timestamps compare by time alone, not by clock. They range from 1677 to 2262; arithmetic
/// saturates, so a hostile capture file cannot make it overflow.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timestamp {
    nanos: i64,
    clock: Clock,
}

/// The clock behind a [`Timestamp`].
///
/// A capture requests one kind, and each packet says which it got: a driver without hardware
/// timestamps answers with software ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Clock {
    /// Unknown: a capture file, or a generated packet.
    #[default]
    Unknown,
    /// The kernel's real-time clock, read when the network stack received the packet
    /// (`TP_STATUS_TS_SOFTWARE`).
    #[doc(alias = "TP_STATUS_TS_SOFTWARE")]
    Software,
    /// The clock of the network card (`TP_STATUS_TS_RAW_HARDWARE`), which may be far from the real
    /// time.
    #[doc(alias = "TP_STATUS_TS_RAW_HARDWARE")]
    Hardware,
    /// The host's real-time clock, read by this process when it took the packet's batch: the source
    /// has no timestamps of its own.
    Process,
    /// The kernel's atomic time (`CLOCK_TAI`), read when the kernel had sent the packet. It is
    /// ahead of the real time by the leap seconds that the system knows: 37 s since 2017, or 0 if
    /// none were set.
    #[doc(alias = "CLOCK_TAI")]
    Tai,
    /// The kernel's real-time clock, read when the packet reached the socket without a timestamp.
    Socket,
}

impl Timestamp {
    /// The epoch, with an unknown clock.
    pub const EPOCH: Self = Self::from_nanos(0, Clock::Unknown);

    /// Creates a timestamp from nanoseconds since the epoch.
    #[inline]
    pub const fn from_nanos(nanos: i64, clock: Clock) -> Self {
        Self { nanos, clock }
    }

    /// Creates a timestamp from the kernel's form: seconds since the epoch, and nanoseconds within
    /// the second.
    #[inline]
    pub const fn from_parts(seconds: u32, nanos: u32, clock: Clock) -> Self {
        // 2³² s are 4.3 × 10¹⁸ ns: no pair of 32-bit words overflows.
        Self {
            nanos: seconds as i64 * 1_000_000_000 + nanos as i64,
            clock,
        }
    }

    /// The same time with another clock.
    #[inline]
    #[must_use]
    pub const fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The current time of the host's real-time clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// The clock that it was read from.
    #[inline]
    pub const fn clock(self) -> Clock {
        self.clock
    }

    /// How much later this is than `earlier`; zero if it is not later.
    #[inline]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        let nanos = self.nanos.saturating_sub(earlier.nanos);
        Duration::from_nanos(if nanos > 0 { nanos as u64 } else { 0 })
    }

    /// This time plus a duration, at most the end of the range.
    #[inline]
    pub const fn saturating_add(self, by: Duration) -> Self {
        let by = by.as_nanos();
        let by = if by > i64::MAX as u128 {
            i64::MAX
        } else {
            by as i64
        };
        Self {
            nanos: self.nanos.saturating_add(by),
            clock: self.clock,
        }
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::EPOCH
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::hash::Hash for Timestamp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Self {
            nanos,
            clock: Clock::Software,
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.nanos.unsigned_abs());
        if time.nanos < 0 {
            UNIX_EPOCH - distance
        } else {
            UNIX_EPOCH + distance
        }
    }
}

/// Seconds since the epoch with nine decimals, as capture tools print them.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.unsigned_abs();
        write!(
            f,
            "{sign}{}.{:09}",
            nanos / 1_000_000_000,
            nanos % 1_000_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_kernel_words_do_not_overflow() {
        let t = Timestamp::from_parts(u32::MAX, u32::MAX, Clock::Software);
        assert_eq!(
            t.as_nanos(),
            i64::from(u32::MAX) * 1_000_000_000 + i64::from(u32::MAX)
        );
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_nanos(i64::MAX, Clock::Unknown);
        let start = Timestamp::from_nanos(i64::MIN, Clock::Unknown);
        assert_eq!(end.saturating_add(Duration::MAX), end);
        assert_eq!(start.saturating_since(end), Duration::ZERO);
        assert_eq!(
            end.saturating_since(start),
            Duration::from_nanos(i64::MAX as u64)
        );
    }

    #[test]
    fn system_time_both_ways_also_before_the_epoch() {
        for nanos in [0, 1, -1, 1_700_000_000_123_456_789, i64::MIN, i64::MAX] {
            let t = Timestamp::from_nanos(nanos, Clock::Unknown);
            // i64::MIN has no positive counterpart; all others come back unchanged.
            assert_eq!(Timestamp::from(SystemTime::from(t)), t);
        }
    }

    #[test]
    fn display_has_nine_decimals_and_a_sign() {
        assert_eq!(
            Timestamp::from_nanos(1_000_000_005, Clock::Unknown).to_string(),
            "1.000000005"
        );
        assert_eq!(
            Timestamp::from_nanos(-5, Clock::Unknown).to_string(),
            "-0.000000005"
        );
    }
}
