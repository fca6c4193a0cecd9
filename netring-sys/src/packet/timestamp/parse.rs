//! Reading a timestamp from text.

use std::str::FromStr;

use super::{Clock, Timestamp};
use crate::ParseError;

/// Reads seconds since the epoch, with up to nine decimals, as they are displayed. The clock is
/// [`Clock::Unknown`].
impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        nanos(text)
            .map(|nanos| Self::from_nanos(nanos, Clock::Unknown))
            .ok_or_else(|| ParseError::new(text, "timestamp", "1700000000.000000001"))
    }
}

/// `None` also if the time is out of range.
fn nanos(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (seconds, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(seconds) || !is_number(decimals) || decimals.len() > 9 {
        return None;
    }
    let seconds: i128 = seconds.parse::<u64>().ok()?.into();
    let decimals: i128 = format!("{decimals:0<9}").parse().ok()?;
    i64::try_from(sign * (seconds * 1_000_000_000 + decimals)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_read_as_it_is_displayed() {
        let ends = [
            i64::MIN,
            -1_000_000_001,
            -5,
            -1,
            0,
            1,
            999_999_999,
            i64::MAX,
        ];
        for nanos in ends.into_iter().chain((0..62).map(|bit| 1 << bit)) {
            let time = Timestamp::from_nanos(nanos, Clock::Unknown);
            let read: Timestamp = time.to_string().parse().unwrap();
            assert_eq!((read.as_nanos(), read.clock()), (nanos, Clock::Unknown));
        }
    }

    #[test]
    fn decimals_may_be_left_out() {
        let read = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_nanos).ok();
        assert_eq!(read("7"), Some(7_000_000_000));
        assert_eq!(read("7.25"), Some(7_250_000_000));
        assert_eq!(read("-7.000001"), Some(-7_000_001_000));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1.-5",
            "1.0000000001",
            "1e9",
            "9223372036.854775808",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
