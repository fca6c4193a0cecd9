//! Events for `tracing`, if its feature is on: one switch for all crates.

/// Emits an event of the crate `tracing`, with the target `netring::` and a level, fields and a
/// message as `tracing::event!` takes them. Without the feature its arguments are not evaluated.
///
/// Each event is listed in `netring/src/events.md`.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __event {
    ($target:literal, $level:ident, $($event:tt)+) => {
        $crate::__tracing::event!(
            target: concat!("netring::", $target),
            $crate::__tracing::Level::$level,
            $($event)+
        )
    };
}

/// The same without the feature: the arguments compile, and are not evaluated.
#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __event {
    ($target:literal, $level:ident, $($event:tt)+) => {
        $crate::__event!(@ $($event)+)
    };
    (@ $message:literal) => {
        ()
    };
    (@ $field:ident = %$value:expr, $($event:tt)+) => {
        $crate::__event!(@ $field = $value, $($event)+)
    };
    (@ $field:ident = ?$value:expr, $($event:tt)+) => {
        $crate::__event!(@ $field = $value, $($event)+)
    };
    (@ $field:ident = $value:expr, $($event:tt)+) => {{
        let _ = || { let _ = &$value; };
        $crate::__event!(@ $($event)+)
    }};
    (@ $field:ident, $($event:tt)+) => {
        $crate::__event!(@ $field = $field, $($event)+)
    };
}

/// Whether a figure that grew is worth another event: the first time, and each time it gains a
/// digit. So a condition that lasts for days takes a few lines.
#[doc(hidden)]
pub const fn __is_news(before: u64, now: u64) -> bool {
    digits(before) < digits(now)
}

/// Decimal digits; none of 0.
const fn digits(n: u64) -> u32 {
    match n.checked_ilog10() {
        Some(log) => log + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_news_at_first_and_with_each_digit() {
        let mut news = Vec::new();
        for n in 0..2_000 {
            if __is_news(n, n + 1) {
                news.push(n + 1);
            }
        }
        assert_eq!(news, [1, 10, 100, 1000]);
        assert!(!__is_news(0, 0) && !__is_news(5, 5) && __is_news(5, 5_000));
        assert!(__is_news(0, u64::MAX));
    }
}
