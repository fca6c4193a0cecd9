//! The settings as the engine needs them: in nanoseconds and numbers of flows.

use std::time::Duration;

use crate::TrackerConfig;
use crate::table::State;
use crate::table::Wheel;

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) max_flows: usize,
    /// An emergency starts at this number of flows …
    pub(super) high: usize,
    /// … and ends once there are fewer than this.
    pub(super) low: usize,
    pub(super) split: bool,
    /// Segments with a window up to this value change more than counters: 0, or any window if
    /// round-trip times are measured. One comparison serves both.
    pub(super) watched: u16,
    /// By [`State`]; `i64::MAX` means never.
    idle: [i64; 8],
    pub(super) active: i64,
    /// A unit of the clock of ticks, in nanoseconds: a 2¹⁶th of the active timeout.
    pub(super) unit: i64,
}

impl Limits {
    pub(super) fn new(config: &TrackerConfig, bytes_per_flow: usize) -> Self {
        let max = config
            .max_flows
            .min(config.max_bytes / bytes_per_flow)
            .max(1);
        let timeouts = &config.timeouts;
        let mut idle = [0; 8];
        for (state, timeout) in [
            (State::TcpOpening, timeouts.tcp_opening),
            (State::TcpEstablished, timeouts.tcp_established),
            (State::TcpDoubtful, timeouts.tcp_established),
            (State::TcpClosing, timeouts.tcp_closing),
            (State::TcpFinished, timeouts.tcp_closing),
            (State::TcpReset, timeouts.tcp_closing),
            (State::Udp, timeouts.udp),
            (State::Other, timeouts.other),
        ] {
            idle[state as usize] = nanos(timeout);
        }
        Self {
            max_flows: max,
            high: max - max / 16,
            low: max - max / 8,
            split: config.split_port_reuse,
            watched: if config.round_trips { u16::MAX } else { 0 },
            idle,
            active: nanos(timeouts.active),
            // A flow is checked at most once per place of the wheel.
            unit: nanos(timeouts.active).max(1 << Wheel::SHIFT) >> 16,
        }
    }

    /// The clock of ticks. It has 32 bits, which wrap after 2¹⁶ active timeouts.
    #[inline]
    pub(super) const fn clock(&self, time: i64) -> u32 {
        time.div_euclid(self.unit) as u32
    }

    #[inline]
    pub(super) const fn timeout(&self, state: State) -> i64 {
        self.idle[state as usize]
    }
}

/// The timeout in an emergency: a quarter.
pub(super) const fn shortened(timeout: i64) -> i64 {
    match timeout {
        i64::MAX => i64::MAX,
        timeout => timeout / 4,
    }
}

/// The timeout in nanoseconds; `i64::MAX` if it does not fit.
pub(super) fn nanos(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX)
}
