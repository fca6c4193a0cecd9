//! For how long a flow may be silent, where the caller has a say in it.

use std::fmt;
use std::time::Duration;

use super::limits::{self, Limits};
use crate::table::{Flags, Record, State};

/// By how much an attempt that is made again and again may be silent for longer at the most, in
/// nanoseconds: 96 s. The longest gap of Linux is 64 s, and 96 s if the SYN before that was lost.
const LONGEST_RETRY: i64 = 96_000_000_000;

/// The time-outs of single flows, where the caller has any.
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
    /// For how long this flow may be silent.
    #[inline]
    pub(super) fn timeout(&self, flow: &Record<K>, limits: &Limits) -> i64 {
        let usual = limits.timeout(flow.state);
        match (&self.0, flow.state) {
            (Some(by_key), State::TcpEstablished | State::Udp | State::Other) => {
                by_key(&flow.key).map_or(usual, limits::nanos)
            }
            _ => usual,
        }
    }

    /// The same, and longer for an attempt that is made again and again: six times the last gap
    /// between two SYNs or SYN-ACKs, which is more than the next gap, also if one of them was
    /// lost.
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
