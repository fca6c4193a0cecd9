//! Counts that state their exactness, and their printed form.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// A figure, and how exact it is.
///
/// Figures add up, and the sum claims no more than is known: it is exact if both are, and a lower
/// bound if one of them is a lower bound or unavailable.
///
/// ```
/// use netring_sys::Count;
///
/// let queues = [Count::from(1_200), Count::from(34), Count::AtLeast(5)];
/// assert_eq!(queues.into_iter().sum::<Count>(), Count::AtLeast(1_239));
/// assert_eq!(queues[0] + Count::Unavailable, Count::AtLeast(1_200));
/// assert_eq!(queues[0].to_string(), "1200");
/// assert_eq!(format!("{:#}", queues[0]), "1,200");
/// assert_eq!(Option::from(queues[0]), Some(1_200_u64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Count {
    /// Exactly this many.
    Exact(u64),
    /// At least this many.
    AtLeast(u64),
    /// This backend cannot know it.
    #[default]
    Unavailable,
}

impl Count {
    /// The figure, exact or not.
    #[inline]
    pub const fn value(self) -> Option<u64> {
        match self {
            Self::Exact(n) | Self::AtLeast(n) => Some(n),
            Self::Unavailable => None,
        }
    }

    /// The figure, if it is exact.
    #[inline]
    pub const fn exact(self) -> Option<u64> {
        match self {
            Self::Exact(n) => Some(n),
            Self::AtLeast(_) | Self::Unavailable => None,
        }
    }

    /// The share of this in `total`, as far as both are known: 0 to 1, and 0 if `total` is 0.
    pub(super) fn ratio_of(self, total: Self) -> Option<f64> {
        match (self.value()?, total.value()?) {
            (0, _) | (_, 0) => Some(0.0),
            // The kernel may count a loss just before it counts the packet as offered.
            (part, total) => Some((part as f64 / total as f64).min(1.0)),
        }
    }

    /// Whether the figure is more than 0.
    pub(super) const fn is_some(self) -> bool {
        matches!(self, Self::Exact(1..) | Self::AtLeast(1..))
    }
}

impl From<u64> for Count {
    fn from(exact: u64) -> Self {
        Self::Exact(exact)
    }
}

/// `None` is [`Count::Unavailable`].
impl From<Option<u64>> for Count {
    fn from(exact: Option<u64>) -> Self {
        exact.map_or(Self::Unavailable, Self::Exact)
    }
}

/// The figure, exact or not: [`Count::value`].
impl From<Count> for Option<u64> {
    fn from(count: Count) -> Self {
        count.value()
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (Some(a), Some(b)) = (self.value(), other.value()) else {
            let known = self.value().or(other.value());
            return known.map_or(Self::Unavailable, Self::AtLeast);
        };
        match (self, other, a.checked_add(b)) {
            (Self::Exact(_), Self::Exact(_), Some(sum)) => Self::Exact(sum),
            (_, _, sum) => Self::AtLeast(sum.unwrap_or(u64::MAX)),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The sum of none is exactly 0.
impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.reduce(Add::add).unwrap_or(Self::Exact(0))
    }
}

/// The digits alone; with `{:#}` in groups of three: `1,234,567`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match *self {
            Self::Exact(n) => n,
            Self::AtLeast(n) => {
                f.write_str("at least ")?;
                n
            }
            Self::Unavailable => return f.write_str("not available"),
        };
        if f.alternate() {
            write_grouped(number, f)
        } else {
            write!(f, "{number}")
        }
    }
}

fn write_grouped(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = number.to_string();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            f.write_str(",")?;
        }
        write!(f, "{digit}")?;
    }
    Ok(())
}

/// A figure with its name: "5 dropped", "dropped not available".
pub(super) struct Named(pub(super) Count, pub(super) &'static str);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, name) = self;
        match count {
            Count::Unavailable => write!(f, "{name} {count}"),
            _ => write!(f, "{count:#} {name}"),
        }
    }
}

/// Writes ", 0.12% lost", or nothing if nothing was lost. A loss is never rounded to none.
pub(super) fn write_loss(ratio: Option<f64>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match ratio.map(|ratio| ratio * 100.0) {
        Some(percent) if percent >= 0.01 => write!(f, ", {percent:.2}% lost"),
        Some(percent) if percent > 0.0 => f.write_str(", less than 0.01% lost"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Count::{self, AtLeast, Exact, Unavailable};

    #[test]
    fn a_sum_says_no_more_than_is_known() {
        assert_eq!(Exact(1) + Exact(2), Exact(3));
        assert_eq!(Exact(1) + AtLeast(2), AtLeast(3));
        assert_eq!(AtLeast(1) + AtLeast(2), AtLeast(3));
        assert_eq!(AtLeast(1) + Unavailable, AtLeast(1));
        assert_eq!(Unavailable + Exact(2), AtLeast(2));
        assert_eq!(Unavailable + Unavailable, Unavailable);
        assert_eq!(Exact(u64::MAX) + Exact(1), AtLeast(u64::MAX));
        let mut count = Exact(1);
        count += 4.into();
        assert_eq!(count, Exact(5));
    }

    #[test]
    fn the_sum_of_none_is_zero_and_the_sum_of_one_is_itself() {
        assert_eq!([].into_iter().sum::<Count>(), Exact(0));
        for one in [Exact(7), AtLeast(7), Unavailable] {
            assert_eq!([one].into_iter().sum::<Count>(), one);
        }
    }

    #[test]
    fn options_both_ways() {
        assert_eq!(Count::from(Some(7)), Exact(7));
        assert_eq!(Count::from(None), Unavailable);
        assert_eq!(Option::<u64>::from(AtLeast(7)), Some(7));
        assert_eq!(Option::<u64>::from(Unavailable), None);
    }

    #[test]
    fn digits_come_in_threes_on_request() {
        let grouped = |n| format!("{:#}", Exact(n));
        let printed = [0, 12, 999, 1_000, 123_456, 1_234_567, u64::MAX].map(grouped);
        let expected = [
            "0",
            "12",
            "999",
            "1,000",
            "123,456",
            "1,234,567",
            "18,446,744,073,709,551,615",
        ];
        assert_eq!(printed, expected);
        assert_eq!(Exact(1_234_567).to_string(), "1234567");
        assert_eq!(format!("{:#}", AtLeast(1_000)), "at least 1,000");
        assert_eq!(format!("{:#}", Unavailable), "not available");
    }
}
