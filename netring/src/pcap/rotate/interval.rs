//! Multiples of the clock.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The first time after `now` at which the clock of a zone shows a multiple of the interval since
/// midnight of the first of January 1970; `None` if it is too late for a time.
pub(super) fn next(now: Timestamp, zone: &TimeZone, interval: Duration) -> Option<Timestamp> {
    let interval = i128::try_from(interval.as_nanos()).ok()?;
    let offset = |of: Timestamp| i128::from(zone.to_offset(of).seconds()) * NANOS_PER_SECOND;
    let shown = now.as_nanosecond() + offset(now);
    let target = (shown.div_euclid(interval) + 1).checked_mul(interval)?;
    let next = Timestamp::from_nanosecond(target - offset(now)).ok()?;
    if (next.as_nanosecond() + offset(next)).rem_euclid(interval) == 0 {
        return Some(next);
    }
    // The clock is put forward or back before that.
    let changed = Timestamp::from_nanosecond(target - offset(next)).ok()?;
    Some(if changed > now { changed } else { next })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[track_caller]
    fn check(now: &str, zone: &TimeZone, interval: Duration, expected: &str) {
        let now = now.parse().unwrap();
        let expected: Timestamp = expected.parse().unwrap();
        assert_eq!(next(now, zone, interval), Some(expected));
    }

    #[test]
    fn files_end_at_multiples_of_the_clock_that_names_them() {
        let utc = &TimeZone::UTC;
        let half = &TimeZone::posix("IST-5:30").unwrap();
        check("2026-03-01T10:59:59.9Z", utc, HOUR, "2026-03-01T11:00:00Z");
        check("2026-03-01T11:00:00Z", utc, HOUR, "2026-03-01T12:00:00Z");
        check("2026-03-01T11:00:00Z", half, HOUR, "2026-03-01T11:30:00Z");
        check("2026-03-01T11:00:00Z", half, DAY, "2026-03-01T18:30:00Z");
        let quarter = Duration::from_millis(250);
        check(
            "2026-03-01T11:00:00.3Z",
            utc,
            quarter,
            "2026-03-01T11:00:00.5Z",
        );
        check("1969-12-31T23:59:59.9Z", utc, HOUR, "1970-01-01T00:00:00Z");
        let weeks = Duration::from_secs(7 * 24 * 3600);
        check("1970-01-02T00:00:00Z", utc, weeks, "1970-01-08T00:00:00Z");
    }

    #[test]
    fn a_day_ends_at_midnight_also_if_the_clock_is_changed() {
        let zone = &TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 29 March 2026 has 23 hours there, and 25 October has 25.
        check("2026-03-28T23:00:00Z", zone, DAY, "2026-03-29T22:00:00Z");
        check("2026-10-24T22:00:00Z", zone, DAY, "2026-10-25T23:00:00Z");
        check("2026-10-25T22:30:00Z", zone, DAY, "2026-10-25T23:00:00Z");
        // The hour that is repeated has a file of its own.
        check("2026-10-25T00:30:00Z", zone, HOUR, "2026-10-25T01:00:00Z");
        check("2026-10-25T01:00:00Z", zone, HOUR, "2026-10-25T02:00:00Z");
    }

    #[test]
    fn a_multiple_that_never_comes_is_none() {
        assert_eq!(next(Timestamp::now(), &TimeZone::UTC, Duration::MAX), None);
    }
}
