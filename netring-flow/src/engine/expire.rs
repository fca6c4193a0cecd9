//! The effect of passing time on flows.

use std::hash::Hash;

use netring_sys::Timestamp;

use super::limits::shortened;
use super::{Engine, evict};
use crate::table::{Record, Slot};
use crate::table::{Turn, Wheel};
use crate::visitor::FlowVisitor;
use crate::{EndReason, FlowEvent};

/// The maximum number of reports of a flow made at once.
const MOST_TICKS: u32 = 64;

impl<K: Clone + Eq + Hash> Engine<K> {
    /// Advances the time while no packets arrive. It never moves it back.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        if self.latest != i64::MIN && now.as_nanos() > self.now {
            self.set_time(now.as_nanos());
        }
    }

    /// Checks flows that may be due, at most `budget`. Returns true if there are more.
    #[inline]
    pub(crate) fn expire(&mut self, mut budget: u32, visitor: &mut impl FlowVisitor<K>) -> bool {
        if !self.wheel.is_behind(self.now) {
            return false;
        }
        loop {
            match self.wheel.turn(&mut self.table, self.now, &mut budget) {
                Turn::Flow(slot) => {
                    let ticks = self.look_at(slot, visitor);
                    budget = budget.saturating_sub(ticks.saturating_sub(1));
                }
                Turn::Spent => return true,
                Turn::CaughtUp => return false,
            }
        }
    }

    /// Ends flows because the source has ended, at most `budget`. Returns true if there are more.
    pub(crate) fn finish(&mut self, budget: u32, visitor: &mut impl FlowVisitor<K>) -> bool {
        self.fragments.finish(&mut self.stats);
        for _ in 0..budget {
            let Some(slot) = (0..evict::QUEUES).find_map(|queue| self.queues.first(queue)) else {
                return false;
            };
            let flow = self.table.get_mut(slot);
            let state = flow.state;
            let timeout = self.by_key.extended_timeout(flow, &self.limits);
            let reason = if is_idle(silent_since(flow, self.now), timeout, self.now) {
                EndReason::IdleTimeout
            } else {
                EndReason::SourceEnded
            };
            self.end(slot, state.reason(reason), visitor);
        }
        self.table.len() != 0
    }

    /// Ends a flow that has been idle for too long; otherwise reports it if it is long-lived, and
    /// reschedules it. The flow is not in the wheel. Returns the number of reports.
    fn look_at(&mut self, slot: Slot, visitor: &mut impl FlowVisitor<K>) -> u32 {
        let flow = self.table.get_mut(slot);
        let state = flow.state;
        let since = silent_since(flow, self.now);
        let full = self.by_key.extended_timeout(flow, &self.limits);
        let timeout = if self.emergency {
            shortened(self.by_key.timeout(flow, &self.limits))
        } else {
            full
        };
        if is_idle(since, timeout, self.now) {
            let reason = if is_idle(since, full, self.now) {
                EndReason::IdleTimeout
            } else {
                EndReason::Emergency
            };
            // With more traffic, the reports due before its end would already have been made.
            let (_, ticks) = self.report(slot, since.saturating_add(timeout), visitor);
            self.end(slot, state.reason(reason), visitor);
            return ticks;
        }
        let (next, ticks) = self.report(slot, self.now, visitor);
        let due = since.saturating_add(timeout).min(next);
        self.wheel.schedule(&mut self.table, slot, due);
        // The flows at the front of a queue are those that were checked longest ago.
        self.queue(slot);
        ticks
    }

    /// Whether a flow has been idle for as long as an emergency allows.
    pub(super) fn is_overdue(&mut self, slot: Slot) -> bool {
        let flow = self.table.get_mut(slot);
        let timeout = shortened(self.by_key.timeout(flow, &self.limits));
        is_idle(silent_since(flow, self.now), timeout, self.now)
    }

    /// Makes the reports of a flow that are due up to a time. Returns when the next one is due and
    /// how many were made. If more than 64 were due since the last report, the oldest are left out.
    fn report(&mut self, slot: Slot, to: i64, visitor: &mut impl FlowVisitor<K>) -> (i64, u32) {
        let active = self.limits.active;
        if active == i64::MAX {
            return (i64::MAX, 0);
        }
        let clock = self.limits.clock(to);
        let time = self.time();
        let flow = self.table.get_mut(slot);
        let ago = clock.wrapping_sub(flow.reported()).cast_signed();
        if ago < 0 {
            // Time has gone back since.
            flow.set_reported(clock);
            return (to.saturating_add(active), 0);
        }
        let due = ago.cast_unsigned() >> 16;
        flow.set_reported(flow.reported().wrapping_add(due << 16));
        let left = (1 << 16) - i64::from(ago & 0xffff);
        let next = to.saturating_add(left.saturating_mul(self.limits.unit));
        let ticks = due.min(MOST_TICKS);
        self.stats.ticks += u64::from(ticks);
        let (key, flow) = (flow.key.clone(), flow.id());
        for _ in 0..ticks {
            let mut stats = Box::new(self.table.stats(slot, self.clock));
            self.add_measured(slot, &mut stats);
            visitor.event(FlowEvent::Tick {
                key: key.clone(),
                flow,
                time,
                stats,
            });
        }
        (next, ticks)
    }
}

/// The time of the last packet of a flow, by the tracker's time.
#[inline]
pub(super) fn silent_since<K>(flow: &mut Record<K>, now: i64) -> i64 {
    let place = Wheel::place(now);
    let ago = since(place, flow.seen_at);
    if ago < 0 {
        // Time has gone back since then. The timeout restarts.
        flow.seen_at = place as u32;
    }
    // The coarse clock counts if packets are late or time went back; otherwise it is slightly
    // behind the packet.
    let seen = place - ago.max(0);
    let last = flow.last();
    if last <= now {
        last.max(Wheel::start(seen))
    } else {
        Wheel::start(seen + 1).min(now)
    }
}

/// Whether a flow has been idle for as long as its timeout.
const fn is_idle(since: i64, timeout: i64, now: i64) -> bool {
    // Never means never, even at the end of time.
    timeout != i64::MAX && since.saturating_add(timeout) <= now
}

/// The age of a coarse time. It has 32 bits, which wrap in 18 years.
const fn since(place: i64, then: u32) -> i64 {
    (place as u32).wrapping_sub(then).cast_signed() as i64
}
