//! How long a flow may be idle, with the caller's timeouts by key.

use std::fmt;
use std::time::Duration;

use super::limits::{self, Limits};
use crate::table::{Flags, Record, State};

/// The maximum extension of the timeout of a repeated attempt, in nanoseconds: 96 s. The longest
/// gap of Linux is 64 s, and 96 s if the SYN before that was lost.
const LONGEST_RETRY: i64 = 96_000_000_000;

/// The caller's timeouts for individual keys, if any.
pub(crate) struct ByKey<K>(pub(crate) Option<Box<KeyTimeout<K>>>);

type KeyTimeout<K> = dyn Fn(&K) -> Option<Duration> + Send;

impl<K> fmt::Debug for ByKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "ByKey(…)"
        } else {
            "None"
        })
    }
}

impl<K> ByKey<K> {
    /// How long this flow may be idle.
    #[inline]
    pub(super) fn timeout(&self, flow: &Record<K>, limits: &Limits) -> i64 {
        let usual = limits.timeout(flow.state);
        match (&self.0, flow.state) {
            (
                Some(by_key),
                State::TcpEstablished | State::TcpDoubtful | State::Udp | State::Other,
            ) => by_key(&flow.key).map_or(usual, limits::nanos),
            _ => usual,
        }
    }

    /// The same, extended for a repeated attempt by six times the last gap between two SYNs or
    /// SYN-ACKs. That exceeds the next gap even if one of them was lost.
    #[inline]
    pub(super) fn extended_timeout(&self, flow: &Record<K>, limits: &Limits) -> i64 {
        let usual = self.timeout(flow, limits);
        let gap = flow.directions[0].retry().max(flow.directions[1].retry());
        if gap == 0 || flow.flags.has(Flags::ESTABLISHED) || !flow.is_attempt() {
            return usual;
        }
        usual.saturating_add(gap.saturating_mul(6).min(LONGEST_RETRY))
    }
}
