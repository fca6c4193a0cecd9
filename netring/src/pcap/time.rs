//! Conversion of the ticks of a file to nanoseconds.

/// The length of a tick of an interface's clock, and the time of tick 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TickRate {
    unit: Unit,
    /// Seconds from the epoch to tick 0.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Nanoseconds per tick.
    Nanos(u64),
    /// Ticks per nanosecond.
    PerNano(u128),
    /// A second has two to this power of ticks.
    Binary(u8),
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl TickRate {
    /// From the options `if_tsresol` (default 6: microseconds) and `if_tsoffset` (seconds, default
    /// 0).
    pub(super) const fn new(resolution: u8, offset: i64) -> Self {
        let exponent = resolution & 0x7f;
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            Unit::Nanos(10_u64.pow(9 - exponent as u32))
        } else {
            // No clock has 10³⁸ ticks in a nanosecond, and 64 bits do not hold a nanosecond of
            // such ticks.
            match 10_u128.checked_pow(exponent as u32 - 9) {
                Some(ticks) => Unit::PerNano(ticks),
                None => Unit::PerNano(u128::MAX),
            }
        };
        Self { unit, offset }
    }

    /// Seconds from the epoch to tick 0.
    pub(super) const fn offset(self) -> i64 {
        self.offset
    }

    /// Nanoseconds since the epoch, rounded down and clamped to 64 bits.
    #[inline]
    pub(super) fn nanos(self, ticks: u64) -> i64 {
        let ticks = u128::from(ticks);
        let nanos = match self.unit {
            Unit::Nanos(nanos) => ticks * u128::from(nanos),
            Unit::PerNano(per_nano) => ticks / per_nano,
            Unit::Binary(power) => (ticks * u128::from(NANOS_PER_SECOND)) >> power,
        };
        // 2⁶⁴ seconds are below 2⁹⁴ ns: the sum fits.
        let nanos = nanos as i128 + i128::from(self.offset) * i128::from(NANOS_PER_SECOND);
        nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

impl Default for TickRate {
    fn default() -> Self {
        Self::new(6, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_power_of_ten_down_to_the_nanosecond_is_exact() {
        for exponent in 0..=9 {
            let per_second = 10_u64.pow(u32::from(exponent));
            let ticks = 1_234 * per_second + (per_second - 1);
            let nanos = NANOS_PER_SECOND / per_second;
            assert_eq!(
                TickRate::new(exponent, 0).nanos(ticks),
                (ticks * nanos) as i64,
                "{exponent}"
            );
        }
    }

    #[test]
    fn finer_than_a_nanosecond_is_rounded_down() {
        let pico = TickRate::new(12, 0);
        assert_eq!(pico.nanos(1_999), 1);
        assert_eq!(pico.nanos(u64::MAX), (u64::MAX / 1_000) as i64);
        assert_eq!(TickRate::new(28, 0).nanos(u64::MAX), 1);
        for exponent in 29..=127 {
            assert_eq!(TickRate::new(exponent, 0).nanos(u64::MAX), 0, "{exponent}");
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        let rate = TickRate::new(0x80 | 10, 0);
        assert_eq!(rate.nanos(1_024), 1_000_000_000);
        assert_eq!(rate.nanos(1_025), 1_000_976_562);
        assert_eq!(TickRate::new(0x80, 0).nanos(7), 7_000_000_000);
        assert_eq!(TickRate::new(0x80 | 64, 0).nanos(1 << 63), 500_000_000);
        assert_eq!(TickRate::new(0xff, 0).nanos(u64::MAX), 0);
    }

    #[test]
    fn the_offset_is_in_seconds_and_has_a_sign() {
        assert_eq!(TickRate::new(6, 5).nanos(1), 5_000_001_000);
        assert_eq!(TickRate::new(6, -5).nanos(1), -4_999_999_000);
    }

    #[test]
    fn what_64_bits_cannot_hold_stops_at_the_end_of_the_range() {
        assert_eq!(TickRate::new(0, 0).nanos(u64::MAX), i64::MAX);
        assert_eq!(TickRate::new(0, i64::MAX).nanos(u64::MAX), i64::MAX);
        assert_eq!(TickRate::new(9, i64::MIN).nanos(0), i64::MIN);
    }
}
